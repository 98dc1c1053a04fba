"""Where the vCPUs go first: nodes that can back them, CPUs that the node keeps quiet, and one kind of core.

All come before the objective's terms, for what they cost is paid all the time: of a vCPU on a node without memory every
access is remote, on a CPU that is not isolated others run, and a guest's kernel takes its vCPUs for equals. Each counts
where there are CPUs enough for all vCPUs; the objective decides among what is left.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import CPU
from launcher.planner.backing import Backing
from launcher.planner.floating import quiet_ones
from launcher.planner.optimum.placement import Placement, apart_from, joined_by, place
from launcher.vmi.guest import Topology


def place_preferring(
    cpus: Sequence[CPU], topology: Topology, housekeeping: int, backing: Backing, *, quiet: CPUSet
) -> Placement:
    """Place as `place` does, the vCPUs on backed nodes, quiet CPUs and one kind of core where these have CPUs enough.

    Of several kinds that would do, the one with the better score is taken, then the more capable one. Housekeeping goes
    to the CPUs that are thus left to it, the least capable first, and to the others only where these do not suffice.
    """
    preferred = [cpu for cpu in cpus if cpu.node not in backing.closed]
    if len(preferred) < topology.vcpus:
        preferred = list(cpus)
    preferred = quiet_ones(preferred, quiet, topology.vcpus) or preferred
    kinds = [[cpu for cpu in preferred if cpu.kind == kind] for kind in sorted({cpu.kind for cpu in preferred})]
    placed = [_placed(cpus, chosen, topology, housekeeping) for chosen in kinds]
    fitting = [placement for placement in placed if placement is not None]
    if fitting:
        return min(fitting, key=lambda placement: placement.score)
    return _placed(cpus, preferred, topology, housekeeping) or place(cpus, topology, housekeeping)


def place_near(
    cpus: Sequence[CPU],
    topology: Topology,
    housekeeping: int,
    backing: Backing,
    nodes: Collection[int],
    *,
    quiet: CPUSet,
) -> Placement:
    """Place as `place_preferring` does, the vCPUs on these nodes, the guest's devices', where that costs no term.

    It comes after the terms (DESIGN, 7): what crosses to a device is less than what vCPUs have to do with each other.
    """
    anywhere = place_preferring(cpus, topology, housekeeping, backing, quiet=quiet)
    near = [cpu for cpu in cpus if cpu.node in nodes and cpu.node not in backing.closed]
    if quiet_ones(cpus, quiet, topology.vcpus):
        near = [cpu for cpu in near if cpu.cpu in quiet]
    if not near or len(near) == len(cpus):
        return anywhere
    placement = _placed(cpus, near, topology, housekeeping)
    if placement is None or placement.score > anywhere.score:
        return anywhere
    return replace(placement, sure=anywhere.sure)


def _placed(cpus: Sequence[CPU], chosen: Sequence[CPU], topology: Topology, housekeeping: int) -> Placement | None:
    """Place the vCPUs on the chosen CPUs, housekeeping on the rest first; None where that is too little."""
    apart = apart_from(cpus, chosen, topology.vcpus, housekeeping)
    return None if apart is None else joined_by(place(chosen, topology, housekeeping - len(apart)), apart, topology)
