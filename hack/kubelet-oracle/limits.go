package main

import (
	v1 "k8s.io/api/core/v1"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	"k8s.io/kubernetes/pkg/kubelet/cm"
	"k8s.io/kubernetes/pkg/kubelet/qos"
)

// Limits are what the kubelet writes of a container or a Pod: zero and -1 are the kubelet's own words for "none".
type Limits struct {
	Shares      uint64 `json:"shares"`
	QuotaUs     int64  `json:"quota_us"`
	MemoryBytes int64  `json:"memory_bytes"`
	OOMScoreAdj int    `json:"oom_score_adj"`
}

const (
	quotaPeriodUs = 100000
	// The Pod's own control group among those of its containers.
	wholePod = "(pod)"
)

func (answer *Answer) limit(pod *v1.Pod, memoryBytes int64) {
	answer.Limits = map[string]Limits{wholePod: podLimits(pod)}
	for _, containers := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			answer.Limits[containers[i].Name] = limitsOf(pod, &containers[i], memoryBytes)
		}
	}
}

// limitsOf puts the kubelet's functions together as its generateLinuxContainerResources does, which cannot be called
// without a whole kubelet: the container's own limit, else the Pod's.
func limitsOf(pod *v1.Pod, container *v1.Container, memoryBytes int64) Limits {
	cpu, memory := container.Resources.Limits.Cpu(), container.Resources.Limits.Memory()
	if level := pod.Spec.Resources; level != nil {
		if cpu.IsZero() {
			cpu = level.Limits.Cpu()
		}
		if memory.IsZero() {
			memory = level.Limits.Memory()
		}
	}
	request := cpu
	if own, given := container.Resources.Requests[v1.ResourceCPU]; given {
		request = &own
	}
	return Limits{
		Shares:      cm.MilliCPUToShares(request.MilliValue()),
		QuotaUs:     cm.MilliCPUToQuota(cpu.MilliValue(), quotaPeriodUs),
		MemoryBytes: memory.Value(),
		OOMScoreAdj: qos.GetContainerOOMScoreAdjust(pod, container, memoryBytes),
	}
}

func podLimits(pod *v1.Pod) Limits {
	config := cm.ResourceConfigForPod(pod, true, quotaPeriodUs, false, kubeletconfig.NoneMemoryReservationPolicy)
	limits := Limits{}
	if config.CPUShares != nil {
		limits.Shares = *config.CPUShares
	}
	if config.CPUQuota != nil {
		limits.QuotaUs = *config.CPUQuota
	}
	if config.Memory != nil {
		limits.MemoryBytes = *config.Memory
	}
	return limits
}
