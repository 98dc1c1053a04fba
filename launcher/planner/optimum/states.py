"""What a search for groups has before it: items, open groups, and a state of the division."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Item(NamedTuple):
    """One area or node: the CPUs that it must and may give to vCPUs at best. Equal kinds are interchangeable."""

    number: int
    node: int
    low: int
    high: int
    kind: object
    cache: int
    # CPUs beyond `high` that a group may use at the price of term 1.
    extra: int = 0


class Open(NamedTuple):
    """Items of a group that is not complete yet."""

    items: tuple[int, ...]
    low: int
    high: int
    caches: frozenset[int]
    extra: int = 0

    def plus(self, other: Open) -> Open:
        """Put both into one group."""
        caches = self.caches | other.caches
        return Open(
            self.items + other.items, self.low + other.low, self.high + other.high, caches, self.extra + other.extra
        )


class Goal(NamedTuple):
    """What may be crossed at most: items, or the caches of areas; nodes by areas; and how many items may be used."""

    crossings: int
    nodes: int
    items: int = 1 << 30


class State(NamedTuple):
    """What is left to divide: the items of this node and of others, what came in, what goes out, and the budgets."""

    here: tuple[Item, ...]
    others: tuple[Item, ...]
    incoming: Open | None
    outgoing: Open | None
    crossings: int
    nodes: int
    slack: int
    excess: int
    # The items that may still be used, and the price that may still be paid.
    items: int
    price: int
    extra: int
    # Like `slack`, with the extra CPUs of all items.
    raw: int
    # Groups that wait for a later node, whether this node must pass on something, and whether it may still take some.
    waiting: tuple[Open, ...] = ()
    must_pass: bool = False
    may_take: bool = False


Groups = tuple[tuple[int, ...], ...]


def first_state(items: Sequence[Item], goal: Goal, vcpus: int, price: int, extra: int) -> State:
    """Return the state in which nothing is divided yet."""
    high = sum(item.high for item in items)
    return State(
        here=(),
        others=tuple(items),
        incoming=None,
        outgoing=None,
        crossings=goal.crossings,
        nodes=goal.nodes,
        slack=high + extra - vcpus,
        excess=vcpus - sum(item.low for item in items),
        items=goal.items,
        price=price,
        extra=extra,
        raw=high + sum(item.extra for item in items) - vcpus,
    )
