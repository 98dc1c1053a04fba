"""Which of the host's devices a guest gets: device plugins' variables and claims' files, dealt out to the requests.

A device plugin tells in its container's environment what it has given: `PCI_RESOURCE_…`, `MDEV_PCI_RESOURCE_…` and
`USB_RESOURCE_…` (KubeVirt's), `PCIDEVICE_…` (the SR-IOV network device plugin's), each followed by the resource's name
in capitals. KubeVirt writes `_` for `/` and `.` (pkg/util, ResourceNameToEnvVar), the SR-IOV plugin for all but
letters, digits and `_`. A value holds addresses with commas between them; several requests of one resource take them in
order, and a device that stands under two resources is given once. Of a virtual function of a network (sriov) what
network_status.py reads counts before the variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from launcher.errors import HostError
from launcher.host.assigned import AssignedDevice, Bus
from launcher.host.claims import is_claim_told, read_claimed
from launcher.host.network_status import ANNOTATION, FILE, FunctionUntold, function_of
from launcher.host.pci import PCI_ADDRESS, device_behind, has_pci
from launcher.host.tree import Tree
from launcher.vmi.guest_devices import DeviceKind, DeviceRequest

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_USB = re.compile(r"(\d{1,3}):(\d{1,3})", re.ASCII)
_OTHERWISE = re.compile(r"[^A-Z0-9_]", re.ASCII)
# A variable is at most as long as a command line's argument (MAX_ARG_STRLEN); what a message quotes of it is short.
_SHOWN = 40


def assign_devices(
    requests: Sequence[DeviceRequest], environment: Mapping[str, str], tree: Tree | None
) -> tuple[AssignedDevice, ...]:
    """Return the device of each request, in their order; `tree` is the host's, None where nothing is known of it.

    Raises HostError, with the variable or file and what it holds, where one is absent, malformed, not on this host, or
    given twice.
    """
    dealt = _Deal(environment=environment, requests=requests, pools={}, taken={})
    found = tuple(_assign(request, dealt, tree) for request in requests)
    return _with_screen(tuple(_placed(device, tree) for device in found) if tree and has_pci(tree) else found)


class _Deal(Struct, kw_only=True):
    """What is left of each variable's addresses, and which request has taken which."""

    environment: Mapping[str, str]
    requests: Sequence[DeviceRequest]
    pools: dict[str, list[str]]
    taken: dict[str, str]


def _assign(request: DeviceRequest, deal: _Deal, tree: Tree | None) -> AssignedDevice:
    if request.claim is not None:
        bus, address, source = _claimed(request, tree)
    elif (told := _on_network(request, tree)) is not None:
        bus, address, source = Bus.PCI, _checked(Bus.PCI, told, tree.where(FILE) if tree else FILE), FILE
    else:
        _check_function(request, deal)
        bus, address, source = _next_of(request, deal)
    if address in deal.taken:
        raise HostError(f"{request.path}: {source} tells {address}, which is {deal.taken[address]}'s already")
    deal.taken[address] = request.path
    return AssignedDevice(request=request, bus=bus, address=address, source=source)


def _claimed(request: DeviceRequest, tree: Tree | None) -> tuple[Bus, str, str]:
    assert request.claim is not None  # noqa: S101 - the caller's question
    claimed = read_claimed(request.claim, request.path, tree)
    if claimed.mediated:
        return Bus.MEDIATED, _checked(Bus.MEDIATED, claimed.mediated, claimed.source), claimed.source
    return Bus.PCI, _checked(Bus.PCI, claimed.pci, claimed.source), claimed.source


def _on_network(request: DeviceRequest, tree: Tree | None) -> str | None:
    """Return the virtual function that Multus tells of this request's network; None where it tells none, or not yet."""
    if request.attachment is None or tree is None:
        return None
    return function_of(tree.read(FILE) or "", request.attachment.devices, tree.where(FILE))


def _check_function(request: DeviceRequest, deal: _Deal) -> None:
    """Raise FunctionUntold where no variable tells a virtual function, or one that does not say whose it is."""
    if request.attachment is None:
        return
    names = [name for name, _ in variables_of(request)]
    network = f"{request.path}: no virtual function of network {request.attachment.name}: /{FILE} tells none (the Pod's"
    if not any(name in deal.environment for name in names):
        variables = (
            f"and {', '.join(names)} are not set"
            if names
            else (
                "and which resource's variable (PCIDEVICE_…) has it is told by the network's "
                "NetworkAttachmentDefinition beside the machine, where there is none"
            )
        )
        raise FunctionUntold(f"{network} annotation {ANNOTATION}), {variables}")
    for other in deal.requests:
        if other.attachment is not None and other.resource == request.resource and _is_elsewhere(other, request):
            raise FunctionUntold(
                f"{network} annotation {ANNOTATION}), and of resource {request.resource}, which network "
                f"{other.attachment.name} has, too, nothing else tells which is whose"
            )


def _is_elsewhere(one: DeviceRequest, other: DeviceRequest) -> bool:
    networks = [(at.namespace, at.name) for at in (one.attachment, other.attachment) if at is not None]
    return len(set(networks)) > 1


def are_functions_told(requests: Sequence[DeviceRequest], environment: Mapping[str, str], tree: Tree | None) -> bool:
    """Tell whether it is known by now, rightly or not, which device each virtual function is."""
    try:
        assign_devices([request for request in requests if request.attachment is not None], environment, tree)
    except FunctionUntold:
        return False
    except HostError:
        return True
    return True


