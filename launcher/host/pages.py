"""Huge pages beyond the nodes' own count: those promised already, and those still to be made.

| file in /sys/kernel/mm/hugepages/hugepages-SIZE | what it says |
|---|---|
| resv_hugepages | free pages that somebody has mapped and not touched yet: free, and not to be had |
| nr_overcommit_hugepages, surplus_hugepages | pages that may be made when wanted, and those made |

An absent file says nothing; anything that does not parse is a HostError. Sources: the kernel's
admin-guide/mm/hugetlbpage.rst, and mm/hugetlb.c (hugetlb_acct_memory).
"""

from __future__ import annotations

import re

from launcher.host.model import PagePool
from launcher.host.tree import Tree, read_integer

_FOLDER = "sys/kernel/mm/hugepages"
_SIZE = re.compile(r"hugepages-(\d{1,12})kB", re.ASCII)


def read_pools(tree: Tree) -> tuple[PagePool, ...]:
    """Return the sizes of which free pages are promised already or more can be made, ascending."""
    pools = (_read_pool(tree, kilobytes) for kilobytes in page_sizes(tree))
    return tuple(pool for pool in pools if pool.promised or pool.makeable)


def page_sizes(tree: Tree) -> tuple[int, ...]:
    """Return the sizes of huge pages that this kernel knows, in kilobytes."""
    matches = (_SIZE.fullmatch(name) for name in tree.list(_FOLDER))
    return tuple(sorted(int(match[1]) for match in matches if match))


def _read_pool(tree: Tree, kilobytes: int) -> PagePool:
    folder = f"{_FOLDER}/hugepages-{kilobytes}kB"
    promised, most, made = (
        read_integer(tree, f"{folder}/{name}") or 0
        for name in ("resv_hugepages", "nr_overcommit_hugepages", "surplus_hugepages")
    )
    return PagePool(size_bytes=kilobytes << 10, promised=promised, makeable=max(0, most - made))
