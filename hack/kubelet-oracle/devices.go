package main

import (
	"fmt"

	v1 "k8s.io/api/core/v1"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager"
	"k8s.io/kubernetes/pkg/kubelet/cm/topologymanager/bitmask"
)

// devices are what the device manager is to the Topology Manager, on a node whose devices are all free, and all asked
// for by the first container: of each resource the NUMA nodes of its devices, none for one of which some has no node.
// What they hint is as its generateDeviceTopologyHints has it (devicemanager/topology_hints.go), which is private.
type devices struct {
	nodes     []int
	resources [][]int
}

func (d devices) hintsFor(pod *v1.Pod, container *v1.Container) map[string][]topologymanager.TopologyHint {
	if len(pod.Spec.Containers) == 0 || container.Name != pod.Spec.Containers[0].Name {
		return nil
	}
	return d.hints()
}

func (d devices) hints() map[string][]topologymanager.TopologyHint {
	hints := map[string][]topologymanager.TopologyHint{}
	for number, on := range d.resources {
		hints[fmt.Sprintf("example.com/r%d", number)] = d.hintsOf(on)
	}
	return hints
}

func (d devices) hintsOf(on []int) []topologymanager.TopologyHint {
	hints := []topologymanager.TopologyHint{}
	if len(on) == 0 {
		return hints
	}
	fewest := len(d.nodes)
	bitmask.IterateBitMasks(d.nodes, func(mask bitmask.BitMask) {
		for _, node := range on {
			if !mask.IsSet(node) {
				return
			}
		}
		if mask.Count() < fewest {
			fewest = mask.Count()
		}
		hints = append(hints, topologymanager.TopologyHint{NUMANodeAffinity: mask})
	})
	for i := range hints {
		hints[i].Preferred = hints[i].NUMANodeAffinity.Count() == fewest
	}
	return hints
}
