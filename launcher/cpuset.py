"""The CPU set: an immutable set of host CPU numbers, and its kernel text, the cpulist."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from msgspec import Struct

# The largest NR_CPUS that any architecture of Linux can be built with (x86 with MAXSMP); a cpulist beyond it is a
# mistake, and refusing it keeps "0-9999999999" from costing a gigabyte.
MAX_CPUS = 8192

_PART = re.compile(r"(\d{1,9})(?:-(\d{1,9})(?::(\d{1,9})/(\d{1,9}))?)?", re.ASCII)


class CPUSet(Struct, frozen=True):
    """An immutable set of CPU numbers; bit n of `mask` stands for CPU n. Iterates in ascending order."""

    mask: int = 0

    @classmethod
    def of(cls, cpus: Iterable[int]) -> CPUSet:
        """Build the set of these CPU numbers; raises ValueError for one outside 0..MAX_CPUS-1."""
        mask = 0
        for cpu in cpus:
            if not 0 <= cpu < MAX_CPUS:
                raise ValueError(f"CPU {cpu} is outside 0-{MAX_CPUS - 1}")
            mask |= 1 << cpu
        return cls(mask)

    @classmethod
    def parse(cls, text: str) -> CPUSet:
        """Read a cpulist such as "0-3,8" or "0-31:2/4" (of every 4, the first 2); blank text is the empty set.

        The format is that of the kernel's `bitmap_parselist` (lib/bitmap-str.c). Raises ValueError that quotes the
        part which is wrong.
        """
        mask = 0
        stripped = text.strip()
        for part in stripped.split(",") if stripped else ():
            mask |= _parse_part(part.strip(), stripped)
        return cls(mask)

    def __iter__(self) -> Iterator[int]:
        mask = self.mask
        while mask:
            lowest = mask & -mask
            yield lowest.bit_length() - 1
            mask ^= lowest

    def __len__(self) -> int:
        return self.mask.bit_count()

    def __bool__(self) -> bool:
        return self.mask != 0

    def __contains__(self, cpu: object) -> bool:
        return isinstance(cpu, int) and cpu >= 0 and bool(self.mask >> cpu & 1)

    def __or__(self, other: CPUSet) -> CPUSet:
        return CPUSet(self.mask | other.mask)

    def __and__(self, other: CPUSet) -> CPUSet:
        return CPUSet(self.mask & other.mask)

    def __sub__(self, other: CPUSet) -> CPUSet:
        return CPUSet(self.mask & ~other.mask)

    def __le__(self, other: CPUSet) -> bool:
        """Tell whether every CPU of this set is in the other."""
        return self.mask & ~other.mask == 0

    @property
    def lowest(self) -> int:
        """The lowest CPU number; raises ValueError for the empty set."""
        if not self.mask:
            raise ValueError("the empty CPU set has no lowest CPU")
        return (self.mask & -self.mask).bit_length() - 1

    def cpumap(self, length: int) -> tuple[bool, ...]:
        """Return libvirt's cpumap: one bool for each of the host's CPUs 0..length-1."""
        return tuple(bool(self.mask >> cpu & 1) for cpu in range(length))

    def __str__(self) -> str:
        """Return the canonical cpulist, ranges joined: "0-3,8"; the empty set is ""."""
        return ",".join(f"{first}-{last}" if last > first else str(first) for first, last in _runs(self))


def _parse_part(part: str, whole: str) -> int:
    where = f"{part[:40]!r} in cpulist {whole[:80]!r}"
    match = _PART.fullmatch(part)
    if match is None:
        raise ValueError(f"{where} is not a CPU, a range a-b or a range a-b:used/group")
    first = int(match[1])
    last = int(match[2] or first)
    used, group = int(match[3] or 1), int(match[4] or 1)
    if last < first:
        raise ValueError(f"{where} is a range that runs backwards")
    if last >= MAX_CPUS:
        raise ValueError(f"{where} is beyond CPU {MAX_CPUS - 1}")
    if not 0 < used <= group:
        raise ValueError(f"{where} needs 1 <= used <= group")
    return sum(1 << cpu for cpu in range(first, last + 1) if (cpu - first) % group < used)


def _runs(cpus: Iterable[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for cpu in cpus:
        if first is None or last is None:
            first = last = cpu
        elif cpu == last + 1:
            last = cpu
        else:
            yield first, last
            first = last = cpu
    if first is not None and last is not None:
        yield first, last
