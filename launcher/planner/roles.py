"""Which CPUs the emulator and the IOThreads get, once the vCPUs and the housekeeping CPUs are chosen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import cycle

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.planner.demand import CPUDemand
from launcher.planner.floating import Terrain, berths
from launcher.planner.iothreads import IOThreadLayout
from launcher.planner.model import IOThreadPin, SharedPin

_PLAIN = Terrain()
_NONE = CPUSet()


class Roles(Struct, frozen=True, kw_only=True):
    """The CPUs of everything that is not a vCPU, and those that nothing uses."""

    emulator: CPUSet
    iothreads: tuple[IOThreadPin, ...]
    spare: CPUSet
    # The threads that could float have one CPU each, because they could not move on the CPUs that there are.
    is_single: bool = False
    shared: tuple[SharedPin, ...] = ()
    vhost: CPUSet = _NONE


def assign_roles(
    usable: Sequence[CPU],
    vcpus: Collection[CPU],
    housekeeping: Sequence[CPU],
    demand: CPUDemand,
    layout: IOThreadLayout,
    *,
    terrain: Terrain = _PLAIN,
    common: CPUSet = _NONE,
    sharing: Sequence[int] = (),
) -> Roles:
    """Give the emulator and the IOThreads their CPUs by DESIGN's table of roles.

    An isolated emulator has its own, and every IOThread that is not of the pool runs there, too. Otherwise both run
    on the left-over CPUs, those on cores without a vCPU where there are any, and on the whole cpuset where nothing is
    left over. `housekeeping` may be shorter than the demand (a cpuset that shrank): the emulator is served first, pool
    threads share what is left, and who has no CPU left runs like one that asked for none.

    They keep off the CPUs of realtime vCPUs where there are others, and off isolated CPUs likewise; where only such are
    left, the emulator gets one and the IOThreads take turns on the others.

    `common` are CPUs of the cpuset that are not the guest's own: where there are any, they are what all of them get.

    `sharing` are vCPUs without a CPU of their own: they get the CPUs reserved for them and those left over on cores
    without another vCPU, where an emulator that is not isolated joins them.
    """
    own = _emulator_cpus(housekeeping, demand.emulator)
    beside = [cpu.cpu for cpu in housekeeping if cpu not in own]
    # The vCPUs that share come before the pool: without a CPU they would run on one that is another vCPU's alone.
    reserved, others_own = beside[: demand.shared], beside[demand.shared :]
    pool, vhost = others_own[: demand.pool_iothreads], CPUSet.of(others_own[demand.pool_iothreads :])
    everything = CPUSet.of(cpu.cpu for cpu in usable)
    left_over = [cpu for cpu in usable if cpu not in vcpus and cpu not in housekeeping and cpu.cpu not in common]
    quiet = CPUSet.of(cpu.cpu for cpu in (_quiet(left_over, vcpus) if not reserved else _apart(left_over, vcpus)))
    quiet |= CPUSet.of(reserved)
    floor = (common & everything) or CPUSet.of(cpu.cpu for cpu in own) or quiet
    shared = _share((common & everything) or quiet or floor or everything, sharing, terrain)
    places = berths(floor or everything, terrain, last_first=not floor)
    emulator, others = places[0], cycle(places[1:] or places)
    iothreads = tuple(
        IOThreadPin(iothread=number, cpus=_pool_cpu(pool, layout.pool.index(number), emulator))
        if number in layout.pool
        else IOThreadPin(iothread=number, cpus=next(others))
        for number in layout.ids
    )
    used = CPUSet.of(cpu for cpus in (emulator, *_cpus_of(iothreads), *_cpus_of(shared)) for cpu in cpus)
    return Roles(
        emulator=emulator,
        iothreads=iothreads,
        spare=CPUSet.of(cpu.cpu for cpu in left_over) - used,
        is_single=len(places) > 1,
        shared=shared,
        vhost=vhost,
    )


def _cpus_of(pins: Sequence[IOThreadPin] | Sequence[SharedPin]) -> Iterator[CPUSet]:
    return (pin.cpus for pin in pins)


def _share(cpus: CPUSet, sharing: Sequence[int], terrain: Terrain) -> tuple[SharedPin, ...]:
    """Let these vCPUs float on the CPUs, or take turns where no thread is moved between them."""
    places = cycle(berths(cpus, terrain, last_first=False))
    return tuple(SharedPin(vcpu=vcpu, cpus=next(places)) for vcpu in sharing)


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
    return _apart(left_over, vcpus) or left_over


def _apart(left_over: Sequence[CPU], vcpus: Collection[CPU]) -> Sequence[CPU]:
    """Return those on cores without a vCPU."""
    busy = {cpu.core for cpu in vcpus}
    return [cpu for cpu in left_over if cpu.core not in busy]
