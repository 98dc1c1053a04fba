"""The uses of one node where guest sockets cross nodes: groups of its own, parts of groups over several, idle areas."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import NamedTuple

from launcher.planner.candidates import FIELD, Pile, Problem, candidates, useful
from launcher.planner.effort import Effort, TooLong
from launcher.planner.grouping import Grouping, groupings, may_idle
from launcher.planner.stock import bounds_of


class Part(NamedTuple):
    """Areas of one node (packed) in a group over several: the guest cores that they may and must hold, their caches."""

    may: int
    must: int
    areas: int
    caches: int


class Profile(NamedTuple):
    """One use of a node: its caches in use less its own groups, the sockets that these hold, and the parts."""

    cost: int
    low: int
    high: int
    parts: tuple[Part, ...]
    closed: Grouping

    def cores(self, size: int) -> int:
        """Count the guest cores that the node may hold so, for sockets of `size`."""
        return self.high * size + sum(part.may for part in self.parts)


class Uses:
    """All uses of one node that none dominates, by their number of parts; listed when they are asked for."""

    def __init__(self, problem: Problem, effort: Effort) -> None:
        self._problem, self._effort = problem, effort
        self._parts = sorted((_part(pile, problem) for pile in problem.piles), key=lambda part: part.areas)
        self._within = _within(problem)
        self._guards = sum(kind.unit << (FIELD - 1) for kind in problem.kinds)
        self._known: dict[int, list[Profile]] = {}
        self._too_many: set[int] = set()

    @property
    def room(self) -> int:
        """The guest cores that the whole node may hold without a price."""
        return self._parts[-1].may

    @property
    def caches(self) -> int:
        """The last-level caches of the node."""
        return self._parts[-1].caches

    def with_parts(self, number: int) -> list[Profile]:
        """List those with so many parts; two and more are too many to look for those that others dominate.

        Raises TooLong where these are too many.
        """
        if number in self._too_many:
            raise TooLong
        if number not in self._known:
            self._too_many.add(number)
            profiles = self._profiles(number)
            self._known[number] = list(profiles) if number > 1 else _undominated(profiles)
            self._too_many.remove(number)
        return self._known[number]

    def _profiles(self, number: int) -> Collection[Profile]:
        distinct: dict[object, Profile] = {}
        for parts, left in self._disjoint(0, self._parts[-1].areas, number):
            self._effort.spend()
            caches = sum(part.caches for part in parts)
            # The one with most room first: parts of two profiles are compared in this order.
            ordered = tuple(sorted(parts, key=lambda part: (-part.may, part.must)))
            rooms = tuple(part[:2] for part in ordered)
            for closed in self._within.get(left, ()):
                profile = Profile(closed.cost + caches, closed.low, closed.high, ordered, closed)
                distinct.setdefault((*profile[:3], rooms), profile)
        return distinct.values()

    def _disjoint(self, first: int, left: int, number: int) -> Iterator[tuple[tuple[Part, ...], int]]:
        """Yield the ways to choose parts of the areas that are left, and what is left then."""
        if not number:
            yield (), left
            return
        for index in range(first, len(self._parts)):
            part = self._parts[index]
            if part.may and ((left | self._guards) - part.areas) & self._guards == self._guards:
                for others, rest in self._disjoint(index, left - part.areas, number - 1):
                    yield (part, *others), rest


def _part(pile: Pile, problem: Problem) -> Part:
    must, may = bounds_of(pile.nodes, problem.regime, problem.topology.threads)
    return Part(may, must, pile.areas, pile.caches)


def _within(problem: Problem) -> dict[int, list[Grouping]]:
    """Collect, for every choice of areas, the best groups on some of them while the others idle."""
    closed = groupings(useful(candidates(problem), problem.kinds), problem)
    idle = [kind for kind in problem.kinds if may_idle(kind.stock, problem.regime)]
    found: dict[int, list[Grouping]] = {}
    for areas in (0, *sorted(pile.areas for pile in problem.piles)):
        choices = list(closed.get(areas, ()))
        for kind in idle:
            choices += found.get(areas - kind.unit, ()) if kind.count(areas) else ()
        kept: list[Grouping] = []
        for choice in sorted(choices, key=lambda choice: (choice.cost, choice.low, -choice.high)):
            if not any(other.low <= choice.low and other.high >= choice.high for other in kept):
                kept.append(choice)
        if kept:
            found[areas] = kept
    return found


def _undominated(profiles: Collection[Profile]) -> list[Profile]:
    kept: dict[tuple[int, int], list[Profile]] = defaultdict(list)
    for profile in sorted(profiles, key=lambda profile: profile.cost):
        alike = kept[profile.low, profile.high]
        if not any(_as_good(other, profile) for other in alike):
            alike.append(profile)
    return [profile for alike in kept.values() for profile in alike]


def _as_good(one: Profile, other: Profile) -> bool:
    """Tell whether the parts of the first do for the guest what the other's do."""
    return all(a[0] >= b[0] and a[1] <= b[1] for a, b in zip(one.parts, other.parts, strict=True))
