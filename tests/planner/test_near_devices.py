"""The nodes of the guest's devices: the vCPUs are there where that costs no term of the objective."""

from __future__ import annotations

import pytest

from launcher.cpuset import CPUSet
from launcher.host.model import AllowedCPUs
from launcher.host.synthetic import parse_synthetic
from launcher.planner.plan import plan
from launcher.planner.replan.replan import replan
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology

TWO_NODES = "node:2 core:4 pu:2"
TWO_CACHES = "node:2 l3:2 core:2 pu:1"


def _nodes(
    topology: Topology, cpuset: str, devices: tuple[int, ...], shape: str, *, isolated: bool = False
) -> set[int]:
    cpu = GuestCPU(topology=topology, dedicated=True, isolate_emulator_thread=isolated)
    guest = Guest(name="g", cpu=cpu, memory=GuestMemory(guest_bytes=1 << 30))
    allowed = AllowedCPUs(cpus=CPUSet.parse(cpuset), source="test")
    pinning = plan(guest, parse_synthetic(shape), allowed, device_nodes=devices)
    return {pin.node for pin in pinning.vcpus}


@pytest.mark.parametrize(
    ("topology", "cpuset", "devices", "shape", "nodes"),
    [
        (Topology(cores=2, threads=2), "0-15", (), TWO_NODES, {0}),
        (Topology(cores=2, threads=2), "0-15", (0,), TWO_NODES, {0}),
        (Topology(cores=2, threads=2), "0-15", (1,), TWO_NODES, {1}),
        (Topology(cores=2, threads=2), "0-15", (0, 1), TWO_NODES, {0}),
        (Topology(cores=2, threads=2), "0-7", (1,), TWO_NODES, {0}),
        # On node 1 there is one core whole: the guest's other core would be split.
        (Topology(cores=2, threads=2), "0-3,8-9,10,12", (1,), TWO_NODES, {0}),
        (Topology(cores=2, threads=2), "0-3,8-11", (1,), TWO_NODES, {1}),
        # Too large for one node: both, with or without a wish.
        (Topology(cores=6, threads=1), "0-15", (1,), "node:2 core:4 pu:1", {0, 1}),
        # Two CPUs of one cache on node 0, of two caches on node 1: the sixth term comes first.
        (Topology(cores=2), "0-1,4,6", (1,), TWO_CACHES, {0}),
        (Topology(cores=2), "0-1,4-5", (1,), TWO_CACHES, {1}),
        # A node that the host has not, and one that the container has no CPU of.
        (Topology(cores=2), "0-3", (7,), TWO_CACHES, {0}),
    ],
    ids=[
        "no_devices",
        "where_it_would_be_anyway",
        "the_other_node",
        "both_nodes",
        "no_cpu_of_that_node",
        "not_where_a_guest_core_is_split",
        "where_the_cores_are_whole",
        "a_guest_of_two_nodes",
        "not_where_a_cache_is_crossed",
        "where_no_cache_is_crossed",
        "an_unknown_node",
    ],
)
def test_vcpus_are_on_the_devices_nodes_where_no_term_is_worse(
    topology: Topology, cpuset: str, devices: tuple[int, ...], shape: str, nodes: set[int]
) -> None:
    shape_cpus = parse_synthetic(shape).online
    kept = str(CPUSet.parse(cpuset) & shape_cpus)
    assert _nodes(topology, kept, devices, shape) == nodes


def test_an_isolated_emulator_does_not_keep_the_vcpus_from_their_devices() -> None:
    assert _nodes(Topology(cores=2), "0-15", (1,), TWO_NODES, isolated=True) == {1}


@pytest.mark.parametrize(
    ("devices", "now", "cpus"),
    [
        ((), "0,2,4-7", (0, 2)),
        ((1,), "0,4-7", (0, 4)),
        # Another node used is worse than a device far away, and so is another cache.
        ((1,), "0,2,4-7", (0, 2)),
        # Both vCPUs move, and nothing else tells between the nodes.
        ((), "2-7", (2, 3)),
        ((1,), "2-7", (4, 5)),
        ((1,), "2-4,6", (2, 3)),
        ((7,), "2-7", (2, 3)),
    ],
    ids=[
        "no_devices",
        "one_vcpu_moves_to_the_only_node_left",
        "not_where_another_node_is_used",
        "both_move",
        "both_move_to_the_device",
        "not_where_a_cache_is_crossed",
        "an_unknown_node",
    ],
)
def test_movers_go_to_the_devices_nodes_where_no_term_is_worse(
    devices: tuple[int, ...], now: str, cpus: tuple[int, ...]
) -> None:
    guest = Guest(
        name="g",
        cpu=GuestCPU(topology=Topology(cores=2), dedicated=True),
        memory=GuestMemory(guest_bytes=1 << 30),
    )
    host = parse_synthetic(TWO_CACHES)
    before = plan(guest, host, AllowedCPUs(cpus=CPUSet.parse("0-1"), source="test"))
    allowed = AllowedCPUs(cpus=CPUSet.parse(now), source="test")
    after = replan(before, guest, host, allowed, device_nodes=devices)
    assert tuple(pin.cpu for pin in after.vcpus) == cpus


def test_a_mover_is_near_the_devices_before_housekeeping_stays_where_it_was() -> None:
    cpu = GuestCPU(topology=Topology(cores=2), dedicated=True, isolate_emulator_thread=True)
    guest = Guest(name="g", cpu=cpu, memory=GuestMemory(guest_bytes=1 << 30))
    host = parse_synthetic("node:2 core:4 pu:1")
    before = plan(guest, host, AllowedCPUs(cpus=CPUSet.parse("0-2"), source="test"))
    there = replan(before, guest, host, AllowedCPUs(cpus=CPUSet.parse("4-6"), source="test"))
    assert there.emulator == CPUSet.parse("6")
    allowed = AllowedCPUs(cpus=CPUSet.parse("2-3,6-7"), source="test")
    for devices, emulator in (((), "6"), ((0,), "6"), ((1,), "2")):
        after = replan(there, guest, host, allowed, device_nodes=devices)
        assert (after.emulator, after.score) == (CPUSet.parse(emulator), there.score)
