"""The names that a domain and our own metadata in it have."""

from __future__ import annotations

from launcher.vmi.guest import Guest

# The plan, recorded in the domain and read again when a later launcher adopts the guest.
PLAN_NAMESPACE = "urn:virt-launcher:plan:1"
PLAN_PREFIX = "launcher"

# The mark of a guest whose CPUs have run: it tells one that was paused from one that was never resumed.
RUN_NAMESPACE = "urn:virt-launcher:run:1"
RUN_PREFIX = "launcher-run"
RUN_MARK = "<has-run/>"


def domain_name(guest: Guest) -> str:
    """Return the name that libvirt knows the guest by: namespace_name, as KubeVirt's own launcher has it."""
    return f"{guest.namespace}_{guest.name}"
