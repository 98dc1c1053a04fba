"""What a replan has to decide: CPUs for a few vCPUs and for housekeeping while all others stay, one after the other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.vmi.guest import Topology


class Vacancy(Struct, frozen=True, kw_only=True):
    """The vCPUs that keep their CPU, those that need another one, and the free CPUs, all ascending.

    `preferred` are the housekeeping CPUs so far, `quiet` those where movers are to go and housekeeping is not;
    `home_nodes` says on which node the memory of a vCPU's cell lies.
    """

    kept: Mapping[int, CPU]
    movers: tuple[int, ...]
    free: tuple[CPU, ...]
    housekeeping: int
    fixed_housekeeping: tuple[CPU, ...]
    preferred: CPUSet
    quiet: CPUSet
    home_nodes: Mapping[int, int]


class Turn(NamedTuple):
    """The turn of a mover: what its guest core and socket keep, and how many movers of theirs come after it."""

    guest_core: int
    home: int | None
    core: frozenset[CPU]
    socket: frozenset[CPU]
    rest_of_core: int
    rest_of_socket: int


def turns(vacancy: Vacancy, topology: Topology) -> Iterator[Turn]:
    """Let the movers take their turns in order of guest core."""
    threads, size = topology.threads, topology.threads * topology.cores
    kept = vacancy.kept.items()
    for index, vcpu in enumerate(vacancy.movers):
        later = vacancy.movers[index + 1 :]
        yield Turn(
            guest_core=vcpu // threads,
            home=vacancy.home_nodes.get(vcpu),
            core=frozenset(cpu for other, cpu in kept if other // threads == vcpu // threads),
            socket=frozenset(cpu for other, cpu in kept if other // size == vcpu // size),
            rest_of_core=sum(other // threads == vcpu // threads for other in later),
            rest_of_socket=sum(other // size == vcpu // size for other in later),
        )
