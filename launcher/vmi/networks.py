"""What an interface is connected to: KubeVirt's bindings and networks in this program's terms.

`passt` and `slirp` lead into the network where the launcher runs, `pod` to KubeVirt. A `multus` network names a device
that is there already: a bridge for `bridge`, a tap for the binding `tap` (a network binding plugin of KubeVirt whose
domainAttachmentType is tap). The device is what follows the @ in Multus' own notation, else the network's own name.
"""

from __future__ import annotations

import re

from launcher.vmi.guest_machine import InterfaceBackend, InterfaceModel
from launcher.vmi.schema_machine import Interface, Network

# `binding.name`: the network binding plugins that are built in.
BINDINGS = {"passt": InterfaceBackend.PASST, "slirp": InterfaceBackend.SLIRP, "tap": InterfaceBackend.TAP}

_NETWORK = re.compile(
    r"(?:[a-z0-9][a-z0-9.-]{0,252}/)?(?P<name>[A-Za-z0-9][A-Za-z0-9_.-]{0,252})(?:@(?P<device>[A-Za-z0-9][A-Za-z0-9_.-]*))?",
    re.ASCII,
)
# IFNAMSIZ of Linux (include/uapi/linux/if.h) without the final NUL.
_MAX_DEVICE = 15
_MAC = re.compile(r"[0-9a-f]{2}(?:(?P<separator>[:-])[0-9a-f]{2})(?:(?P=separator)[0-9a-f]{2}){4}", re.ASCII)


def bindings_of(interface: Interface) -> tuple[str, ...]:
    """Return the names of the bindings that are set, as the manifest has them; there should be one."""
    given = {
        "bridge": interface.bridge,
        "slirp": interface.slirp,
        "passt": interface.passt,
        "passtBinding": interface.passt_binding,
        "binding": interface.binding,
    }
    return tuple(name for name, value in given.items() if value is not None)


def backend_of(interface: Interface) -> InterfaceBackend | None:
    """Return what carries the interface's packets; None where no binding, or one that is not supported, says so."""
    if interface.binding is not None:
        return BINDINGS.get(interface.binding.name)
    if interface.bridge is not None:
        return InterfaceBackend.BRIDGE
    if interface.slirp is not None:
        return InterfaceBackend.SLIRP
    return None if not bindings_of(interface) else InterfaceBackend.PASST


def model_of(interface: Interface) -> InterfaceModel:
    """Return the model of the card: virtio where none is set (KubeVirt's pkg/defaults)."""
    return interface.model or InterfaceModel.VIRTIO


def device_of(network: Network) -> str | None:
    """Return the network device that a multus network names; None where it names none."""
    match = None if network.multus is None else _NETWORK.fullmatch(network.multus.network_name)
    device = None if match is None else match["device"] or match["name"]
    return device if device is not None and len(device) <= _MAX_DEVICE else None


def parse_mac(text: str) -> str | None:
    """Return a MAC address in lower case with colons; None where it is not that of one card (zero, or a group's)."""
    lower = text.lower()
    if not _MAC.fullmatch(lower):
        return None
    mac = lower.replace("-", ":")
    is_group = int(mac[:2], 16) & 1
    return None if is_group or mac == "00:00:00:00:00:00" else mac
