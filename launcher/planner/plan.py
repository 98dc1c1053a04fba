"""The plan: from the guest, the host and the cpuset to the pinning of every thread."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import TYPE_CHECKING

from launcher.cpuset import CPUSet
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.assembly import assemble
from launcher.planner.backing import Backing, backed_host, backing_of, far_from_memory, memory_reasons, remote_memory
from launcher.planner.cells.cells import cores_backed, lay_out_cells
from launcher.planner.cells.pages import check_huge_pages, check_page_limit, check_page_size
from launcher.planner.demand import CPUDemand
from launcher.planner.explain import explain_vcpus
from launcher.planner.floating import quiet_ones, stuck
from launcher.planner.iothreads import lay_out_iothreads
from launcher.planner.model import Cell, IOThreadPin, Pinning, Reason, SharedPin
from launcher.planner.ownership import check_owners
from launcher.planner.refusal import too_few_cpus
from launcher.planner.setting import Setting, setting_of
from launcher.planner.warn import hidden_from_guest, throttled
from launcher.vmi.guest import Guest

if TYPE_CHECKING:
    from launcher.planner.optimum.placement import Placement


def plan(
    guest: Guest,
    host: Host,
    allowed: AllowedCPUs,
    *,
    shows_threads: bool = True,
    device_nodes: Collection[int] = (),
) -> Pinning:
    """Decide which host CPUs every thread of the guest gets, by DESIGN's "The placement".

    `shows_threads` tells that the guest can see which vCPUs are threads of one core, as one that is emulated cannot.
    `device_nodes` are those of the host's devices that the guest gets: its vCPUs are there where they may be.
    Depends on the values alone: the same guest, host and cpuset give the same pinning. CPUs of the cpuset that are
    not online here are left out, with a warning. Raises HostError where none is left, DoesNotFit where the CPUs (or
    under NUMA passthrough a node's CPUs), or the free huge pages, do not suffice.
    """
    check_owners(allowed)
    setting, backing = setting_of(guest, host, allowed), backing_of(host, allowed)
    own, demand, quiet = setting.own, setting.demand, setting.quiet
    if guest.cpu.dedicated and len(own) < demand.total:
        raise too_few_cpus(host, allowed, demand, setting.ownership)
    check_page_limit(guest.memory, allowed)
    if guest.cpu.numa_passthrough:
        check_page_size(guest.memory, host)
        # 40 modules that a guest without CPUs of its own does not wait for.
        from launcher.planner.cells.passthrough import place_in_quiet_cells  # noqa: PLC0415

        backed = backed_host(host, backing)
        placement = place_in_quiet_cells(guest, backed, own, demand, backing, quiet=quiet)
        check_huge_pages(guest.memory, host, backing, is_bound=True)
        cells = lay_out_cells(placement.vcpus, guest.memory, backed)
        return _explained(setting, backing, placement, cells, shows_threads=shows_threads)
    check_huge_pages(guest.memory, host, backing)
    if not guest.cpu.dedicated:
        return share(setting)
    from launcher.planner.preferred import place_near  # noqa: PLC0415 - likewise

    topology = guest.cpu.placed_topology
    placement = place_near(own, topology, demand.housekeeping, backing, device_nodes, quiet=quiet)
    return _explained(setting, backing, placement, (), shows_threads=shows_threads)


def _explained(
    setting: Setting, backing: Backing, placement: Placement, cells: tuple[Cell, ...], *, shows_threads: bool
) -> Pinning:
    """Put everything together, with the reasons and warnings that a plan has at the start."""
    guest, host, own, vcpus = setting.guest, setting.host, setting.own, placement.vcpus
    return assemble(
        setting,
        placement,
        cells=cells,
        most_cores=cores_backed(guest, host, own) if cells else None,
        warnings=(
            *hidden_from_guest(guest.cpu, vcpus, host, shows_threads=shows_threads),
            *far_from_memory(vcpus, backing, guest.cpu.placed_vcpus),
            *remote_memory(guest, vcpus, cells, host, backing),
            *throttled(setting.allowed, setting.demand),
        ),
        reasons=(
            *_quiet_reasons(own, setting.quiet, setting.demand),
            *memory_reasons(vcpus, cells),
            *explain_vcpus(setting, placement),
        ),
    )


def _quiet_reasons(own: Sequence[CPU], quiet: CPUSet, demand: CPUDemand) -> Iterator[Reason]:
    found = quiet_ones(own, quiet, demand.vcpus)
    if found:
        listed = CPUSet.of(cpu.cpu for cpu in found)
        text = f"vCPUs go to the quiet CPUs {listed} first (isolcpus, nohz_full, an isolated partition)"
        yield Reason(thread="placement", text=text)


def share(setting: Setting) -> Pinning:
    """Let every thread float: the guest asks for no CPUs of its own.

    On the whole cpuset, but for CPUs between which the kernel moves no thread, where there are others; and where some
    are shared with others by the node's word, vCPUs on the guest's own, all else on the shared ones.
    """
    guest, host, allowed, cpus = setting.guest, setting.host, setting.allowed, setting.cpuset
    common = setting.ownership.common & cpus
    moving = cpus - (host.isolated | allowed.bounds.isolated)
    vcpus = _floor(cpus - common, moving) or _floor(cpus, moving)
    others = _floor(common, moving) or vcpus
    apart = vcpus != cpus or others != cpus
    return Pinning(
        cpuset=cpus,
        source=allowed.source,
        vcpus=(),
        emulator=others,
        iothreads=tuple(IOThreadPin(iothread=number, cpus=others) for number in lay_out_iothreads(guest).ids),
        shared=tuple(SharedPin(vcpu=vcpu, cpus=vcpus) for vcpu in range(guest.cpu.topology.vcpus if apart else 0)),
        spare=cpus - vcpus - others,
        warnings=(
            *setting.warnings,
            *stuck(guest, cpus, host, allowed),
            *throttled(allowed, setting.demand),
        ),
        reasons=(Reason(thread="placement", text=_floating_in_words(cpus, vcpus, others)),),
    )


def _floor(cpus: CPUSet, moving: CPUSet) -> CPUSet:
    """Return those of the CPUs between which threads are moved; all where there are none."""
    return (cpus & moving) or cpus


def _floating_in_words(cpus: CPUSet, vcpus: CPUSet, others: CPUSet) -> str:
    unset = "spec.domain.cpu.dedicatedCpuPlacement is not set"
    if vcpus == others == cpus:
        return f"{unset}: every thread may use the whole cpuset"
    if vcpus == others:
        return f"{unset}: every thread may use CPUs {vcpus}, for between the others the kernel moves none"
    return f"{unset}: vCPUs may use the guest's own CPUs {vcpus}, every other thread those that it shares, {others}"
