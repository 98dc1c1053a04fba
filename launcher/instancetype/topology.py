"""How the vCPUs of an instancetype are laid out as sockets, cores and threads.

Source: KubeVirt's pkg/instancetype/apply/cpu.go and pkg/instancetype/preference/{apply,validation}/cpu.go.
"""

from __future__ import annotations

from launcher.instancetype.schema import Across, CPUTopology, VirtualMachinePreferenceSpec
from launcher.vmi.guest import Topology

_THREADS_OF_A_CORE = 2
_DEFAULT_RATIO = 2
_OLDER_WORDS = {
    CPUTopology.PREFER_SOCKETS: CPUTopology.SOCKETS,
    CPUTopology.PREFER_CORES: CPUTopology.CORES,
    CPUTopology.PREFER_THREADS: CPUTopology.THREADS,
    CPUTopology.PREFER_SPREAD: CPUTopology.SPREAD,
    CPUTopology.PREFER_ANY: CPUTopology.ANY,
}


def preferred_topology(preference: VirtualMachinePreferenceSpec | None) -> CPUTopology:
    """Return the layout that a preference asks for, in today's word: sockets where it asks for none."""
    wanted = None if preference is None else preference.cpu.preferred_cpu_topology
    return CPUTopology.SOCKETS if wanted is None else _OLDER_WORDS.get(wanted, wanted)


def spread_of(preference: VirtualMachinePreferenceSpec) -> tuple[Across, int]:
    """Return what a preference spreads vCPUs over, and how many cores it gives a socket (threads a core)."""
    options = preference.cpu.spread_options
    across = Across.SOCKETS_CORES if options is None or options.across is None else options.across
    older = preference.prefer_spread_socket_to_core_ratio or _DEFAULT_RATIO
    return across, older if options is None or options.ratio is None else options.ratio


def laid_out(vcpus: int, preference: VirtualMachinePreferenceSpec | None) -> Topology:
    """Return the topology of this many vCPUs; raises ValueError where they cannot be spread as the preference wants."""
    match preferred_topology(preference):
        case CPUTopology.CORES:
            return Topology(cores=vcpus)
        case CPUTopology.THREADS:
            return Topology(threads=vcpus)
        case CPUTopology.SPREAD if preference is not None:
            return _spread(vcpus, *spread_of(preference))
        case _:
            return Topology(sockets=vcpus)


def _spread(vcpus: int, across: Across, ratio: int) -> Topology:
    threads = _THREADS_OF_A_CORE if across is Across.SOCKETS_CORES_THREADS else 1
    if vcpus % (ratio * threads):
        parts = f"{threads} threads of {ratio} cores" if threads > 1 else str(ratio)
        raise ValueError(f"{vcpus} vCPUs cannot be spread over {across} by {parts}")
    if across is Across.CORES_THREADS:
        return Topology(cores=vcpus // ratio, threads=ratio)
    return Topology(sockets=vcpus // (ratio * threads), cores=ratio, threads=threads)
