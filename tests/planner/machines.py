"""Random planning problems over the shapes of real machines, always the same for one number."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.host.model import CPU, Host, HugePages, Node
from launcher.planner.backing import Backing
from launcher.planner.cells.passthrough import place_in_cells
from launcher.planner.demand import CPUDemand
from launcher.planner.optimum.placement import Placement
from launcher.vmi.guest import Guest, GuestMemory, Topology
from tests.planner.cases import Case
from tests.planner.guests import a_guest


@dataclass(frozen=True)
class Machine:
    """A machine's shape: nodes, last-level caches of a node, cores of a cache, threads of a core.

    With `shared` so many nodes have their last-level cache in common, as Linux shows it under sub-NUMA clustering.
    """

    name: str
    nodes: int
    caches: int
    cores: int
    threads: int
    shared: int = 1

    def cpus(self) -> tuple[CPU, ...]:
        """Build the CPUs, the second threads of all cores numbered after the first ones, as most firmware does."""
        total = self.nodes * self.caches * self.cores
        return tuple(
            CPU(
                cpu=thread * total + core,
                core=core,
                die=core // (self.caches * self.cores),
                socket=core // (self.caches * self.cores),
                node=core // (self.caches * self.cores),
                cache=core // self.cores // self.shared,
            )
            for thread in range(self.threads)
            for core in range(total)
        )


MACHINES = (
    Machine("EPYC 8x2", 8, 2, 4, 2),
    Machine("EPYC 8x4", 8, 4, 4, 2),
    Machine("EPYC 8x8", 8, 8, 4, 2),
    Machine("Genoa NPS1", 2, 12, 8, 2),
    Machine("Genoa NPS4", 8, 3, 8, 2),
    Machine("Intel 2x1", 2, 1, 28, 2),
    Machine("SNC2", 4, 1, 16, 2, shared=2),
    Machine("SNC4", 8, 1, 12, 2, shared=4),
    Machine("ARM 2x16", 2, 16, 4, 1),
    Machine("ARM 1x16", 1, 16, 4, 1),
    Machine("ARM 4x8", 4, 8, 4, 1),
    Machine("POWER SMT4", 2, 12, 1, 4),
    Machine("POWER SMT8", 2, 6, 2, 8),
    Machine("16x1", 16, 1, 8, 2),
    Machine("16x4", 16, 4, 4, 2),
)
# The housekeeping CPUs of a case: mostly an emulator's one or two.
_HOUSEKEEPING = (0, 0, 0, 1, 1, 1, 2, 2, 3, 4, 6, 9)


def random_case(number: int, *, machine: Machine | None = None, most_vcpus: int = 96) -> tuple[Machine, Case]:
    """Make up the case of this number: a machine, a fragmented cpuset, exact in half of the cases, and a guest."""
    # Any generator will do that is the same in every run; nothing is secret here.
    chance = random.Random(number)  # noqa: S311
    machine = machine or chance.choice(MACHINES)
    host = machine.cpus()
    room = min(len(host), most_vcpus)
    housekeeping = min(chance.choice(_HOUSEKEEPING), room - 1)
    topology = _topology(chance, machine, room - housekeeping)
    needed = topology.vcpus + housekeeping
    spare = chance.choice((0, 0, chance.randint(1, 4), chance.randint(1, max(1, needed))))
    cpus = _fragment(chance, host, min(len(host), needed + spare))
    return machine, Case(cpus=tuple(cpus), topology=topology, housekeeping=housekeeping)


@dataclass(frozen=True)
class PagedCase:
    """A guest that sees the host's nodes, and how many of its guest cores the free huge pages of each node hold."""

    case: Case
    host: Host
    guest: Guest
    most_cores: Mapping[int, int]

    def placement(self) -> Placement | None:
        """Place the guest; None where it does not fit."""
        demand = CPUDemand(vcpus=self.case.topology.vcpus, pool_iothreads=self.case.housekeeping)
        backing = Backing(open_nodes=CPUSet.of(node.node for node in self.host.nodes), closed={})
        usable = sorted(self.case.cpus, key=lambda cpu: cpu.cpu)
        try:
            return place_in_cells(self.guest, self.host, usable, demand, backing)
        except DoesNotFit:
            return None


