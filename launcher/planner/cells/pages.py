"""Whether the guest's huge pages are there: of its size, free and not promised to others, and within its group's limit.

The kernel promises pages when memory is mapped, and hands them out when it is touched: a free page that is promised is
not to be had (mm/hugetlb.c, hugetlb_acct_memory). Pages that may still be made (nr_overcommit_hugepages) come from
ordinary memory, and from any node: they do not count for a guest whose memory is bound to nodes.
"""

from __future__ import annotations

from collections.abc import Mapping

from launcher.errors import DoesNotFit
from launcher.host.model import AllowedCPUs, Host, PageLimit, PagePool
from launcher.planner.backing import Backing
from launcher.quantity import Quantity
from launcher.vmi.guest import GuestMemory


def check_page_size(memory: GuestMemory, host: Host) -> None:
    """Raise DoesNotFit where the guest wants huge pages of a size of which no node has any, free or not."""
    sizes = {pages.size_bytes for node in host.nodes for pages in node.huge_pages if pages.total}
    sizes |= {pool.size_bytes for pool in host.page_pools if pool.makeable}
    if memory.huge_page_bytes is None or memory.huge_page_bytes in sizes:
        return
    found = ", ".join(str(_size(size)) for size in sorted(sizes)) or "none"
    raise DoesNotFit(f"this host has no huge pages of {_size(memory.huge_page_bytes)} (it has {found}): reserve some")


def check_page_limit(memory: GuestMemory, allowed: AllowedCPUs) -> None:
    """Raise DoesNotFit where the control group may not have as many huge pages as the guest needs."""
    if memory.huge_page_bytes is None:
        return
    for limit in allowed.bounds.page_limits:
        if limit.size_bytes == memory.huge_page_bytes and limit.left_bytes < _pages_of(memory) * limit.size_bytes:
            raise _beyond_limit(memory, limit)


def _beyond_limit(memory: GuestMemory, limit: PageLimit) -> DoesNotFit:
    size, needed = _size(limit.size_bytes), _pages_of(memory)
    used = f", {_size(limit.used_bytes)} of it used" if limit.used_bytes else ""
    left = limit.left_bytes // limit.size_bytes
    return DoesNotFit(
        f"the guest needs {needed} huge pages of {size}, its control group leaves it {left} "
        f"({limit.source}: {_size(limit.limit_bytes)}{used}): give the container {_size(needed * limit.size_bytes)} of "
        f"them (a Pod's limit hugepages-{size})"
    )


def check_huge_pages(memory: GuestMemory, host: Host, backing: Backing, *, is_bound: bool = False) -> None:
    """Raise DoesNotFit where the guest wants more huge pages than it can have in all.

    A guest that is bound to nodes has none of those that are still to be made; what each node has is looked at
    elsewhere.
    """
    page_bytes = memory.huge_page_bytes
    if page_bytes is None:
        return
    check_page_size(memory, host)
    free = {node.node: pages.free for node in host.nodes for pages in node.huge_pages if pages.size_bytes == page_bytes}
    usable = {node: count for node, count in free.items() if node not in backing.closed}
    pool = _pool_of(host, page_bytes)
    makeable = 0 if is_bound else pool.makeable
    unpromised = max(0, sum(free.values()) - pool.promised)
    needed, to_be_had = _pages_of(memory), min(sum(usable.values()), unpromised) + makeable
    if needed <= to_be_had or (is_bound and not pool.promised):
        return
    where = _found(usable, PagePool(size_bytes=page_bytes, promised=pool.promised, makeable=makeable))
    shut = "".join(f"; node {node} {why}" for node, why in sorted(backing.closed.items()) if free.get(node))
    raise DoesNotFit(
        f"the guest needs {needed} huge pages of {_size(page_bytes)}, {where}{shut}: free or reserve "
        f"{needed - to_be_had} more"
    )


def _found(usable: Mapping[int, int], pool: PagePool) -> str:
    total = sum(usable.values())
    nodes = ", ".join(f"node {node}: {count}" for node, count in sorted(usable.items())) or "on no node"
    promised = f", of which {pool.promised} are promised to others (resv_hugepages)" if pool.promised else ""
    makeable = f", and {pool.makeable} more can be made (nr_overcommit_hugepages)" if pool.makeable else ""
    return f"{total} {'is' if total == 1 else 'are'} free ({nodes}){promised}{makeable}"


def _pool_of(host: Host, page_bytes: int) -> PagePool:
    found = (pool for pool in host.page_pools if pool.size_bytes == page_bytes)
    return next(found, PagePool(size_bytes=page_bytes))


def _pages_of(memory: GuestMemory) -> int:
    return -(-memory.guest_bytes // (memory.huge_page_bytes or 1))


def _size(size_bytes: int) -> Quantity:
    return Quantity.of_units(size_bytes, binary=True)
