"""Which nodes share guest sockets where some have to: a search by the number of crossings, from the least there may be.

Each item is a node by itself. A group of n nodes costs n - 1 crossings, and each crossing cures at most one guest
socket's worth of waste: CPUs of a node that are no whole guest socket. So a lower bound on the crossings is at hand for
any nodes that are left, and most hosts meet it at once, whatever the number of their nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import NamedTuple

from msgspec import Struct, field

from launcher.planner.candidates import TERM, Item, Outline, outline
from launcher.planner.effort import Effort, TooLong
from launcher.planner.grouping import may_idle
from launcher.planner.stock import Regime, Stock, bounds_of, spread
from launcher.vmi.guest import Topology

# What a way to fill a group costs, in steps: about ten times as much as to see that there is none.
_WAY_STEPS = 10


class Joined(NamedTuple):
    """Nodes (indices of the items) that share sockets, and the least and most sockets they may hold."""

    items: tuple[int, ...]
    low: int
    high: int


class _Slack(NamedTuple):
    """What may be spent: room of no whole socket, sockets' room beyond what must be held, terms 1 and 3, sockets."""

    waste: int
    surplus: int
    price: int
    sockets: int

    def less(self, loss: _Slack) -> _Slack | None:
        """Take a loss off; None where it is too large."""
        left = _Slack(*(have - lost for have, lost in zip(self, loss, strict=True)))
        return left if min(left) >= 0 else None


class _Node(NamedTuple):
    """One node: its index, a number that equal stocks have in common, its room, what it must hold of it."""

    item: int
    kind: int
    room: int
    must: int
    stock: Stock
    may_idle: bool


# Ways to fill a group, losing at most so much room: the least and most sockets, and what is spent (sockets: the least).
_Ways = Callable[[Sequence[_Node], int], Iterator[tuple[int, int, _Slack]]]


def join_nodes(items: Sequence[Item], topology: Topology, effort: Effort, most: int) -> list[Joined] | None:
    """Group nodes with the least terms 1, 3, 4 and 5; None where term 4 would pass `most`.

    Exact. Raises TooLong where the effort does not suffice.
    """
    search = _pose(items, topology, effort)
    for crossings in range(search.least_crossings(search.nodes, search.slack), min(most, len(items) - 1) + 1):
        for used in range(least_used(search.nodes, search.slack), len(items) + 1):
            found = search.fill(search.nodes, crossings, used, search.slack)
            if found is not None:
                return found
    return None


def join_roughly(items: Sequence[Item], topology: Topology, effort: Effort) -> list[Joined]:
    """Group nodes one by one, and then look for ever better groups, as long as each is found within the effort."""
    groups = _one_by_one(_pose(items, topology, Effort(steps=effort.steps)))
    while True:
        better = _bettered(_pose(items, topology, Effort(steps=effort.steps)), groups)
        if better is None:
            return groups
        groups = better


def _bettered(search: _Search, groups: Sequence[Joined]) -> list[Joined] | None:
    """Look for groups with one crossing less, or with one node less in use."""
    used = sum(len(group.items) for group in groups)
    crossings = used - len(groups)
    for fewer in ((crossings - 1, len(search.nodes)), (crossings, used - 1)):
        try:
            found = search.fill(search.nodes, *fewer, search.slack)
        except TooLong:
            continue
        if found is not None:
            return found
    return None


def _one_by_one(search: _Search) -> list[Joined]:
    """Make groups, the smallest first, that leave the others a way; these are one group at the end."""
    groups: list[Joined] = []
    left, slack = search.nodes, search.slack
    try:
        for size in range(1, len(left)):
            while (found := search.next_group(left, size, slack)) is not None:
                groups.append(found[0])
                left = tuple(node for node in left if node.item not in found[0].items)
                slack = found[1]
    except TooLong:
        pass
    last = search.as_one(left, slack)
    if last is None:
        raise AssertionError("every group leaves the others a way")
    return [*groups, last]


