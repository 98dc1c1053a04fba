"""The search for the groups: which items (areas, or whole nodes) hold guest sockets together, at the fewest crossings.

It goes from node to node along lines. What a node's items leave open, they pass on to the next node, which closes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct, field

from launcher.planner.optimum.effort import Effort
from launcher.planner.optimum.groups import Market, Settled
from launcher.planner.optimum.outlook import Outlook
from launcher.planner.optimum.prospects import Prospects
from launcher.planner.optimum.states import Goal, Groups, Item, Open, State, first_state
from launcher.planner.optimum.sums import Wanted, sums

# Divisions that are settled for one number of crossings: of equal ones that are liked more.
_LEAVES = 12
# Groups that may wait for one node, beside the one that comes in.
_WAITING = 2


class Search(Struct):
    """One search over these items, sorted by node, for the guest of the market.

    `settles` judges a finished division; `price_of` is the least price of a group, None where it is none. With
    `lossless`, items that make whole sockets alone or in pairs are taken so. `extra` CPUs may be used beyond what items
    have in whole guest cores. What a node gives to a group of several nodes is a multiple of `part` (0: the items are
    nodes). Of the divisions found the one with the least `merit` is the best, and one that is `good` enough ends the
    search.
    """

    items: Sequence[Item]
    market: Market
    settles: Callable[[Groups], Settled | None]
    price_of: Callable[[tuple[int, ...]], int | None]
    merit: Callable[[Settled], int]
    prospects: Prospects
    lossless: bool
    extra: int
    part: int = 0
    good: int = 0
    most_leaves: int = _LEAVES
    best: Settled | None = None
    leaves: int = 0
    failed: set[object] = field(default_factory=set)
    outlooks: dict[int, Outlook | None] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The CPUs of a guest socket."""
        return self.market.socket

    @property
    def effort(self) -> Effort:
        """What may still be done."""
        return self.market.effort

    def least(self) -> int:
        """Return a number of crossings below which nothing need be searched."""
        return self.prospects.least(self._first_state(Goal(0, 0)), range(len(self.items)))

    def within(self, goal: Goal) -> Settled | None:
        """Find groups that cross no more than wanted; None where there are none. Raises TooLong."""
        state = self._first_state(goal)
        self.best, self.leaves = None, 0
        if self.part and not self.prospects.spanning:
            self.prospects.outlook = self._outlook(state.slack, goal.nodes)
        self.failed.clear()
        if state.slack >= 0 and state.excess >= 0:
            self._extend(state, ())
        return self.best

    def _outlook(self, slack: int, nodes: int) -> Outlook | None:
        """Return the outlook for so many nodes crossed, the same for every number of crossings that is tried."""
        if nodes not in self.outlooks:
            self.outlooks[nodes] = Outlook.of(self.items, self.size, self.part, slack, nodes)
        return self.outlooks[nodes]

    def _first_state(self, goal: Goal) -> State:
        return first_state(self.items, goal, self.market.topology.vcpus, self.market.price, self.extra)

    def _extend(self, state: State, groups: Groups) -> bool:
        """Divide the rest; tell whether a division was found that needs no better."""
        self.effort.spend(25)
        rest = state.here + state.others
        is_open = state.incoming is not None or state.outgoing is not None or bool(state.waiting)
        idle = sum(item.high for item in rest) <= state.slack - state.extra and not any(item.low for item in rest)
        if idle and not is_open:
            return self._leaf(groups)
        if not self.prospects.allow(state, [item.number for item in rest]):
            return False
        key = self._key(state)
        if key in self.failed:
            return False
        before = self.leaves
        for group, after in self._steps(state):
            if self._extend(after, (*groups, group) if group else groups):
                return True
        if self.leaves == before:
            self.failed.add(key)
        return False

    def _key(self, state: State) -> object:
        incoming, outgoing = state.incoming, state.outgoing
        return (
            tuple(item.number for item in state.here),
            tuple(item.number for item in state.others),
            incoming and incoming[1:],
            outgoing and outgoing[1:],
            state[4:12],
            tuple(group[1:] for group in state.waiting),
            state[13:],
        )

    def _leaf(self, groups: Groups) -> bool:
        self.leaves += 1
        self.effort.spend(25)
        settled = self.settles(groups) if groups else None
        if settled is not None and (self.best is None or self.merit(settled) < self.merit(self.best)):
            self.best = settled
        return self.best is not None and (self.merit(self.best) <= self.good or self.leaves >= self.most_leaves)

    def _steps(self, state: State) -> Iterator[tuple[tuple[int, ...], State]]:
        """Yield what may be done next, the cheapest first: the group that is closed, if any, and what is left."""
        if state.incoming is not None:
            yield from self._closed(state, state.incoming, state.here)
            yield from self._passed(state, state.incoming, state.here)
        elif state.here:
            yield from self._first(state._replace(may_take=False), state.here[0])
            if state.may_take and state.nodes:
                for index, group in enumerate(state.waiting):
                    waiting = state.waiting[:index] + state.waiting[index + 1 :]
                    yield (), state._replace(incoming=group, waiting=waiting, nodes=state.nodes - 1)
        else:
            yield from self._next_nodes(state)

    def _next_nodes(self, state: State) -> Iterator[tuple[tuple[int, ...], State]]:
        open_groups = len(state.waiting) + (state.outgoing is not None)
        if (state.outgoing is None and state.must_pass) or open_groups > state.nodes:
            return
        nodes = list(dict.fromkeys(item.node for item in state.others))
        if state.outgoing is not None:
            for _, after in self._entered(state, nodes):
                yield (), after._replace(incoming=state.outgoing, outgoing=None, nodes=state.nodes - 1, must_pass=False)
            if len(state.waiting) < _WAITING and open_groups + 1 <= state.nodes and len(nodes) > 1:
                waiting = (*state.waiting, state.outgoing)
                for _, after in self._entered(state, nodes):
                    yield (), after._replace(outgoing=None, waiting=waiting, must_pass=True)
            return
        for is_first, after in self._entered(state, nodes):
            # Nodes by themselves are divided in their order.
            if is_first or state.nodes:
                yield (), after._replace(must_pass=not is_first and not state.waiting)

    def _entered(self, state: State, nodes: Sequence[int]) -> Iterator[tuple[bool, State]]:
        """Yield the state at each of the next nodes, of equal ones the first only."""
        kinds: set[object] = set()
        for node in nodes:
            here = tuple(item for item in state.others if item.node == node)
            kind = tuple(item.kind for item in here)
            if kind not in kinds:
                others = tuple(item for item in state.others if item.node != node)
                yield not kinds, state._replace(here=here, others=others, may_take=bool(state.waiting))
                kinds.add(kind)

    def _first(self, state: State, first: Item) -> Iterator[tuple[tuple[int, ...], State]]:
        """Yield what may become of the first item of this node."""
        others = state.here[1:]
        alone = Open((first.number,), first.low, first.high, frozenset((first.cache,)), first.extra)
        for found in self._group(state, alone, (), others):
            yield found
            if self.lossless and found[1].slack == state.slack and found[1].excess == state.excess:
                return
        if not first.low and first.high <= state.slack and first.high + first.extra <= state.raw:
            yield (
                (),
                state._replace(here=others, slack=state.slack - first.high, raw=state.raw - first.high - first.extra),
            )
        for step in self._closed(state, alone, others):
            yield step
            is_pair = len(step[0]) == 2
            if self.lossless and is_pair and step[1].slack == state.slack and step[1].excess == state.excess:
                return
        if state.nodes and state.others and len(state.waiting) + 1 <= state.nodes:
            yield from self._passed(state, alone, others)

    def _passed(self, state: State, group: Open, others: tuple[Item, ...]) -> Iterator[tuple[tuple[int, ...], State]]:
        """Pass this on to the next node, with what is passed on already."""
        if state.outgoing is None:
            yield (), state._replace(here=others, incoming=None, outgoing=group)
            return
        whole = state.outgoing.plus(group)
        cost = len(whole.caches) - len(state.outgoing.caches) - len(group.caches) + 1
        if cost <= state.crossings:
            yield (), state._replace(here=others, incoming=None, outgoing=whole, crossings=state.crossings - cost)

    def _closed(self, state: State, start: Open, pool: tuple[Item, ...]) -> Iterator[tuple[tuple[int, ...], State]]:
        """Yield the groups that this one becomes with items of the node."""
        wanted = Wanted(self.size, state.slack, state.extra)
        highs = sorted((item.high for item in pool), reverse=True)
        total = start.high
        for count in range(1, (len(pool) if self.prospects.spanning else min(state.crossings, len(pool))) + 1):
            total += highs[count - 1]
            if total + state.extra < self.size:
                continue
            for members in sums(pool, count, start.high, wanted, self.effort):
                yield from self._group(state, start, members, pool)

    def _group(
        self, state: State, start: Open, members: tuple[Item, ...], pool: tuple[Item, ...]
    ) -> Iterator[tuple[tuple[int, ...], State]]:
        low = start.low + sum(item.low for item in members)
        high = start.high + sum(item.high for item in members)
        every = start.extra + sum(item.extra for item in members)
        extra = min(state.extra, every)
        least, most = -(-low // self.size), high // self.size
        cost = len(start.caches.union(item.cache for item in members)) - len(start.caches)
        over = least * self.size - low
        if cost > state.crossings or over > state.excess:
            return
        group = (*start.items, *(item.number for item in members))
        for count in range(max(1, least, most), (high + extra) // self.size + 1):
            waste, more = max(0, high - count * self.size), max(0, count * self.size - high)
            raw = high + every - count * self.size
            price = self.price_of(group) if waste <= state.slack and raw <= state.raw else None
            if price is None or price > state.price:
                continue
            yield (
                group,
                state._replace(
                    here=tuple(item for item in pool if item not in members) if members else pool,
                    incoming=None,
                    crossings=state.crossings - cost,
                    slack=state.slack - waste,
                    excess=state.excess - over,
                    items=state.items - len(group),
                    price=state.price - price,
                    extra=state.extra - more,
                    raw=state.raw - raw,
                ),
            )
