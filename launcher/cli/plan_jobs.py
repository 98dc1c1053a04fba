"""The workshop's job on placements: a plan over the CPUs that may be used now."""

from __future__ import annotations

# Guests with CPUs of their own want the search; it is loaded while nothing is asked for.
import launcher.planner.optimum.placement  # noqa: F401
from launcher.cli.evidence import check_exclusive
from launcher.cli.here import this_machine
from launcher.cli.machine import read_this_host
from launcher.cli.orders import PlanOrder
from launcher.domain.threads import shows_threads
from launcher.hypervisor.rights import check_huge_page_mount
from launcher.planner.model import Pinning
from launcher.planner.plan import plan
from launcher.vmi.guest import Guest


def plan_guest(guest: Guest, order: PlanOrder) -> Pinning:
    """Plan; raises what `plan` does, and HostError or HypervisorError where the plan could not be kept here."""
    pinning = plan(
        guest,
        # What is free of huge pages changes, too, as when the guest before this one has just ended.
        read_this_host(),
        order.allowed,
        shows_threads=shows_threads(guest, order.virt_type),
        device_nodes=order.nodes,
    )
    if order.needs_exclusive:
        check_exclusive(guest, pinning, order.kubelet_state)
    if order.is_embedded and guest.memory.huge_page_bytes is not None:
        check_huge_page_mount(guest.memory.huge_page_bytes, this_machine().read("proc/self/mounts") or "")
    return pinning
