"""An independent judge of placements: an integer program, told to beat a score, under OR-tools' CP-SAT.

It knows nothing of groups, lines or regimes: for each guest socket and each area (the cores of one node below one
cache) it counts whole guest cores and loose CPUs, quiet or beside housekeeping, which is chosen with them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any

from msgspec.structs import astuple

from launcher.host.model import CPU
from launcher.planner.model import Score
from launcher.vmi.guest import Topology

Expression = Any  # OR-tools' variables and sums: their operators are typed to return what mypy cannot follow.
Place = tuple[int, int]


class Verdict(StrEnum):
    """What the judge found: nothing is better, something is, or it did not end in time."""

    OPTIMAL = "optimal"
    BEATEN = "beaten"
    OPEN = "open"


def judge(
    cpus: Iterable[CPU],
    topology: Topology,
    housekeeping: int,
    score: Score,
    *,
    seconds: float,
    most_cores: Mapping[int, int] | None = None,
) -> tuple[Verdict, tuple[int, ...]]:
    """Look for a placement with a better score within so many seconds; return its terms (or the score's).

    `most_cores` limits the guest cores of nodes; with it no guest core lies on two nodes.
    """
    program = _Program(tuple(cpus), topology, housekeeping)
    if most_cores is not None:
        program.limit_nodes(most_cores)
    return program.beaten(astuple(score)[:6], seconds)


class _Program:
    """The integer program of one case, built at once."""

    def __init__(self, cpus: Sequence[CPU], topology: Topology, housekeeping: int) -> None:
        # 0.4 s, which each of a run's workers would pay to collect the tests.
        from ortools.sat.python import cp_model  # noqa: PLC0415

        self.library = cp_model
        self.model = cp_model.CpModel()
        self.topology = topology
        self.count = len(cpus)
        free = Counter((cpu.node, cpu.cache, cpu.core) for cpu in cpus)
        self.kinds = Counter((node, cache, size) for (node, cache, _), size in free.items())
        self.places: list[Place] = sorted({(node, cache) for node, cache, _ in free})
        self.nodes = sorted({node for node, _ in self.places})
        self.caches = sorted({cache for _, cache in self.places})
        self.sockets = range(topology.sockets)
        self.whole, self.whole_beside = self._counters(), self._counters()
        self.loose, self.loose_beside = self._counters(), self._counters()
        self.crossing: dict[tuple[int, int], Expression] = {}
        self._supply(housekeeping)
        self.terms = self._terms()

    def _number(self, most: int) -> Expression:
        return self.model.new_int_var(0, most, "")

    def _counters(self) -> dict[tuple[int, Place], Expression]:
        return {(socket, place): self._number(self.count) for socket in self.sockets for place in self.places}

    def _supply(self, housekeeping: int) -> None:
        """Let each area offer what its cores hold beside the housekeeping; a whole place may be broken up."""
        threads = self.topology.threads
        reserved: list[Expression] = []
        for place in self.places:
            supply: list[Expression] = [0, 0, 0, 0]
            for (node, cache, size), cores in self.kinds.items():
                if (node, cache) != place:
                    continue
                taken = [self._number(cores) for _ in range(size)]
                quiet = cores - sum(taken)
                self.model.add(quiet >= 0)
                supply[0] += quiet * (size // threads)
                supply[2] += quiet * (size % threads)
                for index, touched in enumerate(taken):
                    supply[1] += touched * ((size - index - 1) // threads)
                    supply[3] += touched * ((size - index - 1) % threads)
                    reserved.append(touched * (index + 1))
            self._limit(place, supply)
        self.model.add(sum(reserved) == housekeeping)

    def _limit(self, place: Place, supply: Sequence[Expression]) -> None:
        for wholes, looses, whole, loose in (
            (self.whole, self.loose, supply[0], supply[2]),
            (self.whole_beside, self.loose_beside, supply[1], supply[3]),
        ):
            broken = self._number(self.count)
            self.model.add(sum(wholes[s, place] for s in self.sockets) + broken <= whole)
            self.model.add(sum(looses[s, place] for s in self.sockets) <= loose + self.topology.threads * broken)

    def _terms(self) -> list[Expression]:
        threads, across, wholes, beside = self.topology.threads, [], [], []
        socket_nodes: list[Expression] = []
        socket_caches: list[Expression] = []
        for socket in self.sockets:
            crossing = self._number(self.topology.cores)
            inside = []
            for node in self.nodes:
                here = [place for place in self.places if place[0] == node]
                split = self._number(self.topology.cores)
                self.crossing[socket, node] = self._number(self.count)
                loose = sum(self.loose[socket, p] + self.loose_beside[socket, p] for p in here)
                self.model.add(loose == threads * split + self.crossing[socket, node])
                inside.append(split)
            self.model.add(sum(self.crossing[socket, node] for node in self.nodes) == threads * crossing)
            whole = sum(self.whole[socket, p] + self.whole_beside[socket, p] for p in self.places)
            self.model.add(whole + sum(inside) + crossing == self.topology.cores)
            across.append(crossing)
            wholes.append(whole)
            beside += [threads * self.whole_beside[socket, p] + self.loose_beside[socket, p] for p in self.places]
            socket_nodes += self._touched(socket, 0, self.nodes)
            socket_caches += self._touched(socket, 1, self.caches)
        split_cores = self.topology.sockets * self.topology.cores - sum(wholes)
        used = []
        for index in range(len(self.nodes)):
            used.append(self.model.new_bool_var(""))
            for socket in self.sockets:
                self.model.add_implication(socket_nodes[socket * len(self.nodes) + index], used[-1])
        return [
            sum(across),
            split_cores,
            sum(beside),
            sum(socket_nodes) - self.topology.sockets,
            sum(used),
            sum(socket_caches) - self.topology.sockets,
        ]

    def _touched(self, socket: int, part: int, names: Sequence[int]) -> list[Expression]:
        flags = []
        for name in names:
            flag = self.model.new_bool_var("")
            size = self.topology.cores * self.topology.threads
            self.model.add(self._on(socket, [p for p in self.places if p[part] == name]) <= size * flag)
            flags.append(flag)
        return flags

    def _on(self, socket: int, places: Iterable[Place]) -> Expression:
        return sum(
            self.topology.threads * (self.whole[socket, p] + self.whole_beside[socket, p])
            + self.loose[socket, p]
            + self.loose_beside[socket, p]
            for p in places
        )

    def limit_nodes(self, most_cores: Mapping[int, int]) -> None:
        """Let nodes carry at most so many guest cores, and no guest core lie on two."""
        self.model.add(self.terms[0] == 0)
        for node in self.nodes:
            cpus = sum(self._on(s, [p for p in self.places if p[0] == node]) for s in self.sockets)
            self.model.add(cpus <= self.topology.threads * most_cores.get(node, 0))

    def beaten(self, score: Sequence[int], seconds: float) -> tuple[Verdict, tuple[int, ...]]:
        """Solve for anything better than the score, term by term in their order."""
        ways = []
        for index, most in enumerate(score):
            if most:
                way = self.model.new_bool_var("")
                ways.append(way)
                self.model.add(self.terms[index] <= most - 1).only_enforce_if(way)
                for before in range(index):
                    self.model.add(self.terms[before] <= score[before]).only_enforce_if(way)
        self.model.add_bool_or(ways)
        solver = self.library.CpSolver()
        solver.parameters.max_time_in_seconds = seconds
        solver.parameters.num_workers = 1
        status = solver.solve(self.model)
        if status == self.library.INFEASIBLE:
            return Verdict.OPTIMAL, tuple(score)
        if status in (self.library.OPTIMAL, self.library.FEASIBLE):
            return Verdict.BEATEN, tuple(solver.value(term) for term in self.terms)
        return Verdict.OPEN, tuple(score)
