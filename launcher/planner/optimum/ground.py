"""The ground of one search: the areas with their offers in the right regime, and searches over nodes or areas."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from launcher.host.model import NO_NODE
from launcher.planner.optimum.caps import Caps
from launcher.planner.optimum.groups import Market, Settled
from launcher.planner.optimum.offers import FIELD
from launcher.planner.optimum.search import Search
from launcher.planner.optimum.states import Effort, Goal, Item, TooLong
from launcher.planner.optimum.supply import Area
from launcher.vmi.guest import Topology

# The least effort that an attempt is given.
_LEAST_EFFORT = 1_000
# Guests of more vCPUs than this that use every CPU get a third of the effort: each step takes longer.
_LARGE = 128
# What whole nodes lie on.
_ALL = NO_NODE - 1


class Ground(Struct, frozen=True, kw_only=True):
    """The areas, their offers (`plain` ones do not count the areas used), and what each must and may give at best."""

    areas: Sequence[Area]
    market: Market
    plain: Market
    low: Sequence[int]
    high: Sequence[int]
    # The areas of each node, ascending; the number of each area's kind, and of the nodes' kinds that were met.
    of_node: Mapping[int, Sequence[int]]
    kind: Sequence[int]
    kinds: dict[tuple[int, ...], int] = field(default_factory=dict)
    # The CPUs of each node beyond what it may give, and those that no vCPU needs of the others.
    surplus: Mapping[int, int]
    spare: int

    @property
    def topology(self) -> Topology:
        """The guest's."""
        return self.market.topology

    @property
    def extra(self) -> int:
        """The CPUs of guest cores that have to lie across nodes."""
        return self.market.price >> (3 * FIELD)

    def effort(self, steps: int) -> Effort:
        """Return so much effort; for a large guest, and most for one that uses every CPU, less: steps take longer."""
        share = -(-self.topology.vcpus // _LARGE) - 1
        return Effort(steps=steps // ((1 if self.market.too_many else 3) * share) if share else steps)

    @property
    def caps(self) -> Caps:
        """What nodes may carry."""
        return self.market.caps

    def nodes_of(self, group: Iterable[int]) -> set[int]:
        """Return the nodes on which these areas lie."""
        return {self.areas[index].node for index in group}

    def areas_on(self, nodes: Iterable[int], others: Iterable[Iterable[int]]) -> tuple[int, ...]:
        """List the areas of nodes that other groups leave."""
        used = {area for group in others for area in group}
        return tuple(area for node in sorted(nodes) for area in self.of_node[node] if area not in used)

    def crossed(self, groups: Iterable[Iterable[int]]) -> int:
        """Count the caches that groups cross: term 6."""
        return sum(len({self.areas[index].cache for index in group}) - 1 for group in groups)

    def crossed_by(self, settled: Settled) -> int:
        """Count the caches that settled groups cross."""
        return self.crossed(group for group, _ in settled.groups)

    def node_items(self) -> list[Item]:
        """Sum each node up as one item; whole nodes are searched as if they lay on one."""
        return [self._node_item(node, members) for node, members in self.of_node.items()]

    def _node_item(self, node: int, members: Sequence[int]) -> Item:
        low = sum(self.low[index] for index in members)
        high = self.caps.limit(node, sum(self.high[index] for index in members))
        low = high if node in self.caps.full else max(low, high - self.spare) if node in self.caps.most else low
        extra = high % self.topology.threads
        kind = self.kinds.setdefault((low, *sorted(self.kind[index] for index in members)), len(self.kinds))
        high -= extra
        return Item(number=node, node=_ALL, low=min(low, high), high=high, kind=kind, cache=node, extra=extra)

    def _area_items(self, members: Iterable[int]) -> list[Item]:
        """List areas as items, those of a node together and the largest first."""
        return [
            Item(
                number=index,
                node=self.areas[index].node,
                low=self.low[index],
                high=self.high[index],
                kind=self.kind[index],
                cache=self.areas[index].cache,
            )
            for index in sorted(members, key=lambda i: (self.areas[i].node, -self.high[i], i))
            if self.high[index]
        ]

    def search_nodes(self, items: Sequence[Item], market: Market) -> Search:
        """Prepare a search for groups of nodes."""
        return Search(items, [tuple(self.of_node[item.number]) for item in items], market, extra=self.extra)

    def search_areas(self, areas: Iterable[int], market: Market, *, is_part: bool = False) -> Search:
        """Prepare a search for groups of areas."""
        items = self._area_items(areas)
        part = 1 if self.extra else self.topology.threads
        surplus = {item.node: self.surplus[item.node] for item in items}
        members = [(item.number,) for item in items]
        return Search(items, members, market, part=part, surplus=surplus, is_part=is_part)

    def search_part(self, areas: Sequence[int], sockets: int, reserved: int) -> Search:
        """Prepare to divide some areas by themselves, with so many guest sockets and housekeeping CPUs on them."""
        topology = replace(self.topology, sockets=sockets)
        market = self.plain.with_fields(areas=areas, topology=topology, housekeeping=reserved, effort=Effort())
        return self.search_areas(areas, market, is_part=True)


def tried(search: Search, goal: Goal, effort: Effort, parts: int) -> tuple[Settled | None, bool]:
    """Search with a part of the effort, and tell whether it was enough."""
    if effort.steps <= 0:
        return None, False
    given = max(effort.steps // parts, _LEAST_EFFORT)
    own = Effort(steps=given)
    search.market.effort = own
    try:
        found, ended = search.within(goal), True
    except TooLong:
        found, ended = search.best, False
    search.market.effort = Effort()
    effort.charge(given - own.steps)
    return found, ended
