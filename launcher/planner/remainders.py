"""Numbers divided into as many groups as can be that each add up to a multiple of one size."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

# Choices of numbers that are looked at, equal numbers being interchangeable. Sixteen numbers of which no two are equal
# (and none is alone or with another one a multiple) have 65,536, and take a tenth of a second.
_CHOICE_LIMIT = 1 << 16


def most_groups(numbers: Sequence[int], size: int, limit: int = _CHOICE_LIMIT) -> list[int]:
    """Find the most disjoint groups that each add up to a multiple of `size`, as bit masks of indices.

    Exact for up to sixteen numbers, and for more where many are equal, or go alone or in pairs. Beyond `limit`
    choices the numbers that go in threes are taken out first, and what is still too many is one group. Numbers
    that are left over (none where all add up to a multiple) are in no group.

    Numbers that go alone or in pairs are taken out first, which loses nothing: were the two in different groups, the
    rest of these groups would be one, so there are as many as before.
    """
    groups, left = alone_or_paired(numbers, size)
    while choice_count(left, numbers, size) > limit:
        three = next((three for three in combinations(left, 3) if _total(three, numbers) % size == 0), None)
        if three is None:
            return groups + ([_mask(left)] if _total(left, numbers) % size == 0 else [])
        groups.append(_mask(three))
        left = [index for index in left if index not in three]
    return groups + _longest_chain(left, numbers, size)


def _mask(indices: Sequence[int]) -> int:
    return sum(1 << index for index in indices)


def _total(indices: Sequence[int], numbers: Sequence[int]) -> int:
    return sum(numbers[index] for index in indices)


def alone_or_paired(numbers: Sequence[int], size: int) -> tuple[list[int], list[int]]:
    """Take out the numbers that are groups alone or two by two; return these groups and the indices that are left."""
    groups: list[int] = []
    waiting: dict[int, list[int]] = defaultdict(list)
    for index, number in enumerate(numbers):
        partners = waiting[-number % size]
        if not number % size:
            groups.append(1 << index)
        elif partners:
            groups.append(1 << index | 1 << partners.pop())
        else:
            waiting[number % size].append(index)
    return groups, [index for _, indices in sorted(waiting.items()) for index in indices]


def _kinds(indices: Sequence[int], numbers: Sequence[int], size: int) -> list[list[int]]:
    kinds: dict[int, list[int]] = defaultdict(list)
    for index in indices:
        kinds[numbers[index] % size].append(index)
    return list(kinds.values())


def choice_count(indices: Sequence[int], numbers: Sequence[int], size: int) -> int:
    """Count the choices that differ."""
    count = 1
    for kind in _kinds(indices, numbers, size):
        count *= len(kind) + 1
    return count


def _longest_chain(indices: Sequence[int], numbers: Sequence[int], size: int) -> list[int]:
    """Find the most groups as the longest chain of choices that are multiples, each inside the next."""
    closed = sorted(mask for mask, total in choices(indices, numbers, size) if total % size == 0)
    length = {0: 0}
    for outer in closed[1:]:
        length[outer] = 1 + max(length[inner] for inner in length if inner & outer == inner)
    return list(_links(closed, length))


def choices(indices: Sequence[int], numbers: Sequence[int], size: int) -> list[tuple[int, int]]:
    """List the choices that differ, as bit masks, each with a number that has the remainder of its sum.

    Of numbers with equal remainders the first ones are chosen: a choice is how many of each there are.
    """
    found = [(0, 0)]
    for kind in _kinds(indices, numbers, size):
        steps = [(_mask(kind[:count]), count * numbers[kind[0]]) for count in range(len(kind) + 1)]
        found = [(mask | more, total + extra) for mask, total in found for more, extra in steps]
    return found


def _links(closed: Sequence[int], length: dict[int, int]) -> Iterator[int]:
    """Walk the longest chain backwards, and yield what each step adds."""
    outer = max(closed, key=lambda mask: (length[mask], -mask))
    while outer:
        inner = next(mask for mask in closed if mask & outer == mask and length[mask] == length[outer] - 1)
        yield outer ^ inner
        outer = inner
