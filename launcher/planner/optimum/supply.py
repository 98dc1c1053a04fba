"""The free CPUs as the planner counts them: host cores, gathered into areas that lie on one node (and cache)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from msgspec import Struct

from launcher.host.model import CPU


class Core(Struct, frozen=True, kw_only=True):
    """A host core and those of its CPUs that may be used, ascending; never empty."""

    core: int
    node: int
    cache: int
    cpus: tuple[CPU, ...]


class Area(Struct, frozen=True, kw_only=True):
    """Host cores between which the objective sees no difference: those of one node below one last-level cache."""

    node: int
    cache: int
    cores: tuple[Core, ...]

    def histogram(self) -> dict[int, int]:
        """Count the cores by their number of free CPUs, ascending."""
        counts: dict[int, int] = {}
        for free in sorted(len(core.cpus) for core in self.cores):
            counts[free] = counts.get(free, 0) + 1
        return counts

    @property
    def cpu_count(self) -> int:
        """The number of free CPUs."""
        return sum(len(core.cpus) for core in self.cores)


def free_cores(cpus: Iterable[CPU]) -> tuple[Core, ...]:
    """Gather the free CPUs by host core, ascending by the lowest CPU, whatever the order given."""
    by_core: dict[int, list[CPU]] = defaultdict(list)
    for cpu in sorted(cpus, key=lambda cpu: cpu.cpu):
        by_core[cpu.core].append(cpu)
    return tuple(
        Core(core=core, node=members[0].node, cache=members[0].cache, cpus=tuple(members))
        for core, members in by_core.items()
    )


def fine_areas(cores: Iterable[Core]) -> tuple[Area, ...]:
    """Gather the cores by node and last-level cache, ascending."""
    gathered: dict[tuple[int, int], list[Core]] = defaultdict(list)
    for core in cores:
        gathered[core.node, core.cache].append(core)
    return tuple(
        Area(node=node, cache=cache, cores=tuple(members)) for (node, cache), members in sorted(gathered.items())
    )
