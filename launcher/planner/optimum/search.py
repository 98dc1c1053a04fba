"""The search for the groups: which items (areas, or whole nodes) hold guest sockets together, at the fewest crossings.

It takes the first item that is left and tries what may become of it: a group alone, idle, a group with others of its
node, then of more and more nodes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from launcher.planner.optimum.choices import Choices
from launcher.planner.optimum.groups import Group, Market, Settled
from launcher.planner.optimum.offers import AWAY, FIELD
from launcher.planner.optimum.prospects import Prospects
from launcher.planner.optimum.states import Effort, Goal, Item, State
from launcher.planner.optimum.sums import Sums, Wanted

# Divisions that are settled for one number of crossings: of equal ones that are liked more.
_LEAVES = 12
# What one step of the search counts as.
_STEP = 25

_Step = tuple[Group, State]


def _merit(settled: Settled) -> int:
    return settled.dislike >> AWAY


class Search:
    """One search over these items, sorted by node, for the guest of the market.

    Of the divisions found the one with the least `merit` is the best, and one that is `good` enough ends the search.
    """

    def __init__(
        self,
        items: Sequence[Item],
        members: Sequence[Group],
        market: Market,
        *,
        extra: int = 0,
        part: int = 0,
        surplus: Mapping[int, int] | None = None,
        is_part: bool = False,
    ) -> None:
        """Prepare the search.

        `members` are the areas of each item. `extra` CPUs may be used beyond what items have in whole guest cores. What
        a node gives to a group of several nodes is a multiple of `part` (0: the items are nodes). `surplus` are the
        CPUs of nodes that must stay without a vCPU, of those that are full no more may. What the least price of a part
        of the guest is, is found when something is settled.
        """
        self.items = [item._replace(number=position) for position, item in enumerate(items)]
        self.members, self.market = members, market
        self.extra, self.part, self.surplus = extra, part, surplus or {}
        self.merit, self.good, self.most_leaves = _merit, 0, _LEAVES
        self.best: Settled | None = None
        self._best_merit = 0
        self.leaves, self.failed = 0, set[object]()
        self._is_part, self._whole = is_part, list[Settled | None]()
        self._start = self._first_state()
        slack = max(0, self._start.slack)
        self.prospects = Prospects(self.items, market.socket, extra=extra, part=part, slack=slack, menus=market.menus)

    def look_at_choices(self) -> None:
        """Count the groups that any of the items, whole nodes, can make: from now on that bounds the crossings, too."""
        # Where guest cores lie across nodes, no more CPUs stay without a vCPU than there are too many.
        cpus = [item.high + item.extra if self.extra else item.high for item in self.items]
        slack = self._start.raw if self.extra else self._start.slack
        self.prospects.choices = Choices(cpus, self.market.socket, slack)

    def least(self) -> int:
        """Return a number of crossings below which nothing need be searched."""
        return self.prospects.least(self._start)

    def as_one_group(self) -> Settled | None:
        """Settle everything as one group, and let nothing be dearer from now on; None where it cannot be one."""
        if not self._whole:
            whole = replace(self.market, effort=Effort()).settle([tuple(self.market.areas)])
            self._whole.append(whole)
            if whole is not None:
                self.market.price = whole.price | ((1 << FIELD) - 1)
        return self._whole[0]

    def within(self, goal: Goal) -> Settled | None:
        """Find groups that cross no more than wanted; None where there are none. Raises TooLong."""
        state = self._start._replace(crossings=goal.crossings, nodes=goal.nodes, items=goal.items)
        self.best, self.leaves = None, 0
        self.failed.clear()
        self.prospects.aim(state.slack, goal.nodes)
        if state.slack >= 0 and state.excess >= 0 and state.may_leave_surplus():
            self._extend(state, ())
        return self.best

    def _first_state(self) -> State:
        high, vcpus = sum([item.high for item in self.items]), self.market.topology.vcpus
        return State(
            rest=tuple(self.items),
            crossings=0,
            nodes=0,
            slack=high + self.extra - vcpus,
            excess=vcpus - sum([item.low for item in self.items]),
            items=0,
            extra=self.extra,
            raw=high + sum([item.extra for item in self.items]) - vcpus,
            surplus=tuple((node, cpus) for node, cpus in self.surplus.items() if cpus),
        )

    def _extend(self, state: State, groups: tuple[Group, ...]) -> bool:
        """Divide the rest; tell whether a division was found that needs no better."""
        self.market.effort.spend(_STEP)
        rest = sum([item.high for item in state.rest])
        if rest <= state.slack - state.extra and not any(item.low for item in state.rest):
            return self._leaf(groups)
        if not self.prospects.allow(state):
            return False
        key = tuple([item.number for item in state.rest]), state[1:]
        if key in self.failed:
            return False
        before = self.leaves
        for group, after in self._steps(state):
            if self._extend(after, (*groups, group) if group else groups):
                return True
        if self.leaves == before:
            self.failed.add(key)
        return False

    def _leaf(self, groups: tuple[Group, ...]) -> bool:
        self.leaves += 1
        self.market.effort.spend(_STEP)
        may_be = bool(groups) and not (self._is_part and self.as_one_group() is None)
        settled = self.market.settle([self._areas_of(group) for group in groups]) if may_be else None
        merit = self._best_merit if settled is None else self.merit(settled)
        if settled is not None and (self.best is None or merit < self._best_merit):
            self.best, self._best_merit = settled, merit
        return self.best is not None and (self._best_merit <= self.good or self.leaves >= self.most_leaves)

    def _areas_of(self, group: Iterable[int]) -> Group:
        return tuple(sorted(index for member in group for index in self.members[member]))

    def _steps(self, state: State) -> Iterator[_Step]:
        """Yield what may become of the first item, the cheapest first: the group, if any, and what is left."""
        first, others = state.rest[0], state.rest[1:]
        yield from self._group(state, first, ())
        if not first.low:
            yield from self._idle(state, first)
        yield from self._closed(state, first, others)

    def _idle(self, state: State, first: Item) -> Iterator[_Step]:
        """Leave the first item without vCPUs.

        Without housekeeping those of its node that are no larger, too: one of them might change places with it.
        """
        idle = {first}
        if not self.market.housekeeping and self.part and not self.prospects.spanning:
            idle |= {item for item in state.rest if item.node == first.node and not item.low}
        yield from self._taken(state, idle, {first.node}, 0)

    def _taken(self, state: State, items: Collection[Item], nodes: set[int], sockets: int) -> Iterator[_Step]:
        """Give so many guest sockets, or none, to items of these nodes, where what they leave over may be idle."""
        numbers = {item.number for item in items}
        over = sum([item.high for item in items]) - sockets * self.market.socket
        waste, raw = max(0, over), state.raw - over - sum([item.extra for item in items])
        beyond_cap = nodes <= self.market.caps.full and waste > state.surplus_of(nodes)
        if raw < 0 or waste > state.slack or beyond_cap:
            return
        after = state._replace(
            rest=tuple([item for item in state.rest if item.number not in numbers]),
            slack=state.slack - waste,
            extra=state.extra - max(0, -over),
            raw=raw,
            surplus=state.surplus_after(waste, nodes),
        )
        if after.may_leave_surplus():
            yield tuple(item.number for item in items) if sockets else (), after

    def _closed(self, state: State, first: Item, pool: tuple[Item, ...]) -> Iterator[_Step]:
        """Yield the groups that the first item is in with others, those of few nodes first, then of few items."""
        most = len(pool) if self.prospects.spanning else min(state.crossings, len(pool))
        if not most:
            return
        sums = Sums(pool, most, first, Wanted(self.market.socket, state.slack, state.extra), self.market.effort)
        further = len({item.node for item in pool} - {first.node})
        for nodes in range(min(state.nodes, further) + 1):
            highs = sorted((item.high for item in pool if nodes or item.node == first.node), reverse=True)
            total = first.high + sum(highs[: max(1, nodes) - 1])
            # Each node that is left open is crossed, two of them at once at best.
            most_open = 2 * (state.nodes - nodes) if self.part else 1
            for count in range(max(1, nodes), min(most, len(highs)) + 1):
                total += highs[count - 1]
                if total + state.extra < self.market.socket:
                    continue
                for members in sums.choices(count, nodes, most_open):
                    yield from self._group(state, first, members)

    def _group(self, state: State, first: Item, members: tuple[Item, ...]) -> Iterator[_Step]:
        """Yield the group of the first item and these members, with each number of guest sockets that it may have."""
        size, items = self.market.socket, (first, *members)
        low = sum([item.low for item in items])
        least = -(-low // size)
        cost = len({item.cache for item in items}) - 1 if self.prospects.spanning else len(members)
        if cost > state.crossings or least * size - low > state.excess:
            return
        by_node: dict[int, int] = {}
        for item in items:
            by_node[item.node] = by_node.get(item.node, 0) + item.high
        nodes, total, every = set(by_node), sum(by_node.values()), sum([item.extra for item in items])
        if len(nodes) - 1 > state.nodes:
            return
        # Of several nodes each gives whole guest cores.
        odd = sum(cpus % (self.part or 1) for cpus in by_node.values()) if len(nodes) > 1 else 0
        most, all_most = (total - odd) // size, (total - odd + min(state.extra, every)) // size
        # Fewer guest sockets than there is room for leave what the nodes may not give.
        fewest = max(1, least, most + state.surplus_of(nodes) // -size)
        charged = state._replace(
            crossings=state.crossings - cost,
            nodes=state.nodes - len(nodes) + 1,
            excess=state.excess - (least * size - low),
            items=state.items - len(items),
        )
        for sockets in (*range(max(1, least, most), all_most + 1), *range(most - 1, fewest - 1, -1)):
            yield from self._taken(charged, items, nodes, sockets)
