"""Term 6 where guest sockets cross nodes and CPUs are spare: node after node, with groups open for later nodes.

The least of terms 4 and 5 is given. A node's areas are groups of its own, parts of groups over several nodes, and idle
ones. As P parts in G groups cross nodes P - G times, term 6 is term 4, and for each node its caches in use less its own
groups and less its parts. So each node is judged by itself, and a bound for the nodes still to come is at hand: what
they can deliver at best, with as many parts as may be. Term 6 is searched from that bound upwards, and mostly is it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from itertools import combinations, permutations
from math import prod
from typing import NamedTuple

from msgspec import Struct, field

from launcher.planner.candidates import Item, Problem, outline, pose
from launcher.planner.effort import Effort, TooLong
from launcher.planner.grouping import members_of
from launcher.planner.nodewise import merged, searched
from launcher.planner.profiles import Profile, Uses
from launcher.vmi.guest import Topology

# Nodes up to which the bound for those still to come is quickly tabulated.
_NODE_LIMIT = 8
# Pairs of some areas of a node and a group of them that take as long as a step.
_PAIRS_A_STEP = 20
# Steps of the search for one value of term 6, first from the bound upwards, then downwards from what was found.
_QUICK_EFFORT = 200
_THOROUGH_EFFORT = 5_000


class Bounded(NamedTuple):
    """A group: its items, and the least and most sockets that it may hold."""

    items: tuple[int, ...]
    low: int
    high: int


# Where a part is: the position of its node, and of the part in the node's profile.
_Where = tuple[int, int]


class _Open(NamedTuple):
    """A group that needs another part: the guest cores that its parts so far may and must hold."""

    may: int
    must: int
    parts: tuple[_Where, ...]


class _State(NamedTuple):
    """The first nodes divided: their share of term 6, the sockets of complete groups, terms 4 and 5, the parts.

    `rank` is that of the last node's profile.
    """

    cost: int
    low: int
    high: int
    crossings: int
    used: int
    parts: int
    rank: int
    opens: tuple[_Open, ...]
    shared: tuple[tuple[tuple[_Where, ...], int, int], ...]
    profiles: tuple[Profile, ...]


def divide_across(
    items: Sequence[Item], topology: Topology, crossings: int, used: int, effort: Effort, *, below: int | None = None
) -> tuple[int, list[Bounded]] | None:
    """Divide the areas into groups with the least term 6 for these terms 4 and 5, and say how much it is.

    For up to eight nodes. Exact as far as the effort for each value of term 6 reaches, else near the least. None where
    guest cores cross nodes or are split beside housekeeping, where no groups have these terms and a term 6 `below` this
    one (if there is one), or where the effort does not suffice.
    """
    whole = outline(items, topology)
    if whole.least_price or len({item.node for item in items}) > _NODE_LIMIT:
        return None
    by_node: dict[int, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        by_node[item.node].append(index)
    # The largest nodes come first, equal ones one after the other.
    alike = sorted(
        by_node.items(),
        key=lambda entry: (sorted((items[index].stock for index in entry[1]), reverse=True), entry[0]),
        reverse=True,
    )
    members = [searched(indices, items) for _, indices in alike]
    problems = [pose([merged(indices, items) for indices in areas], topology, whole) for areas in members]
    # At most a third of the effort goes into the lists of what the nodes may be used for.
    listing = Effort(steps=effort.steps // 3)
    searching = Effort(steps=effort.steps - listing.steps)
    try:
        search = _Search(
            topology=topology,
            waste=whole.waste,
            uses=_uses(problems, listing),
            crossings=crossings,
            used=used,
            effort=searching,
        )
        found = search.best(None if below is None else below - crossings)
    except TooLong:
        found = None
    effort.steps = listing.steps + searching.steps
    return None if found is None else (found.cost + crossings, _groups(found, problems, members))


def _uses(problems: Sequence[Problem], effort: Effort) -> list[Uses]:
    """Find the uses of each node; equal nodes share them."""
    known: dict[object, Uses] = {}
    found = []
    for problem in problems:
        key = tuple((kind.stock, len(kind.members), kind.caches) for kind in problem.kinds)
        if key not in known:
            pairs = prod((len(kind.members) + 1) * (len(kind.members) + 2) // 2 for kind in problem.kinds)
            effort.spend(pairs // _PAIRS_A_STEP)
            known[key] = Uses(problem, effort)
        found.append(known[key])
    return found


def _groups(state: _State, problems: Sequence[Problem], members: Sequence[Sequence[tuple[int, ...]]]) -> list[Bounded]:
    """Name the items of each group."""
    groups: list[Bounded] = []
    part_items: dict[_Where, tuple[int, ...]] = {}
    for node, profile in enumerate(state.profiles):
        spans = list(profile.closed.spans())
        holders = [span.areas for span in spans] + [part.areas for part in profile.parts]
        named = [
            tuple(item for index in group for item in members[node][index])
            for group in members_of(holders, problems[node].kinds)
        ]
        groups += [Bounded(group, span.low, span.high) for group, span in zip(named, spans, strict=False)]
        part_items |= {(node, position): group for position, group in enumerate(named[len(spans) :])}
    for parts, low, high in state.shared:
        groups.append(Bounded(tuple(sorted(item for part in parts for item in part_items[part])), low, high))
    return groups


# The profiles of a node with the guest cores that they deliver and their rank, by their parts and their cost.
_Profiles = dict[tuple[int, int], list[tuple[int, int, Profile]]]


class _Search(Struct):
    """One search."""

    topology: Topology
    waste: int
    uses: Sequence[Uses]
    crossings: int
    used: int
    effort: Effort
    # By the position of the first node to come: what those nodes deliver at most, by parts and cost.
    tables: list[dict[tuple[int, int], int]] = field(default_factory=list)
    known_room: dict[tuple[int, int], int] = field(default_factory=dict)
    known_profiles: dict[tuple[int, int], _Profiles] = field(default_factory=dict)
    known_least: dict[tuple[int, int, int], int | None] = field(default_factory=dict)

    @property
    def most_parts(self) -> int:
        """Every group over nodes holds a socket, and crosses one node less than it has parts."""
        return self.crossings + min(self.crossings, self.topology.sockets)

    @property
    def guest_cores(self) -> int:
        return self.topology.sockets * self.topology.cores

    def best(self, below: int | None) -> _State | None:
        """Find the groups with the least term 6: some quickly, near the bound, and then ever better ones."""
        self.tables = self._tabulated()
        least = self.least(0, self.most_parts, self.guest_cores)
        if least is None:
            return None
        most = sum(uses.caches for uses in self.uses) if below is None else below - 1
        quick = (self._tried(target, 1, _QUICK_EFFORT) for target in range(least, most + 1))
        found = next((state for state in quick if state is not None), None)
        limit = most + 1 if found is None else found.cost
        in_a_node = min(self.crossings, self.topology.sockets)
        while limit > least:
            tries = (
                self._tried(limit - 1, number, _THOROUGH_EFFORT) for number in sorted({min(2, in_a_node), in_a_node})
            )
            better = next((state for state in tries if state is not None), None)
            if better is None:
                break
            found, limit = better, better.cost
        return found

    def _tried(self, target: int, in_a_node: int, steps: int) -> _State | None:
        """Look for groups of this cost with so many parts to a node at most; to look at each profile is not counted."""
        effort = Effort(steps=0)
        try:
            uses = [self._sorted(uses, in_a_node) for uses in self.uses]
            effort.steps = min(self.effort.steps, steps + sum(len(same) for each in uses for same in each.values()))
            self.effort.spend(effort.steps)
            return self._reached(target, uses, effort)
        except TooLong:
            return None
        finally:
            self.effort.steps += effort.steps

    def _tabulated(self) -> list[dict[tuple[int, int], int]]:
        tables: list[dict[tuple[int, int], int]] = [{(0, 0): 0}]
        offers = {id(uses): self._offers(uses) for uses in self.uses}
        for uses in reversed(self.uses):
            grown: dict[tuple[int, int], int] = {}
            for (parts, cost), cores in tables[-1].items():
                for (more, extra), offered in offers[id(uses)].items():
                    key = parts + more, cost + extra
                    if parts + more <= self.most_parts and grown.get(key, -1) < cores + offered:
                        grown[key] = cores + offered
            tables.append(_worthwhile(grown))
        return tables[::-1]

    def _offers(self, uses: Uses) -> dict[tuple[int, int], int]:
        """Find the guest cores that a node delivers at most: several parts hold no more than one of all their areas."""
        offers: dict[tuple[int, int], int] = {}
        for profile in uses.with_parts(0) + uses.with_parts(1):
            caches = sum(part.caches for part in profile.parts)
            for parts in range(min(1, caches), min(self.most_parts, caches) + 1):
                key = parts, profile.cost - parts
                offers[key] = max(offers.get(key, 0), profile.cores(self.topology.cores))
        return _worthwhile(offers)

    def least(self, node: int, parts: int, cores: int) -> int | None:
        """Bound the cost of the nodes from this one on, if they deliver these cores with so many parts at most."""
        key = node, parts, cores
        if key not in self.known_least:
            table = self.tables[node].items()
            self.known_least[key] = min((c for (n, c), most in table if n <= parts and most >= cores), default=None)
        return self.known_least[key]

    def _reached(self, target: int, uses: Sequence[_Profiles], effort: Effort) -> _State | None:
        """Search, the deepest and then the cheapest first, for groups that cost so much at most."""
        kept: dict[object, list[_State]] = defaultdict(list)
        heap = [(0, 0, 0, 0, _State(0, 0, 0, 0, 0, 0, 0, (), (), ()))]
        while heap:
            state = heappop(heap)[-1]
            node = len(state.profiles)
            if node == len(uses):
                if not state.opens and state.low <= self.topology.sockets <= state.high:
                    return state
                continue
            for after in self._further(state, uses[node], target, effort):
                bound = self._bound(after)
                if bound is not None and bound <= target and _keep(kept, after):
                    heappush(heap, (-node, bound, -self._cores(after), effort.steps, after))
        return None

    def _cores(self, state: _State) -> int:
        return state.high * self.topology.cores + sum(group.may for group in state.opens)

    def _bound(self, state: _State) -> int | None:
        """Bound the cost from below; None where this leads nowhere."""
        size, node, cores = self.topology.cores, len(state.profiles), self._cores(state)
        if state.crossings + len(state.opens) > self.crossings or state.used > self.used:
            return None
        if state.low + sum(max(1, -(-group.must // size)) for group in state.opens) > self.topology.sockets:
            return None
        if sum(uses.room for uses in self.uses[:node]) - cores > self.waste:
            return None
        if cores + self._most_room(node, self.used - state.used) < self.guest_cores:
            return None
        left = self.least(node, self.most_parts - state.parts, max(0, self.guest_cores - cores))
        return None if left is None else state.cost + left

    def _sorted(self, uses: Uses, in_a_node: int) -> _Profiles:
        """Sort a node's profiles by parts and cost, those first that deliver most."""
        key = id(uses), in_a_node
        if key not in self.known_profiles:
            self.known_profiles[key] = self._sorted_anew(uses, in_a_node)
        return self.known_profiles[key]

    def _sorted_anew(self, uses: Uses, in_a_node: int) -> _Profiles:
        found: _Profiles = defaultdict(list)
        profiles = [profile for parts in range(in_a_node, -1, -1) for profile in uses.with_parts(parts)]
        for rank, profile in enumerate(profiles):
            parts = len(profile.parts)
            found[parts, profile.cost - parts].append((profile.cores(self.topology.cores), rank, profile))
        return {key: sorted(same, key=lambda entry: -entry[0]) for key, same in found.items()}

    def _most_room(self, node: int, used: int) -> int:
        """Count what so many of the nodes from this one on may hold at most."""
        key = node, used
        if key not in self.known_room:
            self.known_room[key] = sum(sorted((uses.room for uses in self.uses[node:]), reverse=True)[:used])
        return self.known_room[key]

    def _further(self, state: _State, profiles: _Profiles, target: int, effort: Effort) -> Iterator[_State]:
        """Yield what each use of the next node makes of it."""
        node, missing = len(state.profiles), self.guest_cores - self._cores(state)
        # Equal nodes are interchangeable: their profiles are met in one order only.
        lowest = state.rank if node and self.uses[node] is self.uses[node - 1] else 0
        for (parts, cost), same in profiles.items():
            left = self.most_parts - state.parts - parts
            for cores, rank, profile in same:
                effort.spend()
                if rank < lowest:
                    continue
                bound = self.least(node + 1, left, max(0, missing - cores))
                if bound is None or state.cost + cost + bound > target:
                    break
                for joined in self._ways_to_join(state.opens, parts, self.crossings - state.crossings):
                    effort.spend()
                    yield from self._joined(state, profile, rank, joined)

    def _ways_to_join(self, opens: Sequence[_Open], parts: int, most: int) -> Iterator[tuple[tuple[int, int], ...]]:
        """Yield the ways to add parts (by position) to open groups, no two to the same; the others open groups."""
        for count in range(min(parts, len(opens), most) + 1):
            # Each group that stays open, or is opened, costs a crossing later.
            if len(opens) + parts - 2 * count > most - count:
                continue
            for chosen in combinations(range(parts), count):
                for groups in permutations(range(len(opens)), count):
                    yield tuple(zip(chosen, groups, strict=True))

    def _joined(
        self, state: _State, profile: Profile, rank: int, joined: Sequence[tuple[int, int]]
    ) -> Iterator[_State]:
        node = len(state.profiles)
        where, to = [position for position, _ in joined], [group for _, group in joined]
        opens = [group for index, group in enumerate(state.opens) if index not in to]
        opens += [
            _Open(part.may, part.must, ((node, position),))
            for position, part in enumerate(profile.parts)
            if position not in where
        ]
        grown = [_grown(state.opens[group], profile, node, position) for position, group in joined]
        for closed in self._ways_to_close(grown, self.crossings - state.crossings - len(joined) - len(opens)):
            shared = tuple(self._complete(grown[index]) for index in closed)
            yield _State(
                cost=state.cost + profile.cost - len(profile.parts),
                low=state.low + profile.low + sum(low for _, low, _ in shared),
                high=state.high + profile.high + sum(high for *_, high in shared),
                crossings=state.crossings + len(joined),
                used=state.used + bool(profile.parts or profile.high),
                parts=state.parts + len(profile.parts),
                rank=rank,
                opens=_ordered(opens + [group for index, group in enumerate(grown) if index not in closed]),
                shared=state.shared + shared,
                profiles=(*state.profiles, profile),
            )

    def _ways_to_close(self, grown: Sequence[_Open], most_open: int) -> Iterator[tuple[int, ...]]:
        """Yield the choices of groups with a new part to be complete now, so that not too many stay open."""
        size = self.topology.cores
        able = [i for i, group in enumerate(grown) if max(1, -(-group.must // size)) <= group.may // size]
        for count in range(len(able), max(0, len(grown) - most_open) - 1, -1):
            yield from combinations(able, count)

    def _complete(self, group: _Open) -> tuple[tuple[_Where, ...], int, int]:
        size = self.topology.cores
        return group.parts, max(1, -(-group.must // size)), group.may // size


def _grown(group: _Open, profile: Profile, node: int, position: int) -> _Open:
    part = profile.parts[position]
    return _Open(group.may + part.may, group.must + part.must, (*group.parts, (node, position)))


def _ordered(opens: Sequence[_Open]) -> tuple[_Open, ...]:
    return tuple(sorted(opens, key=lambda group: (-group.may, group.must)))


def _worthwhile(offers: dict[tuple[int, int], int]) -> dict[tuple[int, int], int]:
    """Leave out what another one delivers with no more parts at no more cost."""
    kept: dict[tuple[int, int], int] = {}
    for (parts, cost), cores in sorted(offers.items()):
        if not any(n <= parts and c <= cost and most >= cores for (n, c), most in kept.items()):
            kept[parts, cost] = cores
    return kept


def _keep(kept: dict[object, list[_State]], new: _State) -> bool:
    """Keep a state unless one that was kept is as good."""
    alike = kept[len(new.profiles), new.crossings, new.used, tuple(group[:2] for group in new.opens)]
    if any(_as_good(other, new) for other in alike):
        return False
    alike[:] = [other for other in alike if not _as_good(new, other)]
    alike.append(new)
    return True


def _as_good(one: _State, other: _State) -> bool:
    if one.cost > other.cost or one.low > other.low or one.high < other.high:
        return False
    return one.parts <= other.parts and one.rank <= other.rank
