package main

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corev1 "k8s.io/kubernetes/pkg/apis/core/v1"
	"k8s.io/kubernetes/pkg/apis/core/v1/helper/qos"
	"k8s.io/utils/cpuset"
)

// CPU is one thread that is online, with the numbers that sysfs gives for it.
type CPU struct {
	CPU        int `json:"cpu"`
	Core       int `json:"core"`
	Socket     int `json:"socket"`
	Node       int `json:"node"`
	Cache      int `json:"cache"`
	CacheLevel int `json:"cache_level"`
}

// Node is what a question says of a node: its CPUs, its kubelet's configuration, and which CPUs are taken.
type Node struct {
	CPUs            []CPU             `json:"cpus"`
	Distances       [][]uint64        `json:"distances"`
	MemoryBytes     int64             `json:"memory_bytes"`
	Options         map[string]string `json:"options"`
	Reserved        string            `json:"reserved"`
	ReservedCount   int               `json:"reserved_count"`
	InUse           string            `json:"in_use"`
	TopologyManager TopologyManager   `json:"topology_manager"`
	NUMAHint        []int             `json:"numa_hint"`
	DeviceNodes     [][]int           `json:"device_nodes"`
	Gates           map[string]bool   `json:"gates"`
}

// TopologyManager is the configuration of the kubelet's Topology Manager.
type TopologyManager struct {
	Policy  string            `json:"policy"`
	Scope   string            `json:"scope"`
	Options map[string]string `json:"options"`
}

// Question is a node and a Pod that it is to admit.
type Question struct {
	Node Node   `json:"node"`
	Pod  v1.Pod `json:"pod"`
}

// Answer is what the kubelet makes of it: a refusal or the CPUs of each container that has its own, and the pool.
type Answer struct {
	Version   string            `json:"version"`
	QOS       string            `json:"qos"`
	Refusal   *Refusal          `json:"refusal,omitempty"`
	Unstarted string            `json:"unstarted,omitempty"`
	CPUs      map[string]string `json:"cpus,omitempty"`
	Pool      string            `json:"pool,omitempty"`
	Limits    map[string]Limits `json:"limits"`
	Standards map[string]string `json:"standards,omitempty"`
}

// Refusal is why the kubelet does not admit a Pod, as the Pod's status has it.
type Refusal struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
}

func (question *Question) answer() (*Answer, error) {
	gates := map[string]bool{"PodLevelResourceManagers": false}
	for name, enabled := range question.Node.Gates {
		gates[name] = enabled
	}
	if err := setGates(gates); err != nil {
		return nil, err
	}
	pod := &question.Pod
	pod.UID = types.UID("asked")
	corev1.SetObjectDefaults_Pod(pod)
	answer := &Answer{QOS: string(qos.GetPodQOS(pod))}
	answer.limit(pod, question.Node.MemoryBytes)
	if len(question.Node.CPUs) == 0 {
		return answer, answer.judge(pod)
	}
	return answer, answer.admit(&question.Node, pod)
}

func parse(cpulist string) (cpuset.CPUSet, error) {
	cpus, err := cpuset.Parse(cpulist)
	if err != nil {
		return cpus, fmt.Errorf("cpulist %q: %w", cpulist, err)
	}
	return cpus, nil
}
