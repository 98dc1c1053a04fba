"""The admission rules of interfaces and networks.

Source: KubeVirt's admission webhook, pkg/network/admitter; what a network means here is in templates/README.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.attachments import is_secondary
from launcher.vmi.fieldpath import item, show
from launcher.vmi.guest_machine import InterfaceBackend
from launcher.vmi.networks import BINDINGS, L2_BRIDGE, backend_of, bindings_of, parse_mac, subnet_of
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, repeated
from launcher.vmi.schema_machine import Interface, Network, PodNetwork

INTERFACES = "spec.domain.devices.interfaces"
NETWORKS = "spec.networks"
_DISKS = "spec.domain.devices.disks"
_USER_BACKENDS = (InterfaceBackend.POD, InterfaceBackend.PASST, InterfaceBackend.SLIRP)
_PLUGINS = f"{', '.join((*BINDINGS, L2_BRIDGE))} as a binding's name"
# KubeVirt's (validateInterfaceNameFormat).
_NAME = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)

# Source: KubeVirt's pkg/network/admitter, validatePasstBinding (discontinued since v1.3).
_MACVTAP = "discontinued by KubeVirt; wanted binding: {name: macvtap}, with a multus network whose device is a macvtap"
_PASST = "discontinued by KubeVirt since 1.3; wanted passtBinding: {}, or binding: {name: passt}"


def _names(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    for where, named in ((INTERFACES, spec.domain.devices.interfaces), (NETWORKS, spec.networks)):
        names = [one.name for one in named]
        for index, name in enumerate(names):
            if not _NAME.fullmatch(name):
                yield Fault(f"{item(where, index)}.name", f"{show(name)} is not 1 to 63 of A-Z, a-z, 0-9, - and _")
        for index, first in repeated(names):
            yield Fault(f"{item(where, index)}.name", f"{show(names[index])} is the name of {item(where, first)}, too")


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
        given = [name for name in ("pod", "multus", "resource_claim") if getattr(network, name) is not None]
        if len(given) != 1:
            words = " and ".join(given).replace("resource_claim", "resourceClaim")
            found = f"is {words} at once" if given else "has no source"
            yield Fault(path, f"{found}; wanted pod, multus or resourceClaim")
        elif network.pod is not None:
            yield from _subnets(network.pod, f"{path}.pod")


def _subnets(pod: PodNetwork, path: str) -> Iterator[Fault]:
    """Check the networks that the guest is to see; a small one has no room for what is in it."""
    for name, text, version, example in (
        ("vmNetworkCIDR", pod.vm_network_cidr, 4, "10.0.2.0/24"),
        ("vmIPv6NetworkCIDR", pod.vm_ipv6_network_cidr, 6, "fd10:0:2::/120"),
    ):
        if text and subnet_of(text, version) is None:
            yield Fault(f"{path}.{name}", f"{show(text)} is not a network of 16 addresses or more such as {example}")


def _bindings(subject: Subject) -> Iterator[Fault]:
    networks = {network.name: network for network in subject.vmi.spec.networks}
    for index, interface in enumerate(subject.vmi.spec.domain.devices.interfaces):
        path = item(INTERFACES, index)
        network = networks.get(interface.name)
        yield from _binding(interface, network, path)
        backend = backend_of(interface, network)
        if backend is not None and network is not None:
            yield from _connection(backend, network, path)


def _binding(interface: Interface, network: Network | None, path: str) -> Iterator[Fault]:
    given = bindings_of(interface)
    if not given:
        yield Fault(path, f"has no binding; wanted masquerade, bridge, sriov or slirp, or {_PLUGINS}")
    elif len(given) > 1:
        yield Fault(path, f"is {' and '.join(given)} at once; wanted one of them")
    elif interface.passt is not None:
        yield Fault(f"{path}.passt", _PASST)
    elif interface.macvtap is not None:
        yield Fault(f"{path}.macvtap", _MACVTAP)
    elif backend_of(interface, network) is None and interface.binding is not None:
        yield Fault(
            f"{path}.binding.name",
            f"{show(interface.binding.name)} is a plugin that an administrator adds to KubeVirt, and is not here; "
            f"wanted {', '.join((*BINDINGS, L2_BRIDGE))}, or masquerade: {{}}",
        )


def _connection(backend: InterfaceBackend, network: Network, path: str) -> Iterator[Fault]:
    if backend in _USER_BACKENDS and is_secondary(network):
        binding = "masquerade" if backend is InterfaceBackend.POD else backend
        yield Fault(path, f"{binding} leads into the pod network, and its network is multus; wanted bridge or tap")
    elif backend not in _USER_BACKENDS and not is_secondary(network):
        yield Fault(path, f"{backend} needs a multus network; for the Pod's own network wanted masquerade")


def _ports(subject: Subject) -> Iterator[Fault]:
    interfaces = subject.vmi.spec.domain.devices.interfaces
    ports = [
        (f"{item(INTERFACES, index)}.ports[{number}]", port)
        for index, interface in enumerate(interfaces)
        for number, port in enumerate(interface.ports)
    ]
    cards = [index for index, interface in enumerate(interfaces) for _ in interface.ports]
    for index, first in repeated([(port.protocol, port.port) for _, port in ports]):
        # Twice to one card, by two names, is once.
        if cards[index] == cards[first]:
            continue
        yield Fault(ports[index][0], f"{ports[index][1].protocol} {ports[index][1].port} is {ports[first][0]}, too")
    for path, port in ports:
        if port.name:
            yield from faults_at(f"{path}.name", label_fault(port.name))
    for index, first in repeated([port.name or None for _, port in ports]):
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
    indices = [interface.acpi_index or None for interface in subject.vmi.spec.domain.devices.interfaces]
    for index, first in repeated(indices):
        yield Fault(
            f"{item(INTERFACES, index)}.acpiIndex", f"{indices[index]} is that of {item(INTERFACES, first)}, too"
        )


_BINDINGS = ("macvtap", "bridge", "masquerade", "sriov", "slirp", "passt", "passtBinding", "binding")
# A former binding is told of where it stands.
_FIELDS = tuple(f"{INTERFACES}[].{name}" for name in _BINDINGS)

NETWORK_RULES = (
    Rule(reads=(f"{INTERFACES}[].name", f"{NETWORKS}[].name"), check=_names),
    Rule(reads=(f"{INTERFACES}[].name", f"{NETWORKS}[].name"), check=_pairs),
    Rule(reads=(NETWORKS,), check=_networks),
    Rule(reads=(*_FIELDS, f"{INTERFACES}[].name", NETWORKS), check=_bindings),
    Rule(reads=(f"{INTERFACES}[].ports",), check=_ports),
    Rule(reads=(f"{INTERFACES}[].macAddress",), check=_macs),
    Rule(reads=(f"{INTERFACES}[].bootOrder", f"{_DISKS}[].bootOrder"), check=_boot_orders),
    Rule(reads=(f"{INTERFACES}[].acpiIndex",), check=_acpi_indices),
)
