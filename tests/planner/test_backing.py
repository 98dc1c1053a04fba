"""What backs the guest's memory: huge pages that are free, nodes that have memory and are open to the container."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit, HostError
from launcher.host.model import AllowedCPUs, Bounds, Host
from launcher.host.synthetic import parse_synthetic
from launcher.planner.plan import plan
from launcher.planner.replan.replan import replan
from launcher.vmi.guest import GuestMemory
from tests.planner.guests import GIB, MIB, a_guest, a_host, allow

_MEMS = "/sys/fs/cgroup/cpuset.mems.effective"


def _bounded(cpulist: str, nodes: str) -> AllowedCPUs:
    return replace(allow(cpulist), bounds=Bounds(memory_nodes=CPUSet.parse(nodes), memory_source=_MEMS))


def _without_memory(host: Host, *nodes: int) -> Host:
    emptied = tuple(replace(n, memory_bytes=0, huge_pages=()) if n.node in nodes else n for n in host.nodes)
    return replace(host, nodes=emptied)


def _memory(pages: int, page_bytes: int = 2 * MIB) -> GuestMemory:
    return GuestMemory(guest_bytes=pages * page_bytes, huge_page_bytes=page_bytes)


@pytest.mark.parametrize("dedicated", [True, False])
def test_huge_pages_are_counted_over_all_nodes(*, dedicated: bool) -> None:
    host = a_host(2, 2, 1, free_pages={0: 10, 1: 7})
    assert plan(a_guest(1, 2, dedicated=dedicated, memory=_memory(17)), host, allow("0-1")).cells == ()
    with pytest.raises(DoesNotFit) as caught:
        plan(a_guest(1, 2, dedicated=dedicated, memory=_memory(18)), host, allow("0-1"))
    assert str(caught.value) == (
        "the guest needs 18 huge pages of 2Mi, 17 are free (node 0: 10, node 1: 7): free or reserve 1 more"
    )


@pytest.mark.parametrize("passthrough", [True, False])
def test_a_size_that_the_host_has_not_is_a_sentence_of_its_own(*, passthrough: bool) -> None:
    host = parse_synthetic("numa:1(hugepages=2MiB:64,1GiB:0) core:4 pu:1")
    with pytest.raises(DoesNotFit) as caught:
        plan(a_guest(1, 2, passthrough=passthrough, memory=_memory(1, GIB)), host, allow("0-1"))
    assert str(caught.value) == "this host has no huge pages of 1Gi (it has 2Mi): reserve some"


def test_pages_of_a_node_that_is_shut_to_the_container_do_not_count() -> None:
    host = a_host(2, 2, 1, free_pages={0: 10, 1: 7})
    with pytest.raises(DoesNotFit) as caught:
        plan(a_guest(1, 2, memory=_memory(8)), host, _bounded("0-1", "1"))
    assert str(caught.value) == (
        "the guest needs 8 huge pages of 2Mi, 7 are free (node 1: 7); node 0 is shut to this container's memory "
        f"(nodes 1, read from {_MEMS}): free or reserve 1 more"
    )


def test_a_running_guest_that_has_its_pages_is_planned_anew_without_more() -> None:
    before, after = a_host(1, 4, 1, free_pages={0: 8}), a_host(1, 4, 1, free_pages={0: 0})
    for dedicated in (True, False):
        guest = a_guest(1, 2, dedicated=dedicated, memory=_memory(8))
        assert replan(plan(guest, before, allow("0-1")), guest, after, allow("1-2")).cpuset == CPUSet.parse("1-2")


def test_passthrough_on_a_node_without_memory_says_which_nodes_have_some() -> None:
    host = _without_memory(a_host(4, 2, 1, free_pages=dict.fromkeys(range(4), 100)), 0, 3)
    guest = a_guest(1, 2, passthrough=True, memory=_memory(8))
    with pytest.raises(DoesNotFit) as caught:
        plan(guest, host, allow("0-1,6-7"))
    assert str(caught.value) == (
        "numa.guestMappingPassthrough, for 2 vCPUs: node 0 has no memory of its own; node 3 has no memory of its own: "
        "give the container CPUs of nodes 1 or 2"
    )
    assert [pin.cpu for pin in plan(guest, host, allow("0-3")).vcpus] == [2, 3]


def test_passthrough_on_a_node_that_is_shut_says_where_that_is_written() -> None:
    host = a_host(2, 2, 1, free_pages={0: 100, 1: 100})
    guest = a_guest(1, 2, passthrough=True, memory=_memory(8))
    with pytest.raises(DoesNotFit) as caught:
        plan(guest, host, _bounded("0-1", "1"))
    assert str(caught.value) == (
        "numa.guestMappingPassthrough, for 2 vCPUs: node 0 is shut to this container's memory (nodes 1, read from "
        f"{_MEMS}): give the container CPUs of node 1"
    )
    assert [cell.node for cell in plan(guest, host, _bounded("0-3", "1")).cells] == [1]


def test_vcpus_are_where_memory_is_if_the_cpuset_leaves_the_choice() -> None:
    host = _without_memory(a_host(2, 4, 2), 0)
    pinning = plan(a_guest(1, 4, 2), host, allow("0-15"))
    assert {pin.node for pin in pinning.vcpus} == {1}
    assert pinning.warnings == ()


def test_housekeeping_is_where_no_memory_is_if_that_spares_the_vcpus() -> None:
    host = _without_memory(a_host(2, 2, 2), 0)
    pinning = plan(a_guest(1, 2, 2, isolate=True), host, allow("0-7"))
    assert ({pin.node for pin in pinning.vcpus}, str(pinning.emulator)) == ({1}, "0")


def test_vcpus_that_have_to_be_far_from_all_memory_are_a_warning_with_the_cure() -> None:
    host = _without_memory(a_host(3, 2, 1), 0)
    assert plan(a_guest(1, 2), host, allow("0-1")).warnings == (
        (
            "2 of 2 vCPUs run far from all memory (0-1): node 0 has no memory of its own: "
            "give the container CPUs of nodes 1 or 2"
        ),
    )
    assert plan(a_guest(1, 2), a_host(2, 2, 1), _bounded("0-1", "1")).warnings == (
        (
            "2 of 2 vCPUs run far from all memory (0-1): node 0 is shut to this container's memory (nodes 1, read from "
            f"{_MEMS}): give the container CPUs of node 1"
        ),
    )


def test_a_host_of_which_no_memory_is_known_is_planned_as_ever() -> None:
    host = a_host(2, 2, 1)
    assert plan(a_guest(1, 2), _without_memory(host, 0, 1), allow("0-3")) == plan(a_guest(1, 2), host, allow("0-3"))


def test_memory_of_nodes_that_the_host_has_not_is_an_error_of_the_host() -> None:
    with pytest.raises(HostError) as caught:
        plan(a_guest(1, 2), a_host(2, 2, 1), _bounded("0-1", "5"))
    assert str(caught.value) == f"{_MEMS}: memory of nodes 5; this host has nodes 0-1"
