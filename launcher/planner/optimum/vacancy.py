"""What is decided one CPU after the other: those of a few vCPUs, or of all, and the housekeeping; the others stay."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct, field

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.vmi.guest import Topology


class Vacancy(Struct, frozen=True, kw_only=True):
    """The vCPUs that keep their CPU, those that need another one, and the free CPUs, all ascending.

    `preferred` are the housekeeping CPUs so far, `quiet` those where movers are to go and housekeeping is not;
    `home_nodes` says on which node the memory of a vCPU's cell lies, `device_nodes` are those of the guest's devices. A
    guest that is placed at the start has movers alone.
    """

    movers: tuple[int, ...]
    free: tuple[CPU, ...]
    housekeeping: int
    kept: Mapping[int, CPU] = field(default_factory=dict)
    fixed_housekeeping: tuple[CPU, ...] = ()
    preferred: CPUSet = CPUSet()
    quiet: CPUSet = CPUSet()
    home_nodes: Mapping[int, int] = field(default_factory=dict)
    device_nodes: Collection[int] = ()


class Turn(NamedTuple):
    """The turn of a mover: where kept vCPUs of its guest core and socket lie, and how many movers follow."""

    guest_core: int
    home: int | None
    core_nodes: frozenset[int]
    is_split: bool
    socket_nodes: frozenset[int]
    socket_caches: frozenset[int]
    rest_of_core: int
    rest_of_socket: int


def turns(vacancy: Vacancy, topology: Topology) -> Iterator[Turn]:
    """Let the movers take their turns in order of guest core."""
    threads, size = topology.threads, topology.threads * topology.cores
    kept = vacancy.kept.items()
    for index, vcpu in enumerate(vacancy.movers):
        later = vacancy.movers[index + 1 :]
        core = [cpu for other, cpu in kept if other // threads == vcpu // threads]
        socket = [cpu for other, cpu in kept if other // size == vcpu // size]
        yield Turn(
            guest_core=vcpu // threads,
            home=vacancy.home_nodes.get(vcpu),
            core_nodes=frozenset(cpu.node for cpu in core),
            is_split=len({cpu.core for cpu in core}) > 1,
            socket_nodes=frozenset(cpu.node for cpu in socket),
            socket_caches=frozenset(cpu.cache for cpu in socket),
            rest_of_core=sum(other // threads == vcpu // threads for other in later),
            rest_of_socket=sum(other // size == vcpu // size for other in later),
        )
