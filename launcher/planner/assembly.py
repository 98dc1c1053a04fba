"""A pinning put together from where the vCPUs and the housekeeping are placed."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.planner.floating import beside_vcpus, starving, unquiet
from launcher.planner.model import Cell, Pinning, Proof, Reason, VCPUPin
from launcher.planner.roles import Roles
from launcher.planner.setting import Setting

if TYPE_CHECKING:
    from launcher.planner.optimum.placement import Placement


def assemble(
    setting: Setting,
    placement: Placement,
    roles: Roles,
    *,
    cells: tuple[Cell, ...],
    proof: Proof | None,
    warnings: Iterable[str],
    reasons: Iterable[Reason],
    degraded: bool = False,
) -> Pinning:
    """Put everything together, with the warnings that every pinning has."""
    guest, vcpus = setting.guest, placement.vcpus
    ids = guest.cpu.placed_vcpus
    pinning = Pinning(
        cpuset=setting.cpuset,
        source=setting.allowed.source,
        vcpus=tuple(
            VCPUPin(vcpu=vcpu, cpu=cpu.cpu, core=cpu.core, socket=cpu.socket, node=cpu.node)
            for vcpu, cpu in zip(ids, vcpus, strict=True)
        ),
        emulator=roles.emulator,
        iothreads=roles.iothreads,
        cells=cells,
        housekeeping=CPUSet.of(cpu.cpu for cpu in placement.housekeeping),
        spare=roles.spare,
        score=placement.score,
        proof=proof,
        degraded=degraded,
        warnings=(*setting.warnings, *warnings, *unquiet(vcpus, setting.own, setting.quiet, ids)),
        reasons=tuple(reasons),
        shared=roles.shared,
        vhost=roles.vhost,
    )
    held_up = (*starving(guest, pinning), *beside_vcpus(pinning, setting.quiet))
    return replace(pinning, warnings=(*pinning.warnings, *held_up))
