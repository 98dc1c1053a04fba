"""Terms 4 to 6 where every CPU is used: the nodes joined to trees, each with as many closed groups as can be.

With no CPU to spare a group of areas holds whole guest sockets if its CPUs are a multiple of a socket's. So only
remainders count. Write R for the remainder of some areas' CPUs after division by a guest socket's.

Term 4 is the nodes less the components that sockets join them to, and a component is a set of nodes with R = 0: the
most components are a longest chain of sets with R = 0, each inside the next. In the best of all, a component's nodes
are joined to a tree: n - 1 times two nodes share a socket. Term 6 is the caches less the groups of areas. A subtree
of the nodes W hangs on the rest by one open group, for which the subtree leaves over R(W) whichever way it is built.
So the most closed groups of a subtree are found from its subtrees, with the caches of one node at a time, again as a
longest chain of sets with R = 0: here a set is some caches of the node and some subtrees hung on it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, field

from launcher.planner.effort import Effort, TooLong
from launcher.planner.remainders import alone_or_paired, choice_count, choices, most_groups, subset_sums

# Nodes, and sets of them with R = 0, up to which all optimal divisions into components are compared in term 6.
_NODE_LIMIT = 12
_SET_LIMIT = 300
# Choices of one node's caches where the search for term 6 is too long: ten caches that all differ have 1,024.
_INSIDE_LIMIT = 1 << 10
# Sums of some caches that take as long as a step.
_SUMS_A_STEP = 8


class Plot(Struct, frozen=True, kw_only=True):
    """One node: its areas (indices of the items) and the free CPUs of each, every one of which is used."""

    areas: tuple[int, ...]
    cpus: tuple[int, ...]


class _Closed(NamedTuple):
    """Groups that are closed, linked: how many, and what the last one added to those before."""

    number: int
    caches: int = 0
    nodes: int = 0
    hung: tuple[int, ...] = ()
    before: _Closed | None = None


class _Open(NamedTuple):
    """A subtree: its closed groups, and the root whose other caches, with the subtrees hung there, stay open."""

    number: int
    root: int
    closed: _Closed
    hung: tuple[int, ...]


class _Way(NamedTuple):
    """Components linked, newest first, and the closed groups of all of them."""

    number: int
    component: int = 0
    before: _Way | None = None

    def components(self) -> Iterator[int]:
        """Yield the components."""
        way = self
        while way.before is not None:
            yield way.component
            way = way.before


def grow(plots: Sequence[Plot], effort: Effort, *, socket_cpus: int, threads: int) -> list[tuple[int, ...]]:
    """Divide all areas into groups of whole guest sockets: least in term 4, and of those least in term 6.

    Term 4 is exact. Term 6 is exact where no cache spans nodes, as far as the effort and the limits of this module
    reach: beyond them each node has as many groups of its own as can be, and what is left of a component's nodes is
    one group more. A node's CPUs that are no whole guest core are left over in one group alone, so that term 1 stays
    least.
    """
    if sum(sum(plot.cpus) for plot in plots) == socket_cpus:
        return [tuple(sorted(area for plot in plots for area in plot.areas))]
    groups, thinned = _thinned(plots, socket_cpus)
    # A node with R = 0 is a component by itself, and where no node has several areas a component is one group.
    alone = [plot for plot in thinned if plot.areas and not sum(plot.cpus) % socket_cpus]
    joined = [plot for plot in thinned if sum(plot.cpus) % socket_cpus]
    for plot in alone:
        groups += _rough_groups([plot], [1], socket_cpus, effort)
    groups += _groups_across(joined, socket_cpus, threads, effort)
    return sorted(tuple(sorted(group)) for group in groups)


def _groups_across(plots: Sequence[Plot], size: int, threads: int, effort: Effort) -> Iterable[tuple[int, ...]]:
    search = _Search(plots=plots, size=size, threads=threads, effort=effort)
    if any(len(plot.areas) > 1 for plot in plots):
        try:
            return search.groups(search.best_components())
        except TooLong:
            pass
    effort.charge(choice_count(range(len(plots)), search.remainders, size))
    return _rough_groups(plots, most_groups(search.remainders, size), size, effort)


def _thinned(plots: Sequence[Plot], size: int) -> tuple[list[tuple[int, ...]], list[Plot]]:
    """Take out the areas that are groups alone or two by two inside a node, which loses nothing (see `remainders`)."""
    groups: list[tuple[int, ...]] = []
    thinned: list[Plot] = []
    for plot in plots:
        taken, left = alone_or_paired(plot.cpus, size)
        groups += [tuple(plot.areas[cache] for cache in members_of(group)) for group in taken]
        thinned.append(
            Plot(areas=tuple(plot.areas[cache] for cache in left), cpus=tuple(plot.cpus[cache] for cache in left))
        )
    return groups, thinned


def _rough_groups(
    plots: Sequence[Plot], components: Iterable[int], size: int, effort: Effort
) -> Iterator[tuple[int, ...]]:
    for component in components:
        rest: tuple[int, ...] = ()
        for node in members_of(component):
            plot = plots[node]
            effort.charge(min(_INSIDE_LIMIT, choice_count(range(len(plot.cpus)), plot.cpus, size)))
            inside = most_groups(plot.cpus, size, _INSIDE_LIMIT)
            yield from (tuple(plot.areas[cache] for cache in members_of(group)) for group in inside)
            left = (1 << len(plot.areas)) - 1 ^ sum(inside)
            rest += tuple(plot.areas[cache] for cache in members_of(left))
        if rest:
            yield rest


class _Search(Struct):
    """One search: remainders of nodes and of sets of caches, and the best of each subtree met so far."""

    plots: Sequence[Plot]
    size: int
    threads: int
    effort: Effort
    remainders: list[int] = field(default_factory=list)
    remainder_of: list[int] = field(default_factory=list)
    sums: list[list[int]] = field(default_factory=list)
    matching: list[dict[int, list[int]]] = field(default_factory=list)
    known_closed: dict[tuple[int, int, int], _Closed | None] = field(default_factory=dict)
    known_open: dict[int, _Open | None] = field(default_factory=dict)
    known_hung: dict[int, tuple[int, tuple[int, ...]] | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.remainders = [sum(plot.cpus) % self.size for plot in self.plots]

    def best_components(self) -> list[int]:
        """Divide the nodes into the most components, and of those into the ones with the most closed groups."""
        sets = self._closed_sets()
        length = {0: 0}
        for outer in sets[1:]:
            length[outer] = 1 + max(length[inner] for inner in length if inner & outer == inner)
        by_length: dict[int, list[int]] = defaultdict(list)
        for nodes in sets:
            by_length[length[nodes]].append(nodes)
        ways = {0: _Way(0)}
        return list(self._best_way(sets[-1], length, by_length, ways).components())

    def _best_way(
        self, nodes: int, length: Mapping[int, int], sets: Mapping[int, Sequence[int]], known: dict[int, _Way]
    ) -> _Way:
        """Follow the longest chains to these nodes backwards, for the one whose links have the most closed groups."""
        if nodes not in known:
            known[nodes] = max(
                (
                    self._linked(self._best_way(inner, length, sets, known), nodes ^ inner)
                    for inner in sets[length[nodes] - 1]
                    if inner & nodes == inner
                ),
                key=lambda way: way.number,
            )
        return known[nodes]

    def _linked(self, before: _Way, component: int) -> _Way:
        count = 1 if self._is_one_socket(component) else self.complete(component).number
        return _Way(before.number + count, component, before)

    def _is_one_socket(self, component: int) -> bool:
        return sum(sum(self.plots[node].cpus) for node in members_of(component)) == self.size

    def _closed_sets(self) -> list[int]:
        """List the sets of nodes with R = 0, ascending, so that each comes after those inside it."""
        if len(self.plots) > _NODE_LIMIT:
            raise TooLong
        sets = [nodes for nodes in range(1 << len(self.plots)) if not self._remainder(nodes)]
        if len(sets) > _SET_LIMIT:
            raise TooLong
        return sets

    def complete(self, component: int) -> _Closed:
        """Find the most groups of a component."""
        root = _lowest(component)
        self._tabulate()
        closed = self._closed(root, (1 << len(self.plots[root].areas)) - 1, component ^ 1 << root)
        if closed is None:
            raise AssertionError("a component's areas are one group, if nothing else")
        return closed

    def _tabulate(self) -> None:
        """Sum up the CPUs of every set of one node's caches."""
        if self.sums:
            return
        self.effort.spend(sum(1 << len(plot.cpus) for plot in self.plots) // _SUMS_A_STEP)
        self.sums = [subset_sums(plot.cpus) for plot in self.plots]
        for plot in self.plots:
            matching: dict[int, list[int]] = defaultdict(list)
            for caches, total in choices(range(len(plot.cpus)), plot.cpus, self.size):
                matching[total % self.size].append(caches)
            self.matching.append(matching)

    def _closed(self, root: int, caches: int, nodes: int) -> _Closed | None:
        """Find the most groups that these caches of the root and subtrees of these nodes close, nothing left open."""
        if not caches and not nodes:
            return _Closed(0)
        key = root, caches, nodes
        if key not in self.known_closed:
            self.known_closed[key] = max(
                (
                    _Closed(before.number + hung[0] + 1, caches, nodes, hung[1], before)
                    for before, hung in self._before(root, caches, nodes)
                ),
                key=lambda closed: closed.number,
                default=None,
            )
        return self.known_closed[key]

    def _before(self, root: int, caches: int, nodes: int) -> Iterator[tuple[_Closed, tuple[int, tuple[int, ...]]]]:
        """Yield what is closed before a last group that has some of the root's caches, and what hangs on that group.

        CPUs that are no whole guest core add up from group to group and never to a guest core: one of it would be
        made of CPUs that then lie in two groups.
        """
        sums = self.sums[root]
        for inner in _subsets(nodes):
            self.effort.spend()
            hung = self._hung(nodes ^ inner)
            if hung is None:
                continue
            for some in self.matching[root].get(-self._remainder(inner) % self.size, ()):
                self.effort.spend()
                if some & caches == some != caches and sums[some] % self.threads <= sums[caches] % self.threads:
                    before = self._closed(root, some, inner)
                    if before is not None:
                        yield before, hung

    def _remainder(self, nodes: int) -> int:
        if not self.remainder_of:
            self.remainder_of = [total % self.size for total in subset_sums(self.remainders)]
        return self.remainder_of[nodes]

    def _hung(self, nodes: int) -> tuple[int, tuple[int, ...]] | None:
        """Divide the nodes into subtrees with the most closed groups; none of them has R = 0."""
        if not nodes:
            return 0, ()
        if nodes not in self.known_hung:
            self.known_hung[nodes] = max(self._ways_to_hang(nodes), key=lambda way: way[0], default=None)
        return self.known_hung[nodes]

    def _ways_to_hang(self, nodes: int) -> Iterator[tuple[int, tuple[int, ...]]]:
        first = nodes & -nodes
        for others in _subsets(nodes ^ first):
            subtree = self._open(first | others)
            rest = None if subtree is None else self._hung(nodes ^ first ^ others)
            if subtree is not None and rest is not None:
                yield subtree.number + rest[0], (first | others, *rest[1])

    def _open(self, nodes: int) -> _Open | None:
        """Find the most closed groups of a subtree, whatever its root."""
        if nodes not in self.known_open:
            ways = self._ways_to_open(nodes) if self._remainder(nodes) else ()
            self.known_open[nodes] = max(ways, key=lambda way: way.number, default=None)
        return self.known_open[nodes]

    def _ways_to_open(self, nodes: int) -> Iterator[_Open]:
        for root in members_of(nodes):
            caches = (1 << len(self.plots[root].areas)) - 1
            for before, hung in self._before(root, caches, nodes ^ 1 << root):
                yield _Open(before.number + hung[0], root, before, hung[1])

    def groups(self, components: Iterable[int]) -> list[tuple[int, ...]]:
        """List the groups of the components."""
        found: list[tuple[int, ...]] = []
        for component in components:
            if self._is_one_socket(component):
                found.append(tuple(area for node in members_of(component) for area in self.plots[node].areas))
            else:
                self._gather_closed(_lowest(component), self.complete(component), found)
        return found

    def _gather_closed(self, root: int, closed: _Closed, found: list[tuple[int, ...]]) -> None:
        while closed.before is not None:
            group = self._areas(root, closed.caches ^ closed.before.caches)
            for subtree in closed.hung:
                group += self._gather_open(subtree, found)
            found.append(group)
            closed = closed.before

    def _gather_open(self, nodes: int, found: list[tuple[int, ...]]) -> tuple[int, ...]:
        way = self._open(nodes)
        if way is None:
            raise AssertionError("only subtrees that were built are hung")
        self._gather_closed(way.root, way.closed, found)
        group = self._areas(way.root, (1 << len(self.plots[way.root].areas)) - 1 ^ way.closed.caches)
        for subtree in way.hung:
            group += self._gather_open(subtree, found)
        return group

    def _areas(self, root: int, caches: int) -> tuple[int, ...]:
        return tuple(self.plots[root].areas[cache] for cache in members_of(caches))


def members_of(mask: int) -> Iterator[int]:
    """Yield the positions of the bits that are set, ascending."""
    while mask:
        yield _lowest(mask)
        mask &= mask - 1


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1


def _subsets(mask: int) -> Iterator[int]:
    """Yield every subset of a bit mask, itself first, the empty one last."""
    subset = mask
    while subset:
        yield subset
        subset = (subset - 1) & mask
    yield 0
