"""What a search for groups has before it: the items that are left, the budgets, and its effort.

Effort is a number of steps instead of a time, so that every machine finds the same.
"""

from __future__ import annotations

from typing import NamedTuple

from msgspec import Struct


class Item(NamedTuple):
    """One area or node: the CPUs that it must and may give to vCPUs at best. Equal kinds are interchangeable."""

    number: int
    node: int
    low: int
    high: int
    kind: int
    cache: int
    # CPUs beyond `high` that a group may use at the price of term 1.
    extra: int = 0


class Goal(NamedTuple):
    """What may be crossed at most: items, or the caches of areas; nodes by areas; and how many items may be used."""

    crossings: int
    nodes: int
    items: int = 1 << 30


class State(NamedTuple):
    """The items that are left to divide, those of a node next to each other, and what may still be spent."""

    rest: tuple[Item, ...]
    crossings: int
    nodes: int
    slack: int
    excess: int
    # The items that may still be used.
    items: int
    extra: int
    # Like `slack`, with the extra CPUs of all items.
    raw: int
    # The CPUs that nodes still have beyond what they may give, by node.
    surplus: tuple[tuple[int, int], ...] = ()

    def may_leave_surplus(self) -> bool:
        """Tell whether nodes can still leave what they may not give."""
        if not self.surplus:
            return True
        room: dict[int, int] = {}
        for item in self.rest:
            room[item.node] = room.get(item.node, 0) + item.high
        owed = sum(cpus for _, cpus in self.surplus)
        return owed <= self.slack and all(cpus <= room.get(node, 0) for node, cpus in self.surplus)

    def surplus_of(self, nodes: set[int]) -> int:
        """Count those of these nodes."""
        return sum(cpus for node, cpus in self.surplus if node in nodes)

    def surplus_after(self, cpus: int, nodes: set[int]) -> tuple[tuple[int, int], ...]:
        """Return it once so many CPUs of these nodes stay without a vCPU; they may be of any one of them."""
        return tuple((node, max(0, left - cpus) if node in nodes else left) for node, left in self.surplus)


class TooLong(Exception):
    """A search is longer than its effort."""


class Effort(Struct):
    """How many steps the searches that share this value may still take: without end, unless that is said."""

    steps: int = 1 << 60

    def spend(self, steps: int = 1) -> None:
        """Take so many; raises TooLong where there are fewer."""
        if self.steps < steps:
            raise TooLong
        self.steps -= steps

    def charge(self, steps: int) -> None:
        """Take so many that cannot be done without, even where fewer are left."""
        self.steps -= steps
