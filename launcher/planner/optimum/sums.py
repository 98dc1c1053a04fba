"""Choices of so many items whose sum leaves little over beyond whole guest sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol, TypeVar

from launcher.planner.optimum.effort import Effort


class Sized(Protocol):
    """What has CPUs for vCPUs; equal kinds are interchangeable."""

    @property
    def high(self) -> int: ...

    @property
    def kind(self) -> object: ...


T = TypeVar("T", bound=Sized)


class Wanted(NamedTuple):
    """A multiple of `size`, or at most so many `more` or `fewer`."""

    size: int
    more: int
    fewer: int

    def remainders(self) -> int:
        """Return the remainders of such sums, as bits."""
        return (1 << min(self.more + 1, self.size)) - 1 | ((1 << self.size) - (1 << max(0, self.size - self.fewer)))


def sums(pool: Sequence[T], count: int, start: int, wanted: Wanted, effort: Effort) -> Iterator[tuple[T, ...]]:
    """Yield the choices whose sums with `start` are wanted, of equal ones only the first."""
    if len(pool) < count:
        return
    effort.spend(len(pool) * count)
    size, good = wanted.size, wanted.remainders()
    reach = _reach([item.high % size for item in pool], count, size)

    def extend(first: int, count: int, total: int, taken: tuple[T, ...]) -> Iterator[tuple[T, ...]]:
        if not count:
            yield taken
            return
        effort.spend(len(pool) - first)
        for i in range(first, len(pool) - count + 1):
            item = pool[i]
            if i > first and pool[i - 1].kind == item.kind:
                continue
            now = (total + item.high) % size
            bits = reach[count - 1][i + 1] << now
            if (bits | bits >> size) & good:
                yield from extend(i + 1, count - 1, now, (*taken, item))

    yield from extend(0, count, start % size, ())


def _reach(remainders: Sequence[int], count: int, size: int) -> list[list[int]]:
    """For c and i say, as bits, which remainders the sums of c of the numbers from i on have."""
    everything = (1 << size) - 1
    table = [[1] * (len(remainders) + 1)]
    for _ in range(count):
        before, row = table[-1], [0] * (len(remainders) + 1)
        for i in range(len(remainders) - 1, -1, -1):
            bits = before[i + 1] << remainders[i]
            row[i] = row[i + 1] | (bits | bits >> size) & everything
        table.append(row)
    return table
