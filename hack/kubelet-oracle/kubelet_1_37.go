//go:build !kubelet_1_36

package main

import (
	"context"

	"github.com/go-logr/logr"
	cadvisor "github.com/google/cadvisor/lib/model"
	"github.com/google/cadvisor/lib/utils/sysfs"
	"github.com/google/cadvisor/lib/utils/sysinfo"
	v1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"
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
	return topologymanager.NewManager(logr.Discard(), seen.nodes, wanted.Policy, wanted.Scope, wanted.Options)
}

func (k *kubelet) provideHints() { k.manager.AddHintProvider(logr.Discard(), provider{k}) }

func (k *kubelet) provideDeviceHints(d devices) {
	k.manager.AddHintProvider(logr.Discard(), deviceProvider{d})
}

func (k *kubelet) admitByManager(pod *v1.Pod) lifecycle.PodAdmitResult {
	return k.manager.Admit(quiet(), &lifecycle.PodAdmitAttributes{Pod: pod, Operation: lifecycle.AddOperation})
}

func (k *kubelet) allocate(pod *v1.Pod, container *v1.Container) error {
	return k.policy.Allocate(logr.Discard(), k.state, pod, container, lifecycle.AddOperation)
}

func refusal(err error) lifecycle.PodAdmitResult { return admission.GetPodAdmitResult(err) }

func (h hinted) GetAffinity(klog.Logger, string, string) topologymanager.TopologyHint {
	return h.hint()
}

// provider is what the CPU manager is to the Topology Manager (cpu_manager.go, without its lock and its reconciling).
type provider struct{ *kubelet }

func (p provider) GetTopologyHints(
	logger klog.Logger, pod *v1.Pod, container *v1.Container, operation lifecycle.Operation,
) map[string][]topologymanager.TopologyHint {
	return p.policy.GetTopologyHints(logger, p.state, pod, container, operation)
}

func (p provider) GetPodTopologyHints(
	logger klog.Logger, pod *v1.Pod, operation lifecycle.Operation,
) map[string][]topologymanager.TopologyHint {
	return p.policy.GetPodTopologyHints(logger, p.state, pod, operation)
}

func (p provider) AllocatePod(logger klog.Logger, pod *v1.Pod, operation lifecycle.Operation) error {
	return p.policy.AllocatePod(logger, p.state, pod, operation)
}

func (p provider) Allocate(
	ctx context.Context, pod *v1.Pod, container *v1.Container, operation lifecycle.Operation,
) error {
	return p.policy.Allocate(klog.FromContext(ctx), p.state, pod, container, operation)
}

type deviceProvider struct{ devices }

func (d deviceProvider) GetTopologyHints(
	_ klog.Logger, pod *v1.Pod, container *v1.Container, _ lifecycle.Operation,
) map[string][]topologymanager.TopologyHint {
	return d.hintsFor(pod, container)
}

func (d deviceProvider) GetPodTopologyHints(
	klog.Logger, *v1.Pod, lifecycle.Operation,
) map[string][]topologymanager.TopologyHint {
	return d.hints()
}

func (d deviceProvider) AllocatePod(klog.Logger, *v1.Pod, lifecycle.Operation) error { return nil }

func (d deviceProvider) Allocate(context.Context, *v1.Pod, *v1.Container, lifecycle.Operation) error {
	return nil
}
