"""A pinning put together from where the vCPUs and the housekeeping are placed, with all that is said of every plan."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.planner.bounds import least_terms
from launcher.planner.explain import explain_roles, score_in_words
from launcher.planner.floating import beside_vcpus, starving, unquiet
from launcher.planner.model import Cell, Pinning, Reason, VCPUPin
from launcher.planner.roles import assign_roles
from launcher.planner.setting import Setting
from launcher.planner.terms import proof_explained, proof_of

if TYPE_CHECKING:
    from launcher.planner.optimum.placement import Placement


def assemble(
    setting: Setting,
    placement: Placement,
    *,
    cells: tuple[Cell, ...],
    warnings: Iterable[str],
    reasons: Iterable[Reason],
    most_cores: Mapping[int, int] | None = None,
) -> Pinning:
    """Give every thread its CPUs and put everything together, with the proof, and what is said of every pinning.

    `most_cores` are the guest cores that nodes can carry at most, where their memory limits them.
    """
    guest, vcpus, score = setting.guest, placement.vcpus, placement.score
    ids, roles = guest.cpu.placed_vcpus, assign_roles(setting, placement)
    alone = CPUSet.of(cpu.cpu for cpu in vcpus)
    degraded = len(alone) < len(vcpus) or any(pin.cpus & alone for pin in roles.shared)
    how, proof = [score_in_words(score)], None
    if not degraded:
        cpus, housekeeping = setting.own or setting.usable, len(placement.housekeeping)
        least = least_terms(cpus, guest.cpu.placed_topology, housekeeping, score, most_cores)
        proof = proof_of(score, least, placement.sure)
        how.append(proof_explained(score, least, placement.sure))
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
        score=score,
        proof=proof,
        degraded=degraded,
        reasons=(
            *(Reason(thread="placement", text=text) for text in how),
            *reasons,
            *explain_roles(setting, placement, roles),
        ),
        shared=roles.shared,
        vhost=roles.vhost,
    )
    found = (
        *setting.warnings,
        *_shortage(setting, pinning),
        *warnings,
        *unquiet(vcpus, setting.own, setting.quiet, ids),
        *starving(guest, pinning),
        *beside_vcpus(pinning, setting.quiet),
    )
    return replace(pinning, warnings=found)


def _shortage(setting: Setting, pinning: Pinning) -> Iterator[str]:
    """Warn of a cpuset that shrank below what the guest needs."""
    found = f"needs {setting.demand.total} CPUs, found {len(setting.own)} (read from {setting.allowed.source})"
    given_up = setting.demand.housekeeping - len(pinning.housekeeping)
    if pinning.degraded:
        yield f"degraded: the guest {found}; vCPUs share CPUs until the cpuset is large enough again"
    elif given_up:
        yield f"the guest {found}; {given_up} of the housekeeping CPUs given up so that every vCPU keeps its own"
