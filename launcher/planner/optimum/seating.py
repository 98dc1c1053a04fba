"""From groups of areas to CPUs: each area's laid out for use, a group's guest sockets end to end along its areas."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple, TypeVar

from launcher.host.model import CPU
from launcher.planner.optimum.stock import Stock, Take, summed
from launcher.planner.optimum.supply import Area
from launcher.vmi.guest import Topology

T = TypeVar("T")
Place = tuple[CPU, ...]
GuestCore = Place
GuestSocket = tuple[GuestCore, ...]


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


class _Row(NamedTuple):
    """The areas of one node in the order of the line, and the loose CPUs used of each."""

    shelves: Sequence[Shelf]
    loose: Sequence[Sequence[CPU]]
    # How many of the loose CPUs go to guest cores across nodes, and whether those come first or last.
    crossing: int
    crossing_first: bool


def seat(shelves: Sequence[Shelf], sockets: int, topology: Topology) -> list[GuestSocket]:
    """Give the guest sockets of one group their CPUs, as few areas to each as the group allows.

    Whole guest cores come first, away from housekeeping before beside it; the others are made of loose CPUs of
    one node, and of several only where none has enough left. For two threads, areas with an odd number of loose
    CPUs in use are put next to each other, so that a split guest core reaches from one area to the next.
    """
    count = sockets * topology.cores
    wholes = _whole_places(shelves, count)
    rows = _rows(shelves, count - len(wholes), topology.threads)
    splits = _split_cores(rows, topology.threads)
    positions = {
        (shelf.node, shelf.cache): index for index, shelf in enumerate(shelf for row in rows for shelf in row.shelves)
    }
    line = sorted((*wholes, *splits), key=lambda core: _stretch(core, positions))
    return chunks(line, topology.cores)


def _stretch(core: GuestCore, positions: dict[tuple[int, int], int]) -> tuple[int, int]:
    touched = [positions[cpu.node, cpu.cache] for cpu in core]
    return min(touched), max(touched)


def _whole_places(shelves: Sequence[Shelf], count: int) -> list[Place]:
    """Take the places in the order of use; where there are more than needed, the first areas are filled first."""
    quiet = [place for shelf in shelves for place in shelf.whole]
    beside = [place for shelf in shelves for place in shelf.whole_beside]
    return (quiet + beside)[:count]


def _rows(shelves: Sequence[Shelf], splits: int, threads: int) -> list[_Row]:
    nodes = sorted({shelf.node for shelf in shelves})
    by_node = [[shelf for shelf in shelves if shelf.node == node] for node in nodes]
    stocks = [summed(shelf.stock for shelf in members) for members in by_node]
    inside = _inside(stocks, splits, threads)
    across = _crossing(stocks, inside, threads * (splits - sum(inside)), threads)
    caches = [members[0].cache for members in by_node]
    crossing = [index for index, cpus in enumerate(across) if cpus]
    # Where a cache spans nodes, those below the cache at which the nodes with such guest cores begin are before them.
    start = min((caches[index] for index in crossing), default=None)
    before = [index for index in range(len(nodes)) if caches[index] == start and index not in crossing]
    line = sorted(range(len(nodes)), key=lambda i: (i not in before, i not in crossing, caches[i]))
    rows = []
    for position, index in enumerate(line):
        used = _loose_used(by_node[index], threads * inside[index] + across[index], threads)
        crossing_first = (position - len(before)) % 2 == 1
        order = sorted(range(len(used)), key=lambda i: (bool(len(used[i]) % threads), i), reverse=crossing_first)
        members = [by_node[index][i] for i in order]
        rows.append(_Row(members, [used[i] for i in order], across[index], crossing_first))
    return rows


def _inside(stocks: Sequence[Stock], cores: int, threads: int) -> list[int]:
    """Choose how many of the split guest cores each node holds, as few CPUs beside housekeeping as can be.

    Greedy is exact, for a node's next one never costs less.
    """
    inside = [0] * len(stocks)
    for _ in range(min(cores, sum(stock.looses // threads for stock in stocks))):
        beside = {
            index: min(threads, max(0, threads * (inside[index] + 1) - stock.loose))
            for index, stock in enumerate(stocks)
            if inside[index] < stock.looses // threads
        }
        inside[min(beside, key=lambda index: (beside[index], index))] += 1
    return inside


def _crossing(stocks: Sequence[Stock], inside: Sequence[int], cpus: int, threads: int) -> list[int]:
    """Choose the CPUs that each node gives to guest cores across nodes, those away from housekeeping first."""
    given = [0] * len(stocks)
    for is_beside in (False, True):
        for index, stock in enumerate(stocks):
            room = (stock.looses if is_beside else stock.loose) - threads * inside[index]
            step = min(cpus, max(0, room - given[index]))
            given[index] += step
            cpus -= step
    return given


def _loose_used(shelves: Sequence[Shelf], count: int, threads: int) -> list[list[CPU]]:
    """Choose the loose CPUs of one node: away from housekeeping first, and of each area whole guest cores' worth."""
    used: list[list[CPU]] = [[] for _ in shelves]
    quiet = [list(shelf.loose) for shelf in shelves]
    beside = [list(shelf.loose_beside) for shelf in shelves]
    for source in (quiet, beside):
        for step in (threads, 1):
            for index, cpus in enumerate(source):
                taken = min(count, len(cpus)) // step * step
                used[index] += cpus[:taken]
                del cpus[:taken]
                count -= taken
    return used


def _split_cores(rows: Iterable[_Row], threads: int) -> list[GuestCore]:
    cores: list[GuestCore] = []
    across: list[CPU] = []
    for row in rows:
        cpus = [cpu for used in row.loose for cpu in used]
        start = row.crossing if row.crossing_first else 0
        end = start + len(cpus) - row.crossing
        across += cpus[:start] + cpus[end:]
        cores += chunks(cpus[start:end], threads)
    return cores + chunks(across, threads)


def chunks(items: Sequence[T], size: int) -> list[tuple[T, ...]]:
    """Cut a sequence into parts of this size."""
    return [tuple(items[start : start + size]) for start in range(0, len(items), size)]


def number_vcpus(sockets: Iterable[GuestSocket]) -> tuple[CPU, ...]:
    """Number the vCPUs: sockets, their cores and those cores' threads each ascending by the host's numbers."""
    ordered = [sorted((_ascending(core) for core in socket), key=_first_cpu) for socket in sockets]
    return tuple(
        cpu for cores in sorted(ordered, key=lambda cores: _first_cpu(cores[0])) for core in cores for cpu in core
    )


def _ascending(core: GuestCore) -> GuestCore:
    return tuple(sorted(core, key=lambda cpu: cpu.cpu))


def _first_cpu(core: GuestCore) -> tuple[int, int]:
    return core[0].node, core[0].cpu
