"""What an interface is connected to: KubeVirt's bindings and networks in this program's terms.

`masquerade`, and `bridge` on the pod network, put the guest behind the Pod's address, as do `passt` and `slirp`, each
by a program of its own. A `multus` network is a NetworkAttachmentDefinition, whose device Multus has put into the
launcher's Pod (attachments.py): `bridge` puts the card on it in whatever way it allows, the bindings `tap` and
`macvtap` (network binding plugins of KubeVirt whose domainAttachmentType is tap) where it is a tap. `l2bridge`, the
plugin of OpenShift's user-defined networks (managedTap), is `bridge` but for who answers DHCP.
"""

from __future__ import annotations

import re

from launcher.vmi.attachments import is_secondary
from launcher.vmi.guest_machine import InterfaceBackend, InterfaceModel
from launcher.vmi.schema_machine import Interface, Network

# OpenShift's plugin for user-defined networks: a bridge between tap and Pod, as `bridge` has it.
L2_BRIDGE = "l2bridge"
# `binding.name`: the other network binding plugins that are built in.
BINDINGS = {
    "passt": InterfaceBackend.PASST,
    "slirp": InterfaceBackend.SLIRP,
    "tap": InterfaceBackend.TAP,
    "macvtap": InterfaceBackend.TAP,
}

# A network with room for the guest, its gateway and its name server, and QEMU's own fourth.
_LEAST_ADDRESSES = 15
_MAC = re.compile(r"[0-9a-f]{2}(?:(?P<separator>[:-])[0-9a-f]{2})(?:(?P=separator)[0-9a-f]{2}){4}", re.ASCII)


def bindings_of(interface: Interface) -> tuple[str, ...]:
    """Return the names of the bindings that are set, as the manifest has them; there should be one."""
    given = {
        "bridge": interface.bridge,
        "masquerade": interface.masquerade,
        "sriov": interface.sriov,
        "slirp": interface.slirp,
        "passt": interface.passt,
        "macvtap": interface.macvtap,
        "passtBinding": interface.passt_binding,
        "binding": interface.binding,
    }
    return tuple(name for name, value in given.items() if value is not None)


def backend_of(interface: Interface, network: Network | None) -> InterfaceBackend | None:
    """Return what carries the interface's packets; None where that is a virtual function, or no binding says it."""
    if interface.binding is not None and interface.binding.name != L2_BRIDGE:
        return BINDINGS.get(interface.binding.name)
    if interface.sriov is not None:
        return None
    if interface.bridge is not None or interface.binding is not None:
        is_on_pod = network is not None and not is_secondary(network)
        return InterfaceBackend.POD if is_on_pod else InterfaceBackend.BRIDGE
    given = {
        InterfaceBackend.POD: interface.masquerade,
        InterfaceBackend.SLIRP: interface.slirp,
        InterfaceBackend.PASST: interface.passt_binding or interface.passt,
    }
    return next((backend for backend, binding in given.items() if binding is not None), None)


def model_of(interface: Interface) -> InterfaceModel:
    """Return the model of the card: virtio where none is set (KubeVirt's pkg/defaults)."""
    return interface.model or InterfaceModel.VIRTIO


def subnet_of(text: str, version: int) -> str | None:
    """Return a network such as 10.0.2.0/24 as address/prefix; None where it is none of this version of IP."""
    if not text:
        return None
    from ipaddress import ip_network  # noqa: PLC0415 - for the few that name one, and start-up time counts

    try:
        network = ip_network(text)
    except ValueError:
        return None
    return str(network) if network.version == version and network.num_addresses > _LEAST_ADDRESSES else None


def address_of(text: str, version: int) -> str | None:
    """Return an address of this version of IP as it is written; None where it is none."""
    from ipaddress import ip_address  # noqa: PLC0415 - likewise

    try:
        address = ip_address(text)
    except ValueError:
        return None
    return str(address) if address.version == version else None


def parse_mac(text: str) -> str | None:
    """Return a MAC address in lower case with colons; None where it is not that of one card (zero, or a group's)."""
    lower = text.lower()
    if not _MAC.fullmatch(lower):
        return None
    mac = lower.replace("-", ":")
    is_group = int(mac[:2], 16) & 1
    return None if is_group or mac == "00:00:00:00:00:00" else mac
