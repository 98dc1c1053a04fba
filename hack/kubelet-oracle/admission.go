package main

import (
	"context"
	"fmt"
	"math"

	"github.com/go-logr/logr"
	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager/state"
	"k8s.io/kubernetes/pkg/kubelet/cm/cpumanager/topology"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager/bitmask"
	"k8s.io/kubernetes/pkg/kubelet/lifecycle"
)

// kubelet is the part of one that decides about CPUs: the Topology Manager, the static policy and its state.
type kubelet struct {
	manager topologymanager.Manager
	policy  cpumanager.Policy
	state   state.State
}

const (
	podUID   = "asked"
	otherUID = "other"
)

// admit asks a kubelet that has just started on the node, with some CPUs in use, to admit the Pod.
func (answer *Answer) admit(node *Node, pod *v1.Pod) error {
	kubelet, err := start(node)
	if err != nil {
		answer.Unstarted = err.Error()
		return nil
	}
	if err := kubelet.use(node.InUse); err != nil {
		return err
	}
	result := kubelet.admitPod(node, pod)
	if !result.Admit {
		answer.Refusal = &Refusal{Reason: result.Reason, Message: result.Message}
	}
	answer.CPUs = map[string]string{}
	for container, cpus := range kubelet.state.GetCPUAssignments()[podUID] {
		answer.CPUs[container] = cpus.String()
	}
	answer.Pool = kubelet.state.GetDefaultCPUSet().String()
	return nil
}

// start starts the managers as the kubelet does; an error is why such a kubelet ends at its start.
func start(node *Node) (*kubelet, error) {
	seen, err := discover(node)
	if err != nil {
		return nil, err
	}
	reserved, err := parse(node.Reserved)
	if err != nil {
		return nil, err
	}
	manager, err := newManager(node, seen)
	if err != nil {
		return nil, err
	}
	count := node.ReservedCount
	if reserved.Size() > 0 {
		count = reserved.Size()
	}
	var store topologymanager.Store = manager
	if node.NUMAHint != nil {
		store = hinted{Store: manager, nodes: node.NUMAHint}
	}
	policy, err := cpumanager.NewStaticPolicy(logr.Discard(), seen.topology, count, reserved, store, node.Options)
	if err != nil {
		return nil, err
	}
	memory := state.NewMemoryState(logr.Discard())
	if err := policy.Start(logr.Discard(), memory); err != nil {
		return nil, err
	}
	kubelet := &kubelet{manager: manager, policy: policy, state: memory}
	kubelet.provideHints()
	if len(node.DeviceNodes) > 0 {
		kubelet.provideDeviceHints(devices{nodes: seen.numbers(), resources: node.DeviceNodes})
	}
	return kubelet, nil
}

// use gives CPUs to a container of another Pod, as the state file of a kubelet that runs already has it.
func (k *kubelet) use(cpulist string) error {
	cpus, err := parse(cpulist)
	if err != nil || cpus.IsEmpty() {
		return err
	}
	k.state.SetCPUSet(otherUID, "container", cpus)
	k.state.SetDefaultCPUSet(k.state.GetDefaultCPUSet().Difference(cpus))
	return nil
}

func (k *kubelet) admitPod(node *Node, pod *v1.Pod) lifecycle.PodAdmitResult {
	if node.NUMAHint == nil {
		return k.admitByManager(pod)
	}
	for _, containers := range [][]v1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range containers {
			if err := k.allocate(pod, &containers[i]); err != nil {
				return refusal(err)
			}
		}
	}
	return lifecycle.PodAdmitResult{Admit: true}
}

// hinted is a Topology Manager that has decided already.
type hinted struct {
	topologymanager.Store
	nodes []int
}

func (h hinted) hint() topologymanager.TopologyHint {
	mask, err := bitmask.NewBitMask(h.nodes...)
	if err != nil {
		return topologymanager.TopologyHint{}
	}
	return topologymanager.TopologyHint{NUMANodeAffinity: mask, Preferred: true}
}

// sight is what the kubelet knows of the machine.
type sight struct {
	topology *topology.CPUTopology
	nodes    nodes
}

func (s *sight) numbers() []int {
	numbers := make([]int, 0, len(s.nodes))
	for _, node := range s.nodes {
		numbers = append(numbers, node.Id)
	}
	return numbers
}

func discover(node *Node) (*sight, error) {
	nodes, threads, err := readNodes(machine{node: node})
	if err != nil {
		return nil, err
	}
	if threads > math.MaxInt32 {
		return nil, fmt.Errorf("%d CPUs", threads)
	}
	found, err := topologyOf(nodes, threads, machine{node: node}.sockets())
	return &sight{topology: found, nodes: nodes}, err
}

func quiet() context.Context { return logr.NewContext(context.Background(), logr.Discard()) }
