"""What a plan foresees of the guest's memory: which of it will be far from the vCPUs, and cells of ordinary pages."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.host.model import AllowedCPUs, Bounds, Host
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.vmi.guest import GuestMemory
from tests.planner.guests import GIB, MIB, a_guest, a_host, allow


def _available(*gib: float, free_pages: dict[int, int] | None = None) -> Host:
    host = a_host(len(gib), 4, 1, free_pages=free_pages)
    sizes = zip(host.nodes, gib, strict=True)
    return replace(host, nodes=tuple(replace(node, available_bytes=int(size * GIB)) for node, size in sizes))


def _about_memory(pinning: Pinning) -> list[str]:
    return [warning for warning in pinning.warnings if "memory" in warning]


@pytest.mark.parametrize(
    ("cpuset", "cores", "percent"),
    [("0-1,4-5", 4, "50%"), ("0-2,4", 4, "38%"), ("0-3,4-5", 6, "44%")],
)
def test_vcpus_on_two_nodes_are_told_how_much_will_be_remote(cpuset: str, cores: int, percent: str) -> None:
    (warning,) = _about_memory(plan(a_guest(1, cores), a_host(2, 4, 1), allow(cpuset)))[-1:]
    assert f"about {percent} of the memory that they touch will be on another node" in warning
    assert warning.endswith("or set spec.domain.cpu.numa.guestMappingPassthrough: {}")


def test_on_one_node_that_has_the_memory_nothing_is_remote() -> None:
    pinning = plan(a_guest(1, 4), _available(2, 2), allow("0-3"))
    assert _about_memory(pinning) == []
    assert "memory: bound to no node; the kernel takes it from node 0, where all vCPUs are, while it has some" in [
        reason.text for reason in pinning.reasons
    ]


@pytest.mark.parametrize("pages", [None, 2 * MIB])
def test_what_the_vcpus_node_lacks_will_be_remote(pages: int | None) -> None:
    memory = GuestMemory(guest_bytes=GIB, huge_page_bytes=pages)
    host = _available(0.75, 2, free_pages={0: 384, 1: 1024})
    (warning,) = _about_memory(plan(a_guest(1, 4, memory=memory), host, allow("0-3")))
    assert warning == (
        "node 0, on which all vCPUs are, has 768Mi to be had of the guest's 1Gi: 256Mi at least will be on other "
        "nodes: free memory on that node, or give the container CPUs of a node that has as much"
    )


def test_cells_of_ordinary_pages_share_the_memory_in_units_of_two_mebibytes() -> None:
    guest = a_guest(3, 1, passthrough=True, memory=GuestMemory(guest_bytes=1000 * MIB))
    pinning = plan(guest, _available(2, 2), allow("0-1,4"))
    assert [(cell.node, str(cell.vcpus), cell.memory_bytes // MIB) for cell in pinning.cells] == [
        (0, "0-1", 666),
        (1, "2", 334),
    ]
    assert _about_memory(pinning) == []
    assert [reason.text for reason in pinning.reasons if "memory" in reason.text] == [
        "memory of cell 0: 666Mi, bound to node 0 alone",
        "memory of cell 1: 334Mi, bound to node 1 alone",
    ]


def test_an_odd_number_of_mebibytes_is_dealt_in_mebibytes() -> None:
    guest = a_guest(1, 2, passthrough=True, memory=GuestMemory(guest_bytes=101 * MIB))
    pinning = plan(guest, _available(2, 2), allow("0,4"))
    assert [cell.memory_bytes // MIB for cell in pinning.cells] == [51, 50]


def test_a_part_of_a_mebibyte_is_refused_for_libvirt_would_round_each_cell_up() -> None:
    guest = a_guest(1, 2, passthrough=True, memory=GuestMemory(guest_bytes=101 * MIB + 4096))
    with pytest.raises(DoesNotFit, match="103428Ki is not a whole number of 1Mi, in which cells have their memory"):
        plan(guest, _available(2, 2), allow("0,4"))


def test_cells_go_where_the_memory_is() -> None:
    guest = a_guest(1, 4, passthrough=True, memory=GuestMemory(guest_bytes=2 * GIB))
    assert [cell.node for cell in plan(guest, _available(1, 4), allow("0-7")).cells] == [1]
    shared = plan(guest, _available(0.5, 1.5), allow("0-7")).cells
    assert [(cell.node, len(cell.vcpus), cell.memory_bytes) for cell in shared] == [
        (0, 1, GIB // 2),
        (1, 3, 3 * GIB // 2),
    ]


def test_a_node_without_enough_memory_is_named_with_need_and_supply() -> None:
    guest = a_guest(1, 2, passthrough=True, memory=GuestMemory(guest_bytes=2 * GIB))
    with pytest.raises(DoesNotFit) as refused:
        plan(guest, _available(4, 0.25), allow("0,4"))
    assert str(refused.value) == (
        "node 1 has 256Mi of memory to be had, the guest's cell 1 there needs 1Gi: free 768Mi on that node, give the "
        "container CPUs of a node that has more, or make the guest smaller (spec.domain.memory.guest)"
    )


def test_no_node_is_bound_to_whose_memory_the_container_may_not_have() -> None:
    guest = a_guest(1, 2, passthrough=True)
    bounds = Bounds(memory_nodes=CPUSet.parse("1"), memory_source="/sys/fs/cgroup/cpuset.mems.effective")
    allowed = AllowedCPUs(cpus=CPUSet.parse("0-1,4-5"), source="x", bounds=bounds)
    assert [cell.node for cell in plan(guest, _available(4, 4), allowed).cells] == [1]
    with pytest.raises(DoesNotFit, match=r"node 0 is shut to this container's memory \(nodes 1"):
        plan(guest, _available(4, 4), replace(allowed, cpus=CPUSet.parse("0-1")))


def test_where_nobody_knows_what_is_to_be_had_the_whole_node_counts() -> None:
    guest = a_guest(1, 2, passthrough=True, memory=GuestMemory(guest_bytes=15 * GIB))
    assert [cell.node for cell in plan(guest, a_host(2, 4, 1), allow("0-7")).cells] == [0]
    too_large = replace(guest, memory=GuestMemory(guest_bytes=17 * GIB))
    assert [cell.node for cell in plan(too_large, a_host(2, 4, 1), allow("0-7")).cells] == [0, 1]
