"""Which CPUs the emulator and the IOThreads get, once the vCPUs and the housekeeping CPUs are chosen."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.planner.demand import CPUDemand
from launcher.planner.iothreads import IOThreadLayout
from launcher.planner.model import IOThreadPin


class Roles(Struct, frozen=True, kw_only=True):
    """The CPUs of everything that is not a vCPU, and those that nothing uses."""

    emulator: CPUSet
    iothreads: tuple[IOThreadPin, ...]
    spare: CPUSet


def assign_roles(
    usable: Sequence[CPU],
    vcpus: Collection[CPU],
    housekeeping: Sequence[CPU],
    demand: CPUDemand,
    layout: IOThreadLayout,
) -> Roles:
    """Give the emulator and the IOThreads their CPUs by DESIGN's table of roles.

    An isolated emulator has its own, and every IOThread that is not of the pool runs there, too. Otherwise both run
    on the left-over CPUs, those on cores without a vCPU where there are any, and on the whole cpuset where nothing is
    left over. `housekeeping` may be shorter than the demand (a cpuset that shrank): the emulator is served first, pool
    threads share what is left, and who has no CPU left runs like one that asked for none.
    """
    own = _emulator_cpus(housekeeping, demand.emulator)
    pool = [cpu.cpu for cpu in housekeeping if cpu not in own]
    everything = CPUSet.of(cpu.cpu for cpu in usable)
    left_over = [cpu for cpu in usable if cpu not in vcpus and cpu not in housekeeping]
    quiet = CPUSet.of(cpu.cpu for cpu in _quiet(left_over, vcpus))
    emulator = CPUSet.of(cpu.cpu for cpu in own) or quiet or everything
    iothreads = tuple(
        IOThreadPin(iothread=number, cpus=_pool_cpu(pool, layout.pool.index(number), emulator))
        if number in layout.pool
        else IOThreadPin(iothread=number, cpus=emulator)
        for number in layout.ids
    )
    return Roles(emulator=emulator, iothreads=iothreads, spare=CPUSet.of(cpu.cpu for cpu in left_over) - emulator)


def _pool_cpu(pool: Sequence[int], index: int, emulator: CPUSet) -> CPUSet:
    return CPUSet.of((pool[index % len(pool)],)) if pool else emulator


def _emulator_cpus(housekeeping: Sequence[CPU], count: int) -> tuple[CPU, ...]:
    """Choose the emulator's own CPUs: of one core if possible, else the last ones."""
    if not count:
        return ()
    by_core = sorted(housekeeping, key=lambda cpu: (_on_core(cpu, housekeeping) >= count, cpu.core, cpu.cpu))
    return tuple(by_core[-count:])


def _on_core(cpu: CPU, among: Sequence[CPU]) -> int:
    return sum(other.core == cpu.core for other in among)


def _quiet(left_over: Sequence[CPU], vcpus: Collection[CPU]) -> Sequence[CPU]:
    busy = {cpu.core for cpu in vcpus}
    return [cpu for cpu in left_over if cpu.core not in busy] or left_over
