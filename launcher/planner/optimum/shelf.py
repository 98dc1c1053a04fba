"""The CPUs of one area laid out for use: reserved ones, places for whole guest cores, loose CPUs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from launcher.host.model import CPU
from launcher.planner.optimum.stock import Stock, Take
from launcher.planner.optimum.supply import Area

Place = tuple[CPU, ...]


class Shelf(NamedTuple):
    """One area's CPUs by use, each list in the order of use; `beside` means on a core with a housekeeping CPU."""

    node: int
    cache: int
    whole: Sequence[Place]
    whole_beside: Sequence[Place]
    loose: Sequence[CPU]
    loose_beside: Sequence[CPU]

    @property
    def stock(self) -> Stock:
        """The same in counts."""
        return Stock(*map(len, self[2:]))

    def within(self, stock: Stock) -> Shelf:
        """Return no more than this stock of it."""
        return self._replace(
            whole=self.whole[: stock.whole],
            whole_beside=self.whole_beside[: stock.whole_beside],
            loose=self.loose[: stock.loose],
            loose_beside=self.loose_beside[: stock.loose_beside],
        )


def reserve(area: Area, takes: Iterable[Take]) -> tuple[CPU, ...]:
    """Choose the housekeeping CPUs: the last cores of each kind, and of a core its last CPUs."""
    left = list(area.cores)
    reserved: list[CPU] = []
    for take in sorted(takes):
        chosen = [core for core in left if len(core.cpus) == take.free][-take.cores :]
        left = [core for core in left if core not in chosen]
        reserved.extend(cpu for core in chosen for cpu in core.cpus[-take.cpus :])
    return tuple(sorted(reserved, key=lambda cpu: cpu.cpu))


def stack(area: Area, reserved: Collection[CPU], threads: int) -> Shelf:
    """Cut the CPUs that are not reserved into places of `threads` CPUs on one host core each, and loose ones."""
    quiet: list[list[CPU]] = []
    beside: list[list[CPU]] = []
    for core in area.cores:
        free = [cpu for cpu in core.cpus if cpu not in reserved]
        (quiet if len(free) == len(core.cpus) else beside).append(free)
    places = _places(quiet, threads), _places(beside, threads)
    return Shelf(area.node, area.cache, *places, _rest(quiet, threads), _rest(beside, threads))


def _places(cores: Sequence[Sequence[CPU]], threads: int) -> list[Place]:
    """Cut the places; single CPUs come one of each core before a second of any, so that threads=1 guests spread."""
    places = [
        (start if threads == 1 else 0, tuple(cpus[start : start + threads]))
        for cpus in cores
        for start in range(0, len(cpus) - threads + 1, threads)
    ]
    return [place for _, place in sorted(places, key=lambda entry: (entry[0], entry[1][0].cpu))]


def _rest(cores: Sequence[Sequence[CPU]], threads: int) -> list[CPU]:
    return [cpu for cpus in cores for cpu in cpus[len(cpus) - len(cpus) % threads :]]
