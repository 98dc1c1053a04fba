"""Huge pages beyond the nodes' counts: promised to others, still to be made, and limited by the control group."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.errors import DoesNotFit
from launcher.host.model import AllowedCPUs, Bounds, Host, PageLimit, PagePool
from launcher.planner.plan import plan
from launcher.vmi.guest import GuestMemory
from tests.planner.guests import MIB, a_guest, a_host, allow

_SOURCE = "/sys/fs/cgroup/hugetlb.2MB.max"


def _memory(pages: int) -> GuestMemory:
    return GuestMemory(guest_bytes=pages * 2 * MIB, huge_page_bytes=2 * MIB)


def _host(free: int, *, promised: int = 0, makeable: int = 0) -> Host:
    host = a_host(1, 2, 1, free_pages={0: free})
    return replace(host, page_pools=(PagePool(size_bytes=2 * MIB, promised=promised, makeable=makeable),))


def _limited(limit: int, used: int = 0, size: int = 2) -> AllowedCPUs:
    one = PageLimit(size_bytes=size * MIB, limit_bytes=limit * MIB, used_bytes=used * MIB, source=_SOURCE)
    return replace(allow("0-1"), bounds=Bounds(page_limits=(one,)))


_FITS = [
    pytest.param(_host(17), allow("0-1"), id="as many as are free"),
    pytest.param(_host(20, promised=3), allow("0-1"), id="as many as nobody was promised"),
    pytest.param(_host(10, makeable=7), allow("0-1"), id="as many as are free and can be made"),
    pytest.param(_host(0, makeable=17), allow("0-1"), id="none reserved, and all can be made"),
    pytest.param(_host(20), _limited(34), id="as many as the control group may have"),
    pytest.param(_host(20), _limited(0, size=1024), id="a limit of another size"),
]


@pytest.mark.parametrize("passthrough", [True, False])
@pytest.mark.parametrize(("host", "allowed"), _FITS[:2] + _FITS[4:])
def test_a_guest_of_as_many_pages_as_are_there_fits(host: Host, allowed: AllowedCPUs, *, passthrough: bool) -> None:
    assert plan(a_guest(1, 2, passthrough=passthrough, memory=_memory(17)), host, allowed).vcpus


@pytest.mark.parametrize("dedicated", [True, False])
@pytest.mark.parametrize(("host", "allowed"), _FITS[2:4])
def test_pages_that_can_be_made_count_for_a_guest_that_is_bound_to_no_node(
    host: Host, allowed: AllowedCPUs, *, dedicated: bool
) -> None:
    assert plan(a_guest(1, 2, dedicated=dedicated, memory=_memory(17)), host, allowed).cpuset


_DO_NOT = [
    pytest.param(
        _host(20, promised=4),
        allow("0-1"),
        "the guest needs 17 huge pages of 2Mi, 20 are free (node 0: 20), of which 4 are promised to others "
        "(resv_hugepages): free or reserve 1 more",
        id="promised",
    ),
    pytest.param(
        _host(20),
        _limited(32),
        f"the guest needs 17 huge pages of 2Mi, its control group leaves it 16 ({_SOURCE}: 32Mi): give the container "
        "34Mi of them (a Pod's limit hugepages-2Mi)",
        id="limited",
    ),
    pytest.param(
        _host(20),
        _limited(64, 32),
        f"the guest needs 17 huge pages of 2Mi, its control group leaves it 16 ({_SOURCE}: 64Mi, 32Mi of it used): "
        "give the container 34Mi of them (a Pod's limit hugepages-2Mi)",
        id="limited and used",
    ),
    pytest.param(
        _host(20),
        _limited(0),
        f"the guest needs 17 huge pages of 2Mi, its control group leaves it 0 ({_SOURCE}: 0): give the container "
        "34Mi of them (a Pod's limit hugepages-2Mi)",
        id="a Pod that asked for none",
    ),
]


@pytest.mark.parametrize("passthrough", [True, False])
@pytest.mark.parametrize(("host", "allowed", "words"), _DO_NOT)
def test_one_page_too_few_is_told_with_the_numbers_and_the_file(
    host: Host, allowed: AllowedCPUs, words: str, *, passthrough: bool
) -> None:
    with pytest.raises(DoesNotFit) as caught:
        plan(a_guest(1, 2, passthrough=passthrough, memory=_memory(17)), host, allowed)
    assert str(caught.value) == words


def test_what_can_be_made_is_told_where_it_is_too_little() -> None:
    with pytest.raises(DoesNotFit) as caught:
        plan(a_guest(1, 2, memory=_memory(17)), _host(10, promised=2, makeable=3), allow("0-1"))
    assert str(caught.value) == (
        "the guest needs 17 huge pages of 2Mi, 10 are free (node 0: 10), of which 2 are promised to others "
        "(resv_hugepages), and 3 more can be made (nr_overcommit_hugepages): free or reserve 6 more"
    )


def test_a_limit_holds_no_guest_without_huge_pages() -> None:
    assert plan(a_guest(1, 2), _host(0), _limited(0)).vcpus
