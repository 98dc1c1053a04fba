"""Where the pages of a guest's memory lie, read off the kernel's account of QEMU's mappings; values only.

Source: the kernel's Documentation/filesystems/proc.rst (maps, numa_maps) and numa(7). `numa_maps` tells of a mapping
its first address, its policy and its pages by node, but not how large it is; `maps` tells that. A guest's memory is one
mapping as large as QEMU was told to make it: anonymous, of /memfd:memory-backend-memfd, or of a file of huge pages that
is named for the cell (qemu_back_mem._objects_ram-node0.…, or without _objects_).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from msgspec import Struct

from launcher.cpuset import CPUSet

# A kernel that counts as many nodes has none of ours (MAX_NUMNODES is 1,024 at most).
_MOST_NODES = 1 << 12
_MAPPING = re.compile(rb"([0-9a-f]{1,16})-([0-9a-f]{1,16}) rw\S* [0-9a-f]+ \S+ \d+[ \t]*(.*)")
_PLACE = re.compile(rb"([0-9a-f]{1,16}) (\S+)(.*)")
_PAGES_ON = re.compile(rb"\bN(\d{1,4})=(\d{1,15})(?= |$)")
_PAGE_SIZE = re.compile(rb"\bkernelpagesize_kB=(\d{1,8})(?= |$)")
_BOUND = re.compile(rb"bind(?:=\w+)?:([\d,-]{1,80})")


class Share(Struct, frozen=True, kw_only=True):
    """A part of the guest's memory that belongs on one node: a cell's, or all of a guest without cells.

    `cell` is None for the latter, `node` where its vCPUs are on several nodes, or on none that is known.
    """

    cell: int | None
    node: int | None
    memory_bytes: int

    def __str__(self) -> str:
        return "the guest's memory" if self.cell is None else f"cell {self.cell}"


class Whereabouts(Struct, frozen=True, kw_only=True):
    """Where the pages of a share are that have been touched: bytes by node, ascending, in pages of this size."""

    share: Share
    page_bytes: int
    bytes_on: tuple[tuple[int, int], ...]

    @property
    def elsewhere(self) -> tuple[tuple[int, int], ...]:
        """The part of `bytes_on` that is on other nodes than it belongs on; nothing where it belongs on none."""
        node = self.share.node
        return () if node is None else tuple(pair for pair in self.bytes_on if pair[0] != node)


class _Mapping(NamedTuple):
    """One mapping: its addresses, the first one as it is written, and its file's name or a word in its place."""

    start: int
    end: int
    address: bytes
    name: bytes

    def __str__(self) -> str:
        return self.address.decode()


class _Region(Struct, frozen=True, kw_only=True):
    """Mappings of one file, or of none, that follow each other without a gap, as numa_maps tells of them together."""

    start: int
    name: bytes
    policy: bytes
    page_bytes: int
    bytes_on: tuple[tuple[int, int], ...]

    @property
    def total_bytes(self) -> int:
        return sum(size for _, size in self.bytes_on)


def locate(shares: Sequence[Share], numa_maps: bytes, maps: bytes) -> tuple[Whereabouts, ...]:
    """Return where each share's pages are, in the shares' order.

    Raises ValueError where a share's mapping is not there, or what is told of it cannot be read.
    """
    writable = list(_writable(maps))
    regions = {
        size: [_region(parts, numa_maps) for parts in _of_size(size, writable)]
        for size in {share.memory_bytes for share in shares}
    }
    found = []
    for share in shares:
        candidates = regions[share.memory_bytes]
        if not candidates:
            raise ValueError(f"{share}: no mapping of {share.memory_bytes} bytes among those of QEMU")
        region = max(candidates, key=lambda region: _likeness(region, share))
        candidates.remove(region)
        found.append(Whereabouts(share=share, page_bytes=region.page_bytes, bytes_on=region.bytes_on))
    return tuple(found)


def _likeness(region: _Region, share: Share) -> tuple[bool, bool, int, int]:
    """Rank mappings of the right size: named for the cell, bound to its node, the fullest, the lowest."""
    bound = _BOUND.fullmatch(region.policy)
    return (
        f"ram-node{share.cell}.".encode() in region.name,
        bound is not None and _is_node(bound[1], share.node),
        region.total_bytes,
        -region.start,
    )


def _is_node(listed: bytes, node: int | None) -> bool:
    try:
        return CPUSet.parse(listed.decode()) == CPUSet.of(() if node is None else (node,))
    except ValueError:
        return False


def _writable(maps: bytes) -> Iterator[_Mapping]:
    """Yield the mappings that may be written; a last line that was cut off does not count."""
    for line in maps.split(b"\n")[:-1]:
        # A regular expression costs more than all else.
        match = _MAPPING.fullmatch(line) if b" rw" in line else None
        if match is not None:
            yield _Mapping(int(match[1], 16), int(match[2], 16), match[1], match[3])


def _of_size(size: int, writable: Sequence[_Mapping]) -> Iterator[tuple[_Mapping, ...]]:
    """Yield the mappings that are of this size, and those that are so together: the kernel may divide one in parts."""
    parts: list[_Mapping] = []
    for mapping in writable:
        if parts and (parts[-1].end, parts[-1].name) != (mapping.start, mapping.name):
            parts.clear()
        parts.append(mapping)
        while mapping.end - parts[0].start > size and len(parts) > 1:
            parts.pop(0)
        if mapping.end - parts[0].start == size:
            yield tuple(parts)


def _region(parts: Sequence[_Mapping], numa_maps: bytes) -> _Region:
    bytes_on: Counter[int] = Counter()
    policy, page_bytes = b"", 0
    for part in parts:
        policy, words = _told(part, numa_maps)
        pages, size = _PAGES_ON.findall(words), _PAGE_SIZE.search(words)
        if pages and (size is None or not int(size[1])):
            raise ValueError(f"mapping {part}: pages without their size in numa_maps")
        page_bytes = max(page_bytes, int(size[1]) << 10 if size else 0)
        for node, count in pages:
            if int(node) >= _MOST_NODES:
                raise ValueError(f"mapping {part}: pages on node {int(node)} in numa_maps")
            bytes_on[int(node)] += int(count) * page_bytes
    told = tuple(sorted(pair for pair in bytes_on.items() if pair[1]))
    first = parts[0]
    return _Region(start=first.start, name=first.name, policy=policy, page_bytes=page_bytes, bytes_on=told)


def _told(mapping: _Mapping, numa_maps: bytes) -> tuple[bytes, bytes]:
    """Return policy and all else that numa_maps says of a mapping; both files write an address in the same way."""
    begin = 0 if numa_maps.startswith(mapping.address + b" ") else numa_maps.find(b"\n" + mapping.address + b" ") + 1
    end = numa_maps.find(b"\n", begin)
    match = _PLACE.fullmatch(numa_maps, begin, end) if end >= 0 else None
    if match is None or match[1] != mapping.address:
        raise ValueError(f"mapping {mapping}: in maps, but not in numa_maps")
    return match[2], match[3]
