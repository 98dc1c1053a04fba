"""A host from hwloc's synthetic notation, such as "pack:2 numa:2 l3:2 core:4 pu:2".

Each word is a level: a type and how many of it lie in each unit of the level before. Understood are:

* package (also pack, socket), die, numanode (numa, node), l1 to l5 (l3cache, l2u, l1d), core, pu; group, tile, module
  and instruction caches are counted and mean nothing; types may be shortened to two letters, case does not matter
* numbers alone ("2 4 2"): hwloc chooses the types (numanode, package, core, then caches and groups, outermost groups);
  the last level is always the PUs
* "[numa]" behind a level: one NUMA node for each of its units, as hwloc 2 exports
* "(memory=16GiB)" on NUMA nodes (kB, MB, GB, TB are decimal as in hwloc 2), and of our own "hugepages=2MiB:512,1GiB:4",
  pages by size, all free; "(size=32MiB)" on caches is read and means nothing
* "(indexes=0,2,1,3)", "(indexes=2*4:1*2)" and "(indexes=pack:core)" on pu, numanode, package: the numbers of the units,
  listed, by loops of step*count, or counted along types, the first fastest; without it they are numbered in order

What is not said: no NUMA level is one node; no package is a socket for each node; no die is one for each socket; no
core is one for each PU; no cache is one for each node of each socket. The last-level cache is the one of the highest
number. A node has 16 GiB and no huge pages; other nodes are at distance 20. Source: hwloc's documentation, "Synthetic
topologies".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from math import prod
from typing import NoReturn

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import MAX_CPUS
from launcher.errors import UsageError
from launcher.host.model import CPU, Host, HugePages, Node

_DEFAULT_MEMORY_BYTES = 16 << 30
_LOCAL_DISTANCE, _REMOTE_DISTANCE = 10, 20
# The most that Linux can be built with (CONFIG_NODES_SHIFT=10 on x86, arm64 and POWER).
_MAX_NODES = 1024
_MAX_LENGTH = 65536
# As many levels as hwloc takes.
_MAX_LEVELS = 128

_WORD = re.compile(r"(?:([A-Za-z]\w*):)?([1-9]\d{0,8})(?:\(([^()]*)\))?(?=\s|\[|$)", re.ASCII)
_ATTACHED = re.compile(r"\[([A-Za-z]\w*)(?:\(([^()]*)\))?\]", re.ASCII)
_CACHE = re.compile(r"l([1-5])([udi]?)(?:cache)?", re.ASCII | re.IGNORECASE)
_GROUP = re.compile(r"gr(?:o(?:up?)?)?\d*|tile|module", re.ASCII | re.IGNORECASE)
_SIZE = re.compile(r"(\d{1,15})(?:([kmgt])(i?)b)?", re.ASCII | re.IGNORECASE)
_PAGES = re.compile(r"([^:,]+):(\d{1,9})", re.ASCII)
_LOOP = re.compile(r"(\d{1,9})\*(\d{1,9})", re.ASCII)


class _Kind(StrEnum):
    """What a level consists of; SOME is a level whose type hwloc chooses."""

    PACKAGE = "package"
    NODE = "numanode"
    DIE = "die"
    CACHE = "cache"
    INSTRUCTION_CACHE = "instruction cache"
    CORE = "core"
    PU = "pu"
    GROUP = "group"
    SOME = "number"


_NAMES = {
    "package": _Kind.PACKAGE,
    "socket": _Kind.PACKAGE,
    "numanode": _Kind.NODE,
    "node": _Kind.NODE,
    "die": _Kind.DIE,
    "core": _Kind.CORE,
    "pu": _Kind.PU,
}
_ATTRIBUTES: Mapping[_Kind, tuple[str, ...]] = {
    _Kind.PACKAGE: ("indexes",),
    _Kind.NODE: ("memory", "hugepages", "indexes"),
    _Kind.CACHE: ("size",),
    _Kind.INSTRUCTION_CACHE: ("size",),
    _Kind.PU: ("indexes",),
}


class _Attribute(Struct, frozen=True, kw_only=True):
    """The value of an attribute, and where in the text it stands."""

    value: str
    position: int


class _Level(Struct, frozen=True, kw_only=True):
    """One level: how many lie in each unit of the level above, how many in all, and where in the text it stands."""

    kind: _Kind
    count: int
    width: int
    position: int
    cache_level: int = 0
    attributes: Mapping[str, _Attribute]


def parse_synthetic(text: str) -> Host:
    """Build the host that the text describes; raises UsageError with the place, what was found and what is wanted."""
    if len(text) > _MAX_LENGTH:
        raise UsageError(f"synthetic host: found {len(text)} characters, wanted at most {_MAX_LENGTH}")
    levels = _typed(text, tuple(_levels(text)))
    _check(text, levels)
    numbers = {level.kind: _numbers(text, levels, level) for level in levels if "indexes" in level.attributes}
    return Host(cpus=_cpus(levels, numbers), nodes=_nodes(text, levels, numbers))


def _levels(text: str) -> Iterator[_Level]:
    position, width, number = _skip_space(text, 0), 1, 0
    while position < len(text):
        match = _WORD.match(text, position) or _ATTACHED.match(text, position)
        if match is None:
            _refuse(text, position, "a level such as core:4, a number from 1 up or [numa]")
        kind, cache_level = _kind(text, match)
        count = int(match[2]) if match.re is _WORD else 1
        width *= count
        number += 1
        if width > MAX_CPUS or number > _MAX_LEVELS:
            _refuse(text, position, f"at most {MAX_CPUS} units in all, and {_MAX_LEVELS} levels")
        attributes = dict(_attributes(match))
        yield _Level(
            kind=kind, count=count, width=width, position=position, cache_level=cache_level, attributes=attributes
        )
        position = _skip_space(text, match.end())


def _skip_space(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _kind(text: str, match: re.Match[str]) -> tuple[_Kind, int]:
    """Return the type of a word and, of a cache, its level."""
    kind, cache_level = _kind_of_name(match[1]) if match[1] else (_Kind.SOME, 0)
    if kind is None:
        _refuse(text, match.start(), "one of package, numanode, die, l1 to l5, core, pu, group")
    if match.re is _ATTACHED and kind is not _Kind.NODE:
        _refuse(text, match.start(), "[numa]: nothing else can be attached")
    return kind, cache_level


def _kind_of_name(name: str) -> tuple[_Kind | None, int]:
    cache = _CACHE.fullmatch(name)
    if cache is not None:
        kind = _Kind.INSTRUCTION_CACHE if cache[2].lower() == "i" else _Kind.CACHE
        return kind, int(cache[1])
    if _GROUP.fullmatch(name):
        return _Kind.GROUP, 0
    kinds = {kind for full, kind in _NAMES.items() if len(name) >= 2 and full.startswith(name.lower())}
    return (kinds.pop(), 0) if len(kinds) == 1 else (None, 0)


def _attributes(match: re.Match[str]) -> Iterator[tuple[str, _Attribute]]:
    group = 3 if match.re is _WORD else 2
    for item in re.finditer(r"\S+", match[group] or ""):
        name, _, value = item[0].partition("=")
        position = match.start(group) + item.start()
        yield name, _Attribute(value=value, position=position)


def _typed(text: str, levels: tuple[_Level, ...]) -> tuple[_Level, ...]:
    """Give levels of bare numbers their types; the last level is the PUs."""
    if not levels:
        raise UsageError("synthetic host: found nothing, wanted levels such as numa:2 core:4 pu:2")
    *above, last = levels
    if last.kind not in {_Kind.PU, _Kind.SOME}:
        _refuse(text, last.position, "pu (or a number) as the last level")
    attached = [level for level in above if level.kind is _Kind.NODE]
    numbers = [level for level in above if level.kind is _Kind.SOME]
    if numbers and len(numbers) + len(attached) != len(above):
        _refuse(text, numbers[0].position, "a type, as other levels have one")
    if numbers and any(text[level.position] != "[" for level in attached):
        _refuse(text, numbers[0].position, "a type, as other levels have one")
    chosen = iter(_chosen_kinds(len(numbers), nodes=not attached))
    typed = [_with_kind(level, next(chosen)) if level.kind is _Kind.SOME else level for level in above]
    return (*typed, _with_kind(last, (_Kind.PU, 0)))


def _chosen_kinds(count: int, *, nodes: bool) -> list[tuple[_Kind, int]]:
    """Return hwloc's choice for `count` bare numbers: by need nodes, package, core, caches, groups; outermost first."""
    node = count >= 1 and nodes
    package = count - node >= 1
    core = count - node - package >= 1
    caches = min(4, count - node - package - core)
    groups = count - node - package - core - caches
    order: list[tuple[_Kind, int]] = [(_Kind.GROUP, 0)] * groups
    order += [(_Kind.PACKAGE, 0)] * package + [(_Kind.NODE, 0)] * node
    order += [(_Kind.CACHE, 3)] * (caches >= 3) + [(_Kind.CACHE, 2)] * (caches >= 1)
    order += [(_Kind.CACHE, 1)] * (caches >= 2) + [(_Kind.INSTRUCTION_CACHE, 1)] * (caches >= 4)
    return order + [(_Kind.CORE, 0)] * core


