//go:build kubelet_1_36

package main

import (
	"github.com/go-logr/logr"
	cadvisor "github.com/google/cadvisor/info/v1"
	"github.com/google/cadvisor/utils/sysfs"
	"github.com/google/cadvisor/utils/sysinfo"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/admission"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager/topology"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
)

type (
	sysFs     = sysfs.SysFs
	cacheInfo = sysfs.CacheInfo
	nodes     = []cadvisor.Node
)

func readNodes(m machine) (nodes, int, error) { return sysinfo.GetNodesInfo(m) }

func topologyOf(found nodes, threads, sockets int) (*topology.CPUTopology, error) {
	info := &cadvisor.MachineInfo{NumCores: threads, NumSockets: sockets, Topology: found}
	return topology.Discover(logr.Discard(), info)
}

func newManager(node *Node, seen *sight) (topologymanager.Manager, error) {
	wanted := node.TopologyManager
	return topologymanager.NewManager(seen.nodes, wanted.Policy, wanted.Scope, wanted.Options)
}

func (k *kubelet) provideHints() { k.manager.AddHintProvider(logr.Discard(), provider{k}) }

func (k *kubelet) provideDeviceHints(d devices) {
	k.manager.AddHintProvider(logr.Discard(), deviceProvider{d})
}

func (k *kubelet) admitByManager(pod *v1.Pod) lifecycle.PodAdmitResult {
	return k.manager.Admit(&lifecycle.PodAdmitAttributes{Pod: pod, Operation: lifecycle.AddOperation})
}

func (k *kubelet) allocate(pod *v1.Pod, container *v1.Container) error {
	return k.policy.Allocate(logr.Discard(), k.state, pod, container)
}

func refusal(err error) lifecycle.PodAdmitResult { return admission.GetPodAdmitResult(err) }

func (h hinted) GetAffinity(string, string) topologymanager.TopologyHint { return h.hint() }

// provider is what the CPU manager is to the Topology Manager (cpu_manager.go, without its lock and its reconciling).
type provider struct{ *kubelet }

func (p provider) GetTopologyHints(pod *v1.Pod, container *v1.Container) map[string][]topologymanager.TopologyHint {
	return p.policy.GetTopologyHints(logr.Discard(), p.state, pod, container)
}

func (p provider) GetPodTopologyHints(pod *v1.Pod) map[string][]topologymanager.TopologyHint {
	return p.policy.GetPodTopologyHints(logr.Discard(), p.state, pod)
}

func (p provider) AllocatePod(pod *v1.Pod) error {
	return p.policy.AllocatePod(logr.Discard(), p.state, pod)
}

func (p provider) Allocate(pod *v1.Pod, container *v1.Container) error {
	return p.policy.Allocate(logr.Discard(), p.state, pod, container)
}

type deviceProvider struct{ devices }

func (d deviceProvider) GetTopologyHints(
	pod *v1.Pod, container *v1.Container,
) map[string][]topologymanager.TopologyHint {
	return d.hintsFor(pod, container)
}

func (d deviceProvider) GetPodTopologyHints(*v1.Pod) map[string][]topologymanager.TopologyHint {
	return d.hints()
}

func (d deviceProvider) AllocatePod(*v1.Pod) error { return nil }

func (d deviceProvider) Allocate(*v1.Pod, *v1.Container) error { return nil }