def _pose(items: Sequence[Item], topology: Topology, effort: Effort) -> _Search:
    whole = outline(items, topology)
    pose = _priced if whole.least_price else _unpriced
    return pose(items, topology, whole, effort)


def _unpriced(items: Sequence[Item], topology: Topology, whole: Outline, effort: Effort) -> _Search:
    """Count the room in guest cores: what each node holds without a price."""
    size, plenty = topology.cores, whole.regime is Regime.PLENTY

    def ways(nodes: Sequence[_Node], _waste: int) -> Iterator[tuple[int, int, _Slack]]:
        room, must = sum(node.room for node in nodes), sum(node.must for node in nodes)
        low, high = max(1, -(-must // size)), room // size
        if low <= high:
            yield low, high, _Slack(room - high * size, 0 if plenty else low * size - must, 0, low)

    bounds = [bounds_of((item.stock,), whole.regime, topology.threads) for item in items]
    slack = _Slack(whole.waste, 0 if plenty else whole.surplus, 0, topology.sockets)
    nodes = _nodes(items, [may for _, may in bounds], [must for must, _ in bounds], whole.regime, size)
    return _Search(nodes=nodes, size=size, slack=slack, ways=ways, effort=effort)


def _priced(items: Sequence[Item], topology: Topology, whole: Outline, effort: Effort) -> _Search:
    """Count the room in CPUs: each number of sockets that nodes hold has a price, and no CPU is wasted twice."""
    threads, size = topology.threads, topology.threads * topology.cores

    def ways(nodes: Sequence[_Node], waste: int) -> Iterator[tuple[int, int, _Slack]]:
        room, must = sum(node.room for node in nodes), sum(node.must for node in nodes)
        least = max(1, -(-must // topology.cores), -(-(room - waste) // size))
        for sockets in range(room // size, least - 1, -1):
            split = spread([node.stock for node in nodes], sockets * topology.cores - must, threads)
            yield sockets, sockets, _Slack(room - sockets * size, 0, split.across << TERM | split.beside, sockets)

    wholes = [item.stock.wholes for item in items]
    cpus = [threads * item.stock.wholes + item.stock.looses for item in items]
    slack = _Slack(sum(cpus) - topology.sockets * size, 0, whole.least_price, topology.sockets)
    nodes = _nodes(items, cpus, wholes, whole.regime, size)
    return _Search(nodes=nodes, size=size, slack=slack, ways=ways, effort=effort, uses_slack=True)


def _nodes(
    items: Sequence[Item], rooms: Sequence[int], musts: Sequence[int], regime: Regime, size: int
) -> tuple[_Node, ...]:
    """List the nodes, those first that alone would waste most: they are the hardest to place."""
    kinds = {stock: kind for kind, stock in enumerate(sorted({item.stock for item in items}))}
    nodes = [
        _Node(index, kinds[item.stock], room, must, item.stock, may_idle(item.stock, regime))
        for index, (item, room, must) in enumerate(zip(items, rooms, musts, strict=True))
    ]
    return tuple(sorted(nodes, key=lambda node: (-(node.room % size), node.kind, node.item)))


def least_used(nodes: Sequence[_Node], slack: _Slack) -> int:
    """Bound the nodes in use from below: the largest hold what may not be wasted, and some may not idle."""
    rooms = sorted((node.room for node in nodes), reverse=True)
    needed = sum(rooms) - slack.waste
    largest = next(count for count in range(len(rooms) + 1) if sum(rooms[:count]) >= needed)
    return max(largest, sum(not node.may_idle for node in nodes))


class _Search(Struct):
    """One search. `uses_slack` means that each group holds one number of sockets, so that nothing may be left over."""

    nodes: tuple[_Node, ...]
    size: int
    slack: _Slack
    ways: _Ways
    effort: Effort
    uses_slack: bool = False
    failed: set[tuple[object, ...]] = field(default_factory=set)
    alone: dict[int, bool] = field(default_factory=dict)

    def fill(self, nodes: tuple[_Node, ...], crossings: int, used: int, slack: _Slack) -> list[Joined] | None:
        """Group these nodes with at most so many crossings and nodes in use; None where that cannot be."""
        if not nodes:
            return None if self.uses_slack and slack.waste else []
        key = tuple(node.kind for node in nodes), crossings, used, slack
        if key in self.failed or least_used(nodes, slack) > used or self.least_crossings(nodes, slack) > crossings:
            return None
        for groups in self._branches(nodes, crossings, used, slack):
            if groups is not None:
                return groups
        self.failed.add(key)
        return None

    def _branches(
        self, nodes: tuple[_Node, ...], crossings: int, used: int, slack: _Slack
    ) -> Iterator[list[Joined] | None]:
        """Yield what comes of each group with the first node, the small ones first, and of leaving it empty."""
        # The last socket's group has all that is left to be used.
        smallest = max(1, least_used(nodes, slack)) if slack.sockets == 1 else 1
        for size in range(smallest, min(crossings + 1, used, len(nodes)) + 1):
            for members, low, high, left in self._groups(nodes, size, slack):
                chosen = tuple(node.item for node in members)
                rest = tuple(node for node in nodes if node.item not in chosen)
                further = self.fill(rest, crossings - size + 1, used - size, left)
                yield None if further is None else [Joined(tuple(sorted(chosen)), low, high), *further]
        idle = slack.less(_Slack(nodes[0].room, 0, 0, 0)) if nodes[0].may_idle else None
        if idle is not None:
            yield self.fill(nodes[1:], crossings, used, idle)

    def _groups(
        self, nodes: tuple[_Node, ...], size: int, slack: _Slack
    ) -> Iterator[tuple[tuple[_Node, ...], int, int, _Slack]]:
        """Yield the groups of so many nodes that have the first one, and what slack they leave."""
        seen = set()
        for others in combinations(nodes[:0:-1], size - 1):
            self.effort.spend()
            room = nodes[0].room + sum(node.room for node in others)
            kinds = tuple(node.kind for node in others)
            if room % self.size > slack.waste or kinds in seen:
                continue
            seen.add(kinds)
            members = (nodes[0], *others)
            for low, high, loss in self.ways(members, slack.waste):
                self.effort.spend(_WAY_STEPS)
                left = slack.less(loss)
                if left is not None:
                    yield members, low, high, left

    def least_crossings(self, nodes: Sequence[_Node], slack: _Slack) -> int:
        """Bound the crossings from below: by waste and surplus of single nodes, by the sockets, by who needs another.

        A group of n nodes has at least one socket, and a node that does not fit alone at least one other.
        """
        wasted = sum(node.room % self.size for node in nodes) - slack.waste
        beyond = 0 if self.uses_slack else sum(-node.must % self.size for node in nodes) - slack.surplus
        needing = sum(not node.may_idle and not self._fits_alone(node) for node in nodes)
        beside = least_used(nodes, slack) - slack.sockets
        return max(beside, -(-wasted // self.size), -(-beyond // self.size), -(-needing // 2), 0)

    def _fits_alone(self, node: _Node) -> bool:
        if node.kind not in self.alone:
            ways = self.ways((node,), self.slack.waste)
            self.alone[node.kind] = any(self.slack.less(loss) is not None for *_, loss in ways)
        return self.alone[node.kind]

    def next_group(self, nodes: tuple[_Node, ...], size: int, slack: _Slack) -> tuple[Joined, _Slack] | None:
        """Find a group of so many nodes that leaves the others a way to be one group."""
        for start in range(len(nodes) - size):
            for members, low, high, left in self._groups(nodes[start:], size, slack):
                chosen = tuple(node.item for node in members)
                if self.as_one(tuple(node for node in nodes if node.item not in chosen), left) is not None:
                    return Joined(tuple(sorted(chosen)), low, high), left
        return None

    def as_one(self, nodes: Sequence[_Node], slack: _Slack) -> Joined | None:
        """Make one group of these nodes."""
        for low, high, loss in self.ways(nodes, slack.waste):
            left = slack.less(loss)
            if left is not None and not (self.uses_slack and left.waste):
                return Joined(tuple(sorted(node.item for node in nodes)), low, high)
        return None
