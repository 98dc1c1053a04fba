"""The names that a domain, its machine type and our own metadata in it have."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.vmi.guest import Guest
    from launcher.vmi.guest_devices import DeviceRequest

# The plan, recorded in the domain and read again when a later launcher adopts the guest.
PLAN_NAMESPACE = "urn:virt-launcher:plan:1"
PLAN_PREFIX = "launcher"

# The mark of a guest whose CPUs have run: it tells one that was paused from one that was never resumed.
RUN_NAMESPACE = "urn:virt-launcher:run:1"
RUN_PREFIX = "launcher-run"
RUN_MARK = "<has-run/>"

# The machine types that KubeVirt's manifests name for each architecture; the emulated board of the guest.
_DEFAULT_MACHINES = {"x86_64": "q35", "aarch64": "virt"}

# The socket behind the port over which a guest asks for the host's figures; the launcher answers there.
METRICS_SOCKET = "metrics.sock"

# By the kind of device (launcher.vmi.guest_devices.DeviceKind).
_HOSTDEV_PREFIXES = {"gpus": "ua-gpu-", "hostDevices": "ua-hostdevice-", "interfaces": "ua-sriov-"}

# The socket of the node's qemu-pr-helper, where KubeVirt's device plugin brings it (pkg/storage/reservation).
RESERVATION_SOCKET = "/var/run/kubevirt/daemons/pr/pr-helper.sock"


def machine_of(guest: Guest, arch: str) -> str | None:
    """Return the machine type: the manifest's, else the architecture's."""
    return guest.machine or _DEFAULT_MACHINES.get(arch)


def alias_of(name: str) -> str:
    """Return the alias of the device with this name in the manifest; libvirt wants those of others to begin so."""
    return f"ua-{name}"


def hostdev_alias(request: DeviceRequest) -> str:
    """Return the alias of the host's device that was asked for so, as KubeVirt has it."""
    return f"{_HOSTDEV_PREFIXES[request.kind]}{request.name}"


def domain_name(guest: Guest) -> str:
    """Return the name that libvirt knows the guest by: namespace_name, as KubeVirt's own launcher has it."""
    return f"{guest.namespace}_{guest.name}"
