"""Term 6: which last-level caches share guest sockets, with terms 4 and 5 as they are."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from msgspec import Struct, field

from launcher.planner.optimum.ground import Ground, tried
from launcher.planner.optimum.groups import Group, Settled
from launcher.planner.optimum.mend import mended
from launcher.planner.optimum.nodes import SETS, Nodes, candidates, node_sets, set_count
from launcher.planner.optimum.search import Search
from launcher.planner.optimum.states import Effort, Goal, Item

# The efforts: for one group of nodes, for all of them, for looking at other groups, and for everything at once.
_GROUP_EFFORT = 40_000
_GROUPS_EFFORT = 160_000
_NODES_EFFORT = 100_000
_AREAS_EFFORT = 180_000
_FEW_AREAS = 24
_MANY_AREAS_EFFORT = 75_000
# Groups of nodes that are looked at.
_LEAVES = 400

# Finds groups that cross at most so many caches, and tells whether the effort was enough.
Attempt = Callable[[int, int], tuple[Settled | None, bool]]


def divide_areas(ground: Ground, nodes: Nodes) -> tuple[Settled, bool]:
    """Divide the areas into groups with the least term 6; tell whether less was excluded."""
    rough = ground.market.settle([group for group, _ in nodes.settled.groups]) or nodes.settled
    if not ground.crossed_by(rough):
        return rough, True
    effort = ground.effort(_GROUPS_EFFORT)
    return _Areas(ground=ground, nodes=nodes, effort=effort).divided(rough)


class _Areas(Struct):
    """One search for term 6, with the groups of nodes that were divided by themselves."""

    ground: Ground
    nodes: Nodes
    effort: Effort
    known: dict[object, list[Group]] = field(default_factory=dict)

    def divided(self, rough: Settled) -> tuple[Settled, bool]:
        """Divide groups of nodes by themselves, then look whether anything is better than the best of those."""
        ground = self.ground
        searches, are_all = self._searches(rough)
        least = min(bound for bound, _ in searches)
        rough = self._best_nodes(rough, least)
        settled = ground.market.settle(self._each_divided(rough)) or rough
        first = min(settled, rough, key=ground.crossed_by)
        found, is_least = self._best_of(self._attempt(searches), least, first)
        return (found, are_all) if is_least else (mended(found, ground), False)

    def _searches(self, rough: Settled) -> tuple[list[tuple[int, Search]], bool]:
        """Prepare the search of each set of nodes that may do, those that are known to do first."""
        ground = self.ground
        items = ground.node_items()
        known = sorted({node for group, _ in rough.groups for node in ground.nodes_of(group)})
        are_all = set_count(items, self.nodes.used) <= SETS
        sets = [known]
        if not are_all:
            items.sort(key=self._spread)
        for members in islice(node_sets(ground, items, self.nodes.used), SETS):
            numbers = [item.number for item in members]
            if numbers != known:
                sets.append(numbers)
        searches = [
            ground.search_areas((i for node in numbers for i in ground.of_node[node]), ground.plain) for numbers in sets
        ]
        return [(search.least(), search) for search in searches], are_all

    def _spread(self, node: Item) -> tuple[float, int]:
        """Order nodes by the CPUs that each of their areas holds, most first: these nodes need the fewest caches."""
        return -node.high / len(self.ground.of_node[node.number]), node.number

    def _attempt(self, searches: list[tuple[int, Search]]) -> Attempt:
        effort = self.ground.effort(_AREAS_EFFORT if len(self.ground.areas) <= _FEW_AREAS else _MANY_AREAS_EFFORT)

        def attempt(crossings: int, parts: int) -> tuple[Settled | None, bool]:
            ended = True
            for bound, search in searches:
                if bound <= crossings:
                    found, is_over = tried(search, Goal(crossings, self.nodes.crossings), effort, parts)
                    ended = ended and is_over
                    if found is not None:
                        return self.ground.market.settle([group for group, _ in found.groups]) or found, ended
            return None, ended

        return attempt

    def _best_of(self, attempt: Attempt, least: int, best: Settled) -> tuple[Settled, bool]:
        """Attempt few crossings, from the least up as long as the effort does, then from the best so far down."""
        crossed = self.ground.crossed_by
        crossings = least
        while crossings < crossed(best):
            # Where only the last step is open, whatever is found or excluded ends the search.
            found, ended = attempt(crossings, 1 if crossings == crossed(best) - 1 else 3)
            if found is not None:
                return found, True
            if not ended:
                break
            crossings += 1
        is_least = crossings >= crossed(best)
        while crossings < crossed(best):
            found, ended = attempt(crossed(best) - 1, 1)
            if found is None:
                return best, ended and crossings >= crossed(best) - 1
            best = min(found, best, key=crossed)
        return best, is_least

    def _best_nodes(self, rough: Settled, good: int) -> Settled:
        """Look at other groups of nodes that are as good in terms 4 and 5, divided by themselves."""
        ground, best, effort = self.ground, rough, self.ground.effort(_NODES_EFFORT)
        items = ground.node_items()
        for members in candidates(ground, items, self.nodes.used):
            if effort.steps <= 0 or self._merit(best) <= good:
                break
            search = ground.search_nodes(members, ground.market)
            search.merit, search.good, search.most_leaves = self._merit, good, _LEAVES
            found, _ = tried(search, Goal(self.nodes.crossings, 0, self.nodes.used), effort, 2)
            best = best if found is None else min(best, found, key=self._merit)
        return best

    def _merit(self, settled: Settled) -> int:
        return self.ground.crossed(self._each_divided(settled))

    def _each_divided(self, settled: Settled) -> list[Group]:
        """Divide each group of nodes by itself, with as much housekeeping on it as it has."""
        groups: list[Group] = []
        for group, sockets in settled.groups:
            members = self._with_all_of_capped(group)
            key = members, sockets, sum(settled.reservations[index].cpus for index in members)
            if key not in self.known:
                self.known[key] = self._divided(*key)
            groups += self.known[key]
        return groups

    def _with_all_of_capped(self, group: Group) -> Group:
        """Put back what the nodes that may give less were left with: other areas of theirs may do better."""
        capped = self.ground.nodes_of(group) & set(self.ground.caps.most)
        return tuple(sorted({*group, *(index for node in capped for index in self.ground.of_node[node])}))

    def _divided(self, group: Group, sockets: int, reserved: int) -> list[Group]:
        if len(group) == 1 or self.effort.steps <= 0:
            return [group]
        ground = self.ground
        search = ground.search_part(group, sockets, reserved)
        whole = search.as_one_group()
        if whole is None:
            return [group]
        nodes, effort = len(ground.nodes_of(group)) - 1, ground.effort(_GROUP_EFFORT)
        effort.steps = given = min(effort.steps, self.effort.steps)
        best, _ = self._best_of(
            lambda most, parts: tried(search, Goal(most, nodes), effort, parts), search.least(), whole
        )
        self.effort.charge(given - effort.steps)
        return [own for own, _ in best.groups]
