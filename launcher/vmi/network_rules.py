"""The admission rules of interfaces and networks.

Source: KubeVirt's admission webhook, pkg/network/admitter; what a network means here is in templates/README.md.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import item, show
from launcher.vmi.guest_machine import InterfaceBackend, InterfaceModel
from launcher.vmi.networks import BINDINGS, backend_of, bindings_of, device_of, model_of, parse_mac
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, list_name_faults, repeated
from launcher.vmi.schema_machine import Interface, Network

INTERFACES = "spec.domain.devices.interfaces"
NETWORKS = "spec.networks"
_MULTIQUEUE = "spec.domain.devices.networkInterfaceMultiqueue"
_DISKS = "spec.domain.devices.disks"
_USER_BACKENDS = (InterfaceBackend.PASST, InterfaceBackend.SLIRP)
_PLUGINS = f"{', '.join(BINDINGS)} as a binding's name"


def _names(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    for where, named in ((INTERFACES, spec.domain.devices.interfaces), (NETWORKS, spec.networks)):
        yield from list_name_faults(where, [one.name for one in named])


def _pairs(subject: Subject) -> Iterator[Fault]:
    interfaces, networks = subject.vmi.spec.domain.devices.interfaces, subject.vmi.spec.networks
    interface_names, network_names = {one.name for one in interfaces}, {one.name for one in networks}
    for index, interface in enumerate(interfaces):
        if interface.name not in network_names:
            yield Fault(f"{item(INTERFACES, index)}.name", f"no network is called {show(interface.name)} ({NETWORKS})")
    for index, network in enumerate(networks):
        if network.name not in interface_names:
            yield Fault(f"{item(NETWORKS, index)}.name", f"no interface is called {show(network.name)} ({INTERFACES})")


def _networks(subject: Subject) -> Iterator[Fault]:
    for index, network in enumerate(subject.vmi.spec.networks):
        path = item(NETWORKS, index)
        if (network.pod is None) == (network.multus is None):
            found = "has no source" if network.pod is None else "is pod and multus at once"
            yield Fault(path, f"{found}; wanted pod or multus")
        elif network.multus is not None and device_of(network) is None:
            yield Fault(
                f"{path}.multus.networkName",
                f"{show(network.multus.network_name)} names no network device of 1 to 15 characters; "
                "wanted [namespace/]name[@device]",
            )


def _bindings(subject: Subject) -> Iterator[Fault]:
    networks = {network.name: network for network in subject.vmi.spec.networks}
    for index, interface in enumerate(subject.vmi.spec.domain.devices.interfaces):
        path = item(INTERFACES, index)
        yield from _binding(interface, path)
        backend, network = backend_of(interface), networks.get(interface.name)
        if backend is not None and network is not None:
            yield from _connection(backend, network, path)


def _binding(interface: Interface, path: str) -> Iterator[Fault]:
    given = bindings_of(interface)
    if not given:
        yield Fault(path, f"has no binding; wanted passt, slirp or bridge, or {_PLUGINS}")
    elif len(given) > 1:
        yield Fault(path, f"is {' and '.join(given)} at once; wanted one of them")
    elif backend_of(interface) is None and interface.binding is not None:
        yield Fault(
            f"{path}.binding.name", f"{show(interface.binding.name)} is not supported; wanted {', '.join(BINDINGS)}"
        )


def _connection(backend: InterfaceBackend, network: Network, path: str) -> Iterator[Fault]:
    if backend in _USER_BACKENDS and network.multus is not None:
        yield Fault(path, f"{backend} leads into the pod network, and its network is multus; wanted bridge or tap")
    elif backend not in _USER_BACKENDS and network.pod is not None:
        yield Fault(
            path,
            f"{backend} needs a multus network that names its device; for the pod network wanted passt or slirp",
        )


def _ports(subject: Subject) -> Iterator[Fault]:
    interfaces = subject.vmi.spec.domain.devices.interfaces
    ports = [
        (f"{item(INTERFACES, index)}.ports[{number}]", port)
        for index, interface in enumerate(interfaces)
        for number, port in enumerate(interface.ports)
    ]
    for index, interface in enumerate(interfaces):
        backend = backend_of(interface)
        if interface.ports and backend is not None and backend is not InterfaceBackend.PASST:
            yield Fault(f"{item(INTERFACES, index)}.ports", f"{backend} forwards no port; wanted passt")
    for index, first in repeated([(port.protocol, port.port) for _, port in ports]):
        yield Fault(ports[index][0], f"{ports[index][1].protocol} {ports[index][1].port} is {ports[first][0]}, too")
    for path, port in ports:
        if port.name is not None:
            yield from faults_at(f"{path}.name", label_fault(port.name))
    for index, first in repeated([port.name for _, port in ports]):
        yield Fault(f"{ports[index][0]}.name", f"{show(ports[index][1].name)} is the name of {ports[first][0]}, too")


def _macs(subject: Subject) -> Iterator[Fault]:
    macs = [
        None if one.mac_address is None else parse_mac(one.mac_address)
        for one in subject.vmi.spec.domain.devices.interfaces
    ]
    for index, interface in enumerate(subject.vmi.spec.domain.devices.interfaces):
        if interface.mac_address is not None and macs[index] is None:
            yield Fault(
                f"{item(INTERFACES, index)}.macAddress",
                f"{show(interface.mac_address)} is not the MAC address of one card such as 52:54:00:12:34:56",
            )
    for index, first in repeated(macs):
        yield Fault(f"{item(INTERFACES, index)}.macAddress", f"{macs[index]} is that of {item(INTERFACES, first)}, too")


def _boot_orders(subject: Subject) -> Iterator[Fault]:
    """Tell which of the disks and interfaces have the same place in the boot order, for they share it."""
    devices = subject.vmi.spec.domain.devices
    ordered = [
        *((item(_DISKS, index), disk.boot_order) for index, disk in enumerate(devices.disks)),
        *((item(INTERFACES, index), interface.boot_order) for index, interface in enumerate(devices.interfaces)),
    ]
    for index, first in repeated([order for _, order in ordered]):
        path, order = ordered[index]
        yield Fault(f"{path}.bootOrder", f"{order} is the boot order of {ordered[first][0]}, too")


def _acpi_indices(subject: Subject) -> Iterator[Fault]:
    indices = [interface.acpi_index for interface in subject.vmi.spec.domain.devices.interfaces]
    for index, first in repeated(indices):
        yield Fault(
            f"{item(INTERFACES, index)}.acpiIndex", f"{indices[index]} is that of {item(INTERFACES, first)}, too"
        )


def _multiqueue(subject: Subject) -> Iterator[Fault]:
    devices = subject.vmi.spec.domain.devices
    if not devices.network_interface_multiqueue:
        return
    if not any(
        model_of(one) is InterfaceModel.VIRTIO and backend_of(one) not in _USER_BACKENDS for one in devices.interfaces
    ):
        yield Fault(_MULTIQUEUE, "has no effect without a virtio interface on a bridge or a tap")


_FIELDS = tuple(f"{INTERFACES}[].{name}" for name in ("bridge", "slirp", "passt", "passtBinding", "binding"))

NETWORK_RULES = (
    Rule(reads=(f"{INTERFACES}[].name", f"{NETWORKS}[].name"), check=_names),
    Rule(reads=(f"{INTERFACES}[].name", f"{NETWORKS}[].name"), check=_pairs),
    Rule(reads=(NETWORKS,), check=_networks),
    Rule(reads=(*_FIELDS, f"{INTERFACES}[].name", NETWORKS), check=_bindings),
    Rule(reads=(*_FIELDS, f"{INTERFACES}[].ports"), check=_ports),
    Rule(reads=(f"{INTERFACES}[].macAddress",), check=_macs),
    Rule(reads=(f"{INTERFACES}[].bootOrder", f"{_DISKS}[].bootOrder"), check=_boot_orders),
    Rule(reads=(f"{INTERFACES}[].acpiIndex",), check=_acpi_indices),
    Rule(reads=(_MULTIQUEUE, *_FIELDS, f"{INTERFACES}[].model"), check=_multiqueue),
)
