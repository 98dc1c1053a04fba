"""The combinations that the kubelet walks through, each as it changes afterwards under the kubelet's hands.

iterateCombinations (cpu_assignment.go) grows a slice by append, so that combinations of which the first three, or five
to seven, are the same share memory: one that was kept as the best so far is overwritten by those that come later
(kubernetes/kubernetes#141237). Here a combination is read as late as the kubelet reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct


class Combination(Struct):
    """Some of the items, in a piece of memory that combinations share."""

    memory: list[int]
    size: int

    @property
    def items(self) -> tuple[int, ...]:
        """The items that are in that memory now."""
        return tuple(self.memory[: self.size])


def combinations(items: tuple[int, ...], size: int) -> Iterator[Combination]:
    """Yield the combinations of so many items, in the items' order."""
    if size < 1:
        return iter(())
    return _longer(items, size, 0, Combination(memory=[], size=0))


def _longer(items: tuple[int, ...], missing: int, start: int, begun: Combination) -> Iterator[Combination]:
    if missing == 0:
        yield begun
        return
    for index in range(start, len(items) - missing + 1):
        yield from _longer(items, missing - 1, index + 1, _appended(begun, items[index]))


def _appended(begun: Combination, item: int) -> Combination:
    """Append as Go does: in place where the capacity allows it, else in a copy of twice the capacity."""
    memory = begun.memory
    if begun.size == len(memory):
        memory = memory + [0] * max(1, begun.size)
    memory[begun.size] = item
    return Combination(memory=memory, size=begun.size + 1)
