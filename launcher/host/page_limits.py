"""Huge pages that a control group may have: of each size the limit, of all groups above, that leaves least.

| file | what it says |
|---|---|
| hugetlb.SIZE.max, .current, .rsvd.max, .rsvd.current (version 2) | limits, and what counts against them |
| hugetlb.SIZE.limit_in_bytes and .usage_in_bytes, .rsvd.… (version 1) | likewise |

An absent file says nothing; anything that does not parse is a HostError. Sources: the kernel's
admin-guide/cgroup-v2.rst ("HugeTLB"), admin-guide/cgroup-v1/hugetlb.rst and mm/hugetlb_cgroup.c (mem_fmt).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.host.cgroup import group_folders
from launcher.host.model import PageLimit
from launcher.host.pages import page_sizes
from launcher.host.tree import Tree, parse_integer, read_integer

_UNLIMITED = "max"
# Version 1 has no word for "no limit", but the largest number of whole pages (PAGE_COUNTER_MAX): 19 digits.
_NO_LIMIT = re.compile(r"\d{19,20}", re.ASCII)
_MIB_KIB, _GIB_KIB = 1 << 10, 1 << 20
# (limit, what counts against it): of pages that are touched, and of those that are promised.
_VERSION_2 = (("max", "current"), ("rsvd.max", "rsvd.current"))
_VERSION_1 = (("limit_in_bytes", "usage_in_bytes"), ("rsvd.limit_in_bytes", "rsvd.usage_in_bytes"))


def read_page_limits(tree: Tree) -> tuple[PageLimit, ...]:
    """Return for each size of page the limit of this process's groups that leaves least, ascending by size."""
    version2, version1 = group_folders(tree, ""), group_folders(tree, "hugetlb")
    found = []
    for kilobytes in page_sizes(tree):
        limits = [
            *_limits(tree, version2, _VERSION_2, kilobytes),
            *_limits(tree, version1, _VERSION_1, kilobytes),
        ]
        found += [min(limits, key=lambda limit: limit.left_bytes)] if limits else []
    return tuple(found)


def _limits(
    tree: Tree, folders: tuple[str, ...], names: tuple[tuple[str, str], ...], kilobytes: int
) -> Iterator[PageLimit]:
    for folder in folders:
        for limit_name, usage_name in names:
            stem = f"{folder}/hugetlb.{_in_words(kilobytes)}"
            limit = _read_limit(tree, f"{stem}.{limit_name}")
            if limit is not None:
                used = read_integer(tree, f"{stem}.{usage_name}") or 0
                source = f"/{stem}.{limit_name}"
                yield PageLimit(size_bytes=kilobytes << 10, limit_bytes=limit, used_bytes=used, source=source)


def _read_limit(tree: Tree, path: str) -> int | None:
    text = tree.read(path)
    if text is None or text.strip() == _UNLIMITED or _NO_LIMIT.fullmatch(text.strip()):
        return None
    return parse_integer(tree, path, text)


def _in_words(kilobytes: int) -> str:
    """Write a size of page as the kernel names its control files."""
    if kilobytes >= _GIB_KIB:
        return f"{kilobytes // _GIB_KIB}GB"
    return f"{kilobytes // _MIB_KIB}MB" if kilobytes >= _MIB_KIB else f"{kilobytes}KB"
