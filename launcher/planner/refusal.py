"""The words of a refusal: what the guest needs and for what, what was found and where, and what to request."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from launcher.cpuset import CPUSet
from launcher.errors import DoesNotFit
from launcher.host.model import CPU, AllowedCPUs, Host
from launcher.planner.demand import CPUDemand
from launcher.planner.model import Cell
from launcher.planner.ownership import Ownership
from launcher.quantity import Quantity
from launcher.vmi.guest import Guest

PARITY_ANNOTATION = "alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity"


def too_few_cpus(host: Host, allowed: AllowedCPUs, demand: CPUDemand, ownership: Ownership) -> DoesNotFit:
    """Say that the cpuset, or what of it is the guest's own, is too small, and which `limits.cpu` cures it."""
    usable = allowed.cpus & host.online
    absent = allowed.cpus - usable
    if ownership.source:
        own = ownership.own & usable
        common = f", common {ownership.common}" if ownership.common else ""
        return DoesNotFit(
            f"the guest needs {demand.total} CPUs of its own ({demand}), found {len(own)} ({own or 'none'}{common}; "
            f"{ownership.source} of {allowed.cpus}, read from {allowed.source}): request limits.cpu: "
            f"{demand.total + len(ownership.common & _housekeeping(allowed))}"
        )
    message = (
        f"the guest needs {demand.total} CPUs ({demand}), found {len(usable)} ({usable}, read from {allowed.source})"
        f"{f'; CPUs {absent} of that cpuset are not online here' if absent else ''}"
        f": request limits.cpu: {demand.total}"
    )
    advice = parity_advice(host, demand)
    return DoesNotFit(f"{message}; {advice}" if advice else message)


def _housekeeping(allowed: AllowedCPUs) -> CPUSet:
    """Return the container's own CPUs that interrupts take: they are among those that it requests."""
    return CPUSet() if allowed.owners.housekeeping is None else allowed.owners.housekeeping.cpus


def parity_advice(host: Host, demand: CPUDemand) -> str | None:
    """Say that a kubelet which hands out whole cores refuses this total, and the cure; None where it does not.

    The kubelet's static CPU manager with `full-pcpus-only` fails a container whose CPUs are not a multiple of the
    threads per core (SMTAlignmentError).
    """
    if demand.total % 2 == 0 or demand.emulator != 1 or 2 not in Counter(cpu.core for cpu in host.cpus).values():
        return None
    return (
        f"a kubelet with full-pcpus-only refuses {demand.total} CPUs (whole cores of 2): there, add the annotation "
        f"{PARITY_ANNOTATION} and request limits.cpu: {demand.total + 1}"
    )


def cores_across_nodes(guest: Guest, cpus: Iterable[CPU], demand: CPUDemand) -> DoesNotFit:
    """Say that NUMA passthrough cannot keep every guest core on one node, and what each node has."""
    threads = guest.cpu.topology.threads
    nodes: dict[int, list[int]] = {}
    for cpu in cpus:
        nodes.setdefault(cpu.node, []).append(cpu.cpu)
    supply = "; ".join(
        f"node {node} has {len(members)} CPUs ({CPUSet.of(members)}), {-len(members) % threads} too few for "
        f"{-(-len(members) // threads)} guest cores"
        for node, members in sorted(nodes.items())
        if len(members) % threads
    )
    return DoesNotFit(
        f"numa.guestMappingPassthrough needs all {threads} threads of every guest core on one NUMA node, for {demand}: "
        f"{supply}"
    )


def too_few_pages(node: int, needed: int, free: int, page_bytes: int) -> DoesNotFit:
    """Say which node lacks huge pages, and how many."""
    size = Quantity.of_units(page_bytes, binary=True)
    return DoesNotFit(
        f"node {node} has {free} free huge pages of {size}, the guest's cell there needs {needed}: "
        f"free or reserve {needed - free} more on that node"
    )


def too_little_memory(cell: Cell, available_bytes: int) -> DoesNotFit:
    """Say which node has less memory left than the guest's cell on it needs: bound to it, the guest would be killed."""
    needed, available, missing = (
        Quantity.of_units(size, binary=True)
        for size in (cell.memory_bytes, available_bytes, cell.memory_bytes - available_bytes)
    )
    return DoesNotFit(
        f"node {cell.node} has {available} of memory to be had, the guest's cell {cell.cell} there needs {needed}: "
        f"free {missing} on that node, give the container CPUs of a node that has more, or make the guest smaller "
        "(spec.domain.memory.guest)"
    )


def too_few_cpus_with_memory(nodeless: Iterable[CPU], demand: CPUDemand) -> DoesNotFit:
    """Say that NUMA passthrough cannot use CPUs which belong to no node, and that the others do not suffice."""
    cpus = CPUSet.of(cpu.cpu for cpu in nodeless)
    return DoesNotFit(
        f"numa.guestMappingPassthrough needs {demand.total} CPUs ({demand}) on NUMA nodes; CPUs {cpus} of the cpuset "
        "belong to no node and cannot carry a vCPU"
    )
