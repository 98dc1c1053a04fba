"""Which CPUs the emulator and the IOThreads get, once the vCPUs and the housekeeping CPUs are chosen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from typing import TYPE_CHECKING

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.planner.floating import berths, fifo_cpus
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.model import IOThreadPin, SharedPin
from launcher.planner.setting import Setting

if TYPE_CHECKING:
    from launcher.planner.optimum.placement import Placement


class Roles(Struct, frozen=True, kw_only=True):
    """The CPUs of everything that is not a vCPU, and those that nothing uses."""

    emulator: CPUSet
    iothreads: tuple[IOThreadPin, ...]
    spare: CPUSet
    # The threads that could float have one CPU each, because they could not move on the CPUs that there are.
    is_single: bool = False
    shared: tuple[SharedPin, ...] = ()
    vhost: CPUSet = CPUSet()


def assign_roles(setting: Setting, placement: Placement) -> Roles:
    """Give the emulator and the IOThreads their CPUs by DESIGN's table of roles.

    An isolated emulator has its own, and every IOThread that is not of the pool runs there, too. Otherwise both run
    on the left-over CPUs, those on cores without a vCPU where there are any, and on the whole cpuset where nothing is
    left over. The housekeeping may be less than the demand (a cpuset that shrank): the emulator is served first, pool
    threads share what is left, and who has no CPU left runs like one that asked for none.

    They keep off the CPUs of realtime vCPUs where there are others, and off isolated CPUs likewise; where only such are
    left, the emulator gets one and the IOThreads take turns on the others.

    Where the cpuset holds CPUs that are not the guest's own, these are what all of them get.

    vCPUs without a CPU of their own get the CPUs reserved for them and those left over on cores without another vCPU,
    where an emulator that is not isolated joins them.
    """
    guest, demand, housekeeping = setting.guest, setting.demand, placement.housekeeping
    everything, common = setting.cpuset, setting.ownership.common & setting.cpuset
    own = _emulator_cpus(housekeeping, demand.emulator)
    beside = [cpu.cpu for cpu in housekeeping if cpu not in own]
    # The vCPUs that share come before the pool: without a CPU they would run on one that is another vCPU's alone.
    reserved, others_own = beside[: demand.shared], beside[demand.shared :]
    pool, vhost = others_own[: demand.pool_iothreads], others_own[demand.pool_iothreads :]
    used = {*placement.vcpus, *housekeeping}
    left_over = [cpu for cpu in setting.usable if cpu not in used and cpu.cpu not in common]
    busy = {cpu.core for cpu in placement.vcpus}
    apart = [cpu.cpu for cpu in left_over if cpu.core not in busy]
    quiet = CPUSet.of([*reserved, *apart] or (cpu.cpu for cpu in left_over))
    floor = common or CPUSet.of(cpu.cpu for cpu in own) or quiet
    fifo = fifo_cpus(guest.cpu, (cpu.cpu for cpu in placement.vcpus))
    places = berths(floor or everything, fifo, setting.quiet, last_first=not floor)
    emulator, others = places[0], cycle(places[1:] or places)
    layout = lay_out_iothreads(guest)
    in_pool = cycle([CPUSet.of((cpu,)) for cpu in pool] or [emulator])
    iothreads = tuple(
        IOThreadPin(iothread=number, cpus=next(in_pool if number in layout.pool else others)) for number in layout.ids
    )
    sharing = cycle(berths(common or quiet or floor or everything, fifo, setting.quiet))
    shared = tuple(SharedPin(vcpu=vcpu, cpus=next(sharing)) for vcpu in sorted(guest.cpu.shared_vcpus))
    floating = (emulator, *(pin.cpus for pin in iothreads), *(pin.cpus for pin in shared))
    taken = CPUSet.of(cpu for cpus in floating for cpu in cpus)
    return Roles(
        emulator=emulator,
        iothreads=iothreads,
        spare=CPUSet.of(cpu.cpu for cpu in left_over) - taken,
        is_single=len(places) > 1,
        shared=shared,
        vhost=CPUSet.of(vhost),
    )


def _emulator_cpus(housekeeping: Sequence[CPU], count: int) -> Sequence[CPU]:
    """Choose the emulator's own CPUs: of one core if possible, else the last ones."""
    on_core = Counter(cpu.core for cpu in housekeeping)
    by_core = sorted(housekeeping, key=lambda cpu: (on_core[cpu.core] >= count, cpu.core, cpu.cpu))
    return by_core[-count:] if count else []
