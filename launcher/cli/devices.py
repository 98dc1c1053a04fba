"""The host's devices that a guest gets, on this machine or on a described one, and whether they can be handed on."""

from __future__ import annotations

import logging
import os
import resource
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from launcher.cli.here import this_machine
from launcher.cpuset import CPUSet
from launcher.errors import HypervisorError
from launcher.host.assigned import AssignedDevice
from launcher.host.model import NO_NODE, Host
from launcher.host.proximity import Proximity
from launcher.host.tree import Tree
from launcher.planner.model import Pinning
from launcher.vmi.guest import Guest
from launcher.vmi.guest_devices import DeviceRequest

_log = logging.getLogger(__name__)

# The kubelet brings an annotation into a volume with its next look at the Pod, at the latest in the minute of its sync.
FUNCTIONS_TIMEOUT_S = 90.0
_LOOK_INTERVAL_S = 0.5
_CAP_SYS_RESOURCE = 1 << 24  # include/uapi/linux/capability.h


def devices_of(options: Namespace, guest: Guest) -> tuple[AssignedDevice, ...]:
    """Return the devices that device plugins and claims give to this guest, told by environment and files.

    Of a described host (--host) they are looked up there. Raises HostError where one is missing or cannot be.
    """
    if not guest.host_devices:
        return ()
    return _assigned(guest.host_devices, _tree(options))


def _assigned(requests: Sequence[DeviceRequest], tree: Tree | None) -> tuple[AssignedDevice, ...]:
    from launcher.host.devices import assign_devices, device_warnings  # noqa: PLC0415 - few guests have any

    devices = assign_devices(requests, os.environ, tree)
    for warning in device_warnings(devices):
        _log.warning("%s", warning)
    return devices


def await_functions(guest: Guest, is_stopping: Callable[[], bool]) -> None:
    """Wait until it is told which virtual function is on which network, where the Pod brings what Multus writes.

    Multus may not have written it when the launcher starts. Whoever looks next says what is missing after a time.
    """
    if all(request.attachment is None for request in guest.host_devices):
        return
    from launcher.host.devices import are_functions_told  # noqa: PLC0415 - few guests have any
    from launcher.host.network_status import FOLDER  # noqa: PLC0415 - likewise

    tree, ends_s = this_machine(), time.monotonic() + FUNCTIONS_TIMEOUT_S
    while tree.list(FOLDER) and not are_functions_told(guest.host_devices, os.environ, tree):
        if time.monotonic() >= ends_s or is_stopping():
            return
        time.sleep(_LOOK_INTERVAL_S)


def told_devices(options: Namespace, guest: Guest, *, verb: str) -> tuple[AssignedDevice, ...]:
    """Return the guest's devices of which anybody tells here; a dry run goes on without the others, and says so.

    Raises HostError where what is told is wrong.
    """
    if not guest.host_devices:
        return ()
    from launcher.host.devices import untold  # noqa: PLC0415 - few guests have any

    tree = _tree(options)
    missing = untold(guest.host_devices, os.environ, tree)
    if missing:
        _log.warning("%s: %s without: nothing here tells which devices they are", ", ".join(missing), verb)
    return _assigned([request for request in guest.host_devices if request.path not in missing], tree)


def nodes_by_resource(options: Namespace, guest: Guest) -> tuple[CPUSet, ...]:
    """Return of each resource the NUMA nodes of the guest's devices, for the kubelet's hints; none where nobody tells.

    What hangs on no node gives the kubelet no hint; a resource of which only some devices hang on one has none to give
    that would do: an empty set (devicemanager/topology_hints.go).
    """
    if not guest.host_devices:
        return ()
    from launcher.host.devices import assign_devices, untold  # noqa: PLC0415 - few guests have any

    tree = _tree(options)
    if untold(guest.host_devices, os.environ, tree):
        return ()

    found: dict[str, list[int]] = {}
    for device in assign_devices(guest.host_devices, os.environ, tree):
        found.setdefault(device.request.resource, []).append(device.node)
    hung = [nodes for nodes in found.values() if set(nodes) != {NO_NODE}]
    return tuple(CPUSet() if NO_NODE in nodes else CPUSet.of(nodes) for nodes in hung)


def places_of(devices: tuple[AssignedDevice, ...], pinning: Pinning, host: Host) -> tuple[Proximity, ...]:
    """Return how far each device is from the vCPUs; one that no vCPU is near is told."""
    if not devices:
        return ()
    from launcher.host.proximity import proximities, remoteness  # noqa: PLC0415 - likewise

    places = proximities(devices, {pin.node for pin in pinning.vcpus}, host)
    for sentence in remoteness(places):
        _log.warning("%s", sentence)
    return places


def _tree(options: Namespace) -> Tree | None:
    """Return the files of the host that the options name; None for a synthetic one, which has none."""
    described = getattr(options, "host", None)
    if described is None:
        return this_machine()
    if not Path(described).exists():
        return None
    from launcher.host.capture import read_capture  # noqa: PLC0415 - used only here, and start-up time counts

    return read_capture(Path(described))


def check_handed_on(guest: Guest, devices: tuple[AssignedDevice, ...]) -> None:
    """Raise HypervisorError, a line for each, with what keeps QEMU from these devices; nothing was started then."""
    if not devices:
        return
    from launcher.host.vfio import hindrances  # noqa: PLC0415 - few guests have any

    found = hindrances(
        devices,
        this_machine(),
        may_open=lambda file: os.access(file, os.R_OK | os.W_OK),
        most_locked_bytes=_most_locked_bytes(),
        guest_bytes=guest.memory.guest_bytes,
    )
    if found:
        raise HypervisorError("\n".join(found))


def _most_locked_bytes() -> int | None:
    """Return how much memory a child of this process may lock, None for any amount.

    libvirt raises QEMU's limit up to the hard one, and beyond where this process may (CAP_SYS_RESOURCE).
    """
    hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    status = this_machine().read("proc/self/status") or ""
    effective = next((line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")), "0")
    may_raise = bool(int(effective, 16) & _CAP_SYS_RESOURCE)
    return None if hard == resource.RLIM_INFINITY or may_raise else hard