def _with_kind(level: _Level, kind: tuple[_Kind, int]) -> _Level:
    return replace(level, kind=kind[0], cache_level=kind[1])


def _check(text: str, levels: Sequence[_Level]) -> None:
    for place, level in enumerate(levels):
        same = (other for other in levels[:place] if (other.kind, other.cache_level) == (level.kind, level.cache_level))
        if level.kind is not _Kind.GROUP and any(same):
            name = f"l{level.cache_level} {level.kind}" if level.cache_level else level.kind
            _refuse(text, level.position, f"only one level of {name}")
        if level.kind is _Kind.PU and level is not levels[-1]:
            _refuse(text, level.position, "pu as the last level only")
        if level.kind is _Kind.NODE and level.width > _MAX_NODES:
            _refuse(text, level.position, f"at most {_MAX_NODES} NUMA nodes")
        _check_attributes(text, level)


def _check_attributes(text: str, level: _Level) -> None:
    allowed = _ATTRIBUTES.get(level.kind, ())
    for name, attribute in level.attributes.items():
        if name not in allowed or not attribute.value:
            wanted = " or ".join(f"{each}=..." for each in allowed) or "no attribute"
            _refuse(text, attribute.position, f"{wanted} on {level.kind}")
        if name in {"memory", "size"}:
            _bytes(text, attribute, attribute.value)