def untold(requests: Sequence[DeviceRequest], environment: Mapping[str, str], tree: Tree | None) -> tuple[str, ...]:
    """Return the paths of the requests of which nothing here tells a device at all."""
    return tuple(request.path for request in requests if not _is_told(request, environment, tree))


def _is_told(request: DeviceRequest, environment: Mapping[str, str], tree: Tree | None) -> bool:
    if request.claim is not None:
        return is_claim_told(request.claim, tree)
    return any(name in environment for name, _ in variables_of(request)) or _on_network(request, tree) is not None


def variables_of(request: DeviceRequest) -> tuple[tuple[str, Bus], ...]:
    """Return the variables in which the device of a request may be told, and what kind of address each holds."""
    if request.attachment is not None and not request.resource:
        return ()
    capitals = request.resource.upper()
    plain, strict = capitals.replace("/", "_").replace(".", "_"), _OTHERWISE.sub("_", capitals)
    pci = [(f"PCI_RESOURCE_{plain}", Bus.PCI), (f"PCIDEVICE_{strict}", Bus.PCI)]
    mediated = [(f"MDEV_PCI_RESOURCE_{plain}", Bus.MEDIATED)]
    usb = [(f"USB_RESOURCE_{plain}", Bus.USB)] if request.kind is DeviceKind.HOST_DEVICE else []
    return (*pci, *mediated, *usb)


def _next_of(request: DeviceRequest, deal: _Deal) -> tuple[Bus, str, str]:
    variables = variables_of(request)
    for name, bus in variables:
        if name not in deal.pools and name in deal.environment:
            deal.pools[name] = list(_addresses(name, bus, deal.environment[name]))
        for address in deal.pools.get(name, ()):
            if address not in deal.taken:
                return bus, address, name
    raise HostError(_shortage(request, [name for name, _ in variables if name in deal.environment], deal))


def _shortage(request: DeviceRequest, present: list[str], deal: _Deal) -> str:
    if not present:
        first, *others = [name for name, _ in variables_of(request)]
        return (
            f"{request.path}: no device of {request.resource}: its device plugin tells it in {first} "
            f"(or {', '.join(others)}), and none is set; in a dry run set it, as {first}=0000:41:00.0"
        )
    told = sum(len(deal.pools[name]) for name in present)
    return (
        f"{request.path}: no device of {request.resource} is left: {', '.join(present)} "
        f"tell{'s' if len(present) == 1 else ''} {told}, which other devices of this guest have"
    )


def _addresses(name: str, bus: Bus, text: str) -> Iterator[str]:
    """Yield a variable's addresses; one that stands there twice was given twice."""
    seen = set()
    for word in filter(None, text.removesuffix(",").split(",")):
        address = _checked(bus, word.strip(), name)
        if address in seen:
            raise HostError(f"{name}: {address} stands there twice; wanted each device once")
        seen.add(address)
        yield address


def _checked(bus: Bus, text: str, source: str) -> str:
    wanted = {
        Bus.PCI: (PCI_ADDRESS, "a PCI address, such as 0000:41:00.0"),
        Bus.MEDIATED: (_UUID, "a mediated device's UUID"),
        Bus.USB: (_USB, "a USB device's bus and number, such as 1:3"),
    }
    pattern, words = wanted[bus]
    address = text.lower()
    if not pattern.fullmatch(address):
        raise HostError(f"{source}: {text[:_SHOWN]!r} is not {words}")
    return address


def _placed(device: AssignedDevice, tree: Tree) -> AssignedDevice:
    """Return the device with where it hangs; raises HostError where it is not on this host."""
    if device.bus is Bus.USB:
        return device
    found = device_behind(tree, device.address)
    if found is None:
        kind = "PCI" if device.bus is Bus.PCI else "mediated"
        where = f"{device.request.path}: {device.source} tells the {kind} device {device.address}"
        raise HostError(f"{where}, which is not on this host ({tree.where('sys/devices')})")
    if found.is_bridge and device.bus is Bus.PCI:
        raise HostError(f"{device.request.path}: {device.source} tells {device.address}, a bridge, which no guest gets")
    return replace(device, node=found.node, root=found.root, wide_bytes=found.wide_bytes)


def _with_screen(devices: tuple[AssignedDevice, ...]) -> tuple[AssignedDevice, ...]:
    """Say which virtual GPUs are screens of the guest, as KubeVirt does.

    Those that say so; where no GPU says anything, the first virtual one, from the boot on. Source: KubeVirt's
    pkg/virt-launcher/virtwrap/device/hostdevice, CreateMDEVHostDevices.
    """
    virtual = [device for device in devices if device.bus is Bus.MEDIATED and device.request.kind is DeviceKind.GPU]
    gpus = [device for device in devices if device.request.kind is DeviceKind.GPU]
    by_default = virtual[:1] if all(gpu.request.is_screen is None for gpu in gpus) else []
    shown = [*by_default, *(device for device in virtual if device.request.is_screen)]
    return tuple(
        replace(device, is_screen=True, has_boot_screen=device.request.has_boot_screen) if device in shown else device
        for device in devices
    )


def device_warnings(devices: Sequence[AssignedDevice]) -> tuple[str, ...]:
    """Name what the manifest asks of a device and libvirt cannot give: the screen of a whole PCI device."""
    return tuple(
        f"{device.request.path}.virtualGPUOptions.display: without effect: {device.address} is a whole PCI device, and "
        "libvirt shows the screen of a mediated one alone"
        for device in devices
        if device.bus is Bus.PCI and device.request.is_screen
    )