def random_paged_case(number: int) -> tuple[Machine, PagedCase]:
    """Make up a guest of 50 to 128 vCPUs under NUMA passthrough, of whose nodes half are short of huge pages."""
    chance = random.Random(900_000 + number)  # noqa: S311
    while True:
        machine = chance.choice([machine for machine in MACHINES if machine.nodes > 1])
        host, housekeeping = machine.cpus(), chance.randint(0, 9)
        threads, cores = chance.choice((1, machine.threads, 2)), chance.randint(2, 24)
        sockets = chance.choice((1, 2, 3, 4, 6, 8, machine.nodes))
        topology = Topology(sockets=sockets, cores=cores, threads=min(threads, 2))
        if not 50 <= topology.vcpus <= min(128, len(host) - housekeeping):
            continue
        spare = chance.choice((0, chance.randint(1, topology.vcpus))) + chance.randint(0, 20)
        cpus = _fragment(chance, host, min(len(host), topology.vcpus + housekeeping + spare))
        room, pages = Counter(cpu.node for cpu in cpus), chance.randint(1, 4)
        rooms = {node: count // topology.threads for node, count in room.items()}
        most_cores = {node: chance.choice((count, chance.randint(0, count))) for node, count in rooms.items()}
        if sum(most_cores.values()) >= sockets * cores:
            case = Case(cpus=tuple(cpus), topology=topology, housekeeping=housekeeping)
            return machine, _paged(case, host, most_cores, pages)


def _paged(case: Case, cpus: tuple[CPU, ...], most_cores: Mapping[int, int], pages: int) -> PagedCase:
    """Give every guest core so many pages."""
    size, topology = 2 << 20, case.topology
    free = {cpu.node: most_cores.get(cpu.node, 0) * pages for cpu in cpus}
    nodes = tuple(
        Node(
            node=node, memory_bytes=1 << 38, huge_pages=(HugePages(size_bytes=size, total=free[node], free=free[node]),)
        )
        for node in sorted(free)
    )
    memory = GuestMemory(guest_bytes=pages * topology.sockets * topology.cores * size, huge_page_bytes=size)
    guest = a_guest(topology.sockets, topology.cores, topology.threads, passthrough=True, memory=memory)
    host = Host(cpus=tuple(sorted(cpus, key=lambda cpu: cpu.cpu)), nodes=nodes)
    return PagedCase(case=case, host=host, guest=guest, most_cores=most_cores)


def _topology(chance: random.Random, machine: Machine, room: int) -> Topology:
    while True:
        threads = chance.choice((1, machine.threads, machine.threads, 2))
        cores = chance.choice((chance.randint(1, 8), chance.randint(2, 24), 4, 8))
        sockets = chance.choice((1, 1, 2, 3, 4, machine.nodes, chance.randint(1, 12)))
        if threads <= max(machine.threads, 2) and sockets * cores * threads <= room:
            return Topology(sockets=sockets, cores=cores, threads=threads)


def _fragment(chance: random.Random, host: tuple[CPU, ...], count: int) -> list[CPU]:
    """Choose CPUs as a busy kubelet leaves them: whole cores mostly, in runs or anywhere, or any CPUs."""
    way = chance.randrange(3)
    if way == 0:
        return chance.sample(host, count)
    by_core: dict[int, list[CPU]] = {}
    for cpu in host:
        by_core.setdefault(cpu.core, []).append(cpu)
    cores = list(by_core)
    if way == 1:
        chance.shuffle(cores)
    else:
        size = chance.choice((2, 3, 5, 8))
        runs = [cores[start : start + size] for start in range(0, len(cores), size)]
        chance.shuffle(runs)
        cores = [core for run in runs for core in run]
    return [cpu for core in cores for cpu in by_core[core]][:count]