def _numbers(text: str, levels: Sequence[_Level], level: _Level) -> tuple[int, ...]:
    """Return the numbers that `indexes` gives to the units of a level, in their order."""
    attribute = level.attributes["indexes"]
    value = attribute.value
    most = MAX_CPUS if level.kind is _Kind.PU else _MAX_NODES
    if re.fullmatch(r"[\d,]+", value, re.ASCII):
        numbers = tuple(int(part) if len(part) < 10 else most for part in value.split(",") if part)
        listed = value.count(",") + 1
    else:
        numbers = _interleaved(level.width, _loops(text, attribute, levels, level))
        listed = len(numbers)
    if not listed == len(numbers) == len(set(numbers)) == level.width or max(numbers) >= most:
        _refuse(text, attribute.position, f"{level.width} different numbers below {most} for {level.kind}")
    return numbers


def _interleaved(width: int, loops: Sequence[tuple[int, int]]) -> tuple[int, ...]:
    numbers = [0] * width
    factor = 1
    for step, count in loops:
        numbers = [number + place // step % count * factor for place, number in enumerate(numbers)]
        factor *= count
    return tuple(numbers)


def _loops(text: str, attribute: _Attribute, levels: Sequence[_Level], level: _Level) -> list[tuple[int, int]]:
    """Return the loops (step, count) of an interleaving; the innermost one may be left out."""
    parts = attribute.value.split(":", maxsplit=_MAX_LEVELS)
    loops = _loops_of_numbers(parts) or _loops_of_types(parts, levels, level)
    if not loops:
        _refuse(text, attribute.position, f"a list of numbers, loops such as 2*4:1*2 or types above {level.kind}")
    rest, left_over = divmod(level.width, prod(count for _, count in loops))
    if rest != 1 and (left_over or min(step for step, _ in loops) != rest):
        _refuse(text, attribute.position, f"loops over all {level.width} of {level.kind}")
    return loops if rest == 1 else [*loops, (1, rest)]


def _loops_of_numbers(parts: Sequence[str]) -> list[tuple[int, int]]:
    matches = [_LOOP.fullmatch(part) for part in parts]
    loops = [(int(match[1]), int(match[2])) for match in matches if match is not None]
    return loops if len(loops) == len(parts) and all(step and count for step, count in loops) else []


def _loops_of_types(parts: Sequence[str], levels: Sequence[_Level], level: _Level) -> list[tuple[int, int]]:
    above = {(other.kind, other.cache_level): other for other in levels[: levels.index(level)]}
    named = [above[kind] for kind in map(_kind_of_name, parts) if kind in above and kind[0] is not _Kind.GROUP]
    if not len(parts) == len(named) == len({other.position for other in named}):
        return []
    # A type is counted within the nearest of the named types that contain it.
    outer = [max((o.width for o in named if o.position < each.position), default=1) for each in named]
    return [(level.width // each.width, each.width // width) for each, width in zip(named, outer, strict=True)]


def _cpus(levels: Sequence[_Level], numbers: Mapping[_Kind, Sequence[int]]) -> tuple[CPU, ...]:
    total = levels[-1].width
    units = {kind: _units(levels, kind, total) for kind in _Kind}
    nodes = _numbered(units[_Kind.NODE], numbers.get(_Kind.NODE)) or [0] * total
    sockets = _numbered(units[_Kind.PACKAGE], numbers.get(_Kind.PACKAGE)) or nodes
    cpus = numbers.get(_Kind.PU) or range(total)
    dies = _by_lowest_cpu(cpus, units[_Kind.DIE] or sockets)
    cores = _by_lowest_cpu(cpus, units[_Kind.CORE] or range(total))
    places = [socket * _MAX_NODES + node for socket, node in zip(sockets, nodes, strict=True)]
    caches = _by_lowest_cpu(cpus, units[_Kind.CACHE] or places)
    level = max((level.cache_level for level in levels if level.kind is _Kind.CACHE), default=0)
    columns = zip(cpus, cores, dies, sockets, nodes, caches, strict=True)
    return tuple(
        CPU(cpu=cpu, core=core, die=die, socket=socket, node=node, cache=cache, cache_level=level)
        for cpu, core, die, socket, node, cache in sorted(columns)
    )


def _units(levels: Sequence[_Level], kind: _Kind, total: int) -> list[int]:
    """Return for each PU the unit of this type that it lies in; empty where there is no such level."""
    found = [level for level in levels if level.kind is kind]
    level = max(found, key=lambda level: level.cache_level, default=None)
    return [] if level is None else [place // (total // level.width) for place in range(total)]


def _numbered(units: Sequence[int], numbers: Sequence[int] | None) -> list[int]:
    return [numbers[unit] for unit in units] if numbers else list(units)


def _by_lowest_cpu(cpus: Sequence[int], units: Sequence[int]) -> list[int]:
    """Number units from 0 in the order of their lowest CPU, as the reader of real hosts does."""
    order: dict[int, int] = {}
    for _, unit in sorted(zip(cpus, units, strict=True)):
        order.setdefault(unit, len(order))
    return [order[unit] for unit in units]


def _nodes(text: str, levels: Sequence[_Level], numbers: Mapping[_Kind, Sequence[int]]) -> tuple[Node, ...]:
    level = next((level for level in levels if level.kind is _Kind.NODE), None)
    if level is None:
        return (Node(node=0, memory_bytes=_DEFAULT_MEMORY_BYTES, distances=((0, _LOCAL_DISTANCE),)),)
    nodes = sorted(numbers.get(_Kind.NODE) or range(level.width))
    memory_bytes, huge_pages = _memory(text, level), tuple(_huge_pages(text, level))
    remote = [(node, _REMOTE_DISTANCE) for node in nodes]
    return tuple(
        Node(
            node=node,
            memory_bytes=memory_bytes,
            distances=(*remote[:place], (node, _LOCAL_DISTANCE), *remote[place + 1 :]),
            huge_pages=huge_pages,
        )
        for place, node in enumerate(nodes)
    )


def _memory(text: str, level: _Level) -> int:
    attribute = level.attributes.get("memory")
    return _DEFAULT_MEMORY_BYTES if attribute is None else _bytes(text, attribute, attribute.value)


def _huge_pages(text: str, level: _Level) -> Iterator[HugePages]:
    attribute = level.attributes.get("hugepages")
    if attribute is None:
        return
    pages: dict[int, int] = {}
    for part in attribute.value.split(","):
        match = _PAGES.fullmatch(part)
        size_bytes = _bytes(text, attribute, match[1]) if match else 0
        if match is None or size_bytes == 0 or size_bytes in pages:
            _refuse(text, attribute.position, "huge pages by size such as 2MiB:512,1GiB:4")
        pages[size_bytes] = int(match[2])
    for size_bytes in sorted(pages):
        yield HugePages(size_bytes=size_bytes, total=pages[size_bytes], free=pages[size_bytes])


def _bytes(text: str, attribute: _Attribute, value: str) -> int:
    match = _SIZE.fullmatch(value)
    if match is None:
        _refuse(text, attribute.position, "a size such as 16GiB or 64GB")
    power = "kmgt".index(match[2].lower()) + 1 if match[2] else 0
    base: int = (1024 if match[3] else 1000) ** power
    return int(match[1]) * base


def _refuse(text: str, position: int, wanted: str) -> NoReturn:
    found = text[position : position + 40].split() or [""]
    raise UsageError(f"synthetic host, character {position + 1}: found {found[0]!r}, wanted {wanted}")
