"""A better choice of CPUs for a few movers than one that is at hand: branch and bound, one mover after the other."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct, field

from launcher.host.model import CPU
from launcher.planner.optimum.effort import Effort, TooLong
from launcher.vmi.guest import Topology

# The CPUs of the movers in their order, then the housekeeping's.
Choice = tuple[CPU, ...]
# The vCPUs away from their cell's node, then terms 1 to 6, of what a choice may change; no term falls as it grows.
_Terms = tuple[int, int, int, int, int, int, int]


class VacancySearch(Struct):
    """One search: `distinct` lists the CPUs that may come next, of those that nothing tells apart one."""

    kept: Mapping[int, CPU]
    movers: tuple[int, ...]
    housekeeping: int
    fixed_housekeeping: tuple[CPU, ...]
    home_nodes: Mapping[int, int]
    topology: Topology
    distinct: Callable[[Choice], Iterable[CPU]]
    effort: Effort
    best: Choice = ()
    # Whether the last search was not cut short by its effort.
    ended: bool = False
    least: _Terms = (0, 0, 0, 0, 0, 0, 0)
    kept_on_core: Counter[int] = field(default_factory=Counter)
    kept_nodes: frozenset[int] = frozenset()

    def bettered(self, start: Choice) -> Choice:
        """Return the best choice met within the effort; ties go to the start."""
        self.kept_on_core = Counter(cpu.core for cpu in self.kept.values())
        self.kept_nodes = frozenset(cpu.node for cpu in self.kept.values())
        self.best, self.least = start, self._terms(start)
        with suppress(TooLong):
            self._extend(())
            self.ended = True
        return self.best

    def _extend(self, taken: Choice) -> None:
        if len(taken) == len(self.movers) + self.housekeeping:
            self.best, self.least = taken, self._terms(taken)
            return
        for terms, _, further in sorted(self._further(taken)):
            if terms >= self.least:
                return
            self._extend(further)

    def _further(self, taken: Choice) -> Iterator[tuple[_Terms, int, Choice]]:
        for cpu in self.distinct(taken):
            self.effort.spend()
            yield self._terms((*taken, cpu)), cpu.cpu, (*taken, cpu)

    def _terms(self, taken: Choice) -> _Terms:
        """Count what the movers placed so far make of their guest cores and sockets, and of the whole."""
        moved = dict(zip(self.movers, taken, strict=False))
        threads, socket = self.topology.threads, self.topology.threads * self.topology.cores
        cores, sockets = self._together(moved, threads), self._together(moved, socket)
        return (
            sum(cpu.node != self.home_nodes.get(vcpu, cpu.node) for vcpu, cpu in moved.items()),
            sum(len({cpu.node for cpu in cpus}) > 1 for cpus in cores),
            sum(len({cpu.core for cpu in cpus}) > 1 for cpus in cores),
            self._beside(moved, taken[len(self.movers) :]),
            sum(len({cpu.node for cpu in cpus}) - 1 for cpus in sockets),
            len(self.kept_nodes | {cpu.node for cpu in moved.values()}),
            sum(len({cpu.cache for cpu in cpus}) - 1 for cpus in sockets),
        )

    def _together(self, moved: Mapping[int, CPU], size: int) -> list[Sequence[CPU]]:
        """Gather the CPUs of guest cores, or sockets, of this size that have a mover."""
        found: dict[int, list[CPU]] = defaultdict(list)
        for vcpu in self.movers:
            found.setdefault(vcpu // size, [])
        for first, cpus in found.items():
            for vcpu in range(first * size, (first + 1) * size):
                cpu = moved.get(vcpu) or self.kept.get(vcpu)
                if cpu is not None:
                    cpus.append(cpu)
        return [cpus for cpus in found.values() if cpus]

    def _beside(self, moved: Mapping[int, CPU], housekeeping: Iterable[CPU]) -> int:
        busy = {cpu.core for cpu in (*self.fixed_housekeeping, *housekeeping)}
        return sum(self.kept_on_core[core] for core in busy) + sum(cpu.core in busy for cpu in moved.values())
