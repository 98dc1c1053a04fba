"""Networks that Multus attaches to the launcher's Pod: their definitions, and the names of their devices in there.

Source: KubeVirt's pkg/network/multus and pkg/network/namescheme; Multus' own notation is [namespace/]name[@device].
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from launcher.vmi.guest_machine import Attachment
from launcher.vmi.schema_machine import Network

_NETWORK = re.compile(
    r"(?:(?P<namespace>[^/@]*)/)?(?P<name>[^/@]*)(?:@(?P<device>[A-Za-z0-9][A-Za-z0-9_.-]{0,14}))?", re.ASCII
)
# IFNAMSIZ of Linux (include/uapi/linux/if.h) without the final NUL, less the "-nic" that KubeVirt appends.
_HASH_DIGITS = 11


def is_secondary(network: Network) -> bool:
    """Tell whether Multus adds this network to the Pod's own; the default one it attaches instead of that."""
    return network.multus is not None and not network.multus.default


def attachment_of(network: Network, networks: Sequence[Network]) -> Attachment | None:
    """Return what this network, one of these, is in the Pod; None where it is the Pod's own, or names nothing.

    A name after the @ is the device's. Without one it is what KubeVirt asks Multus for, or what Multus calls it where
    nobody asks: net1, net2, ... in the networks' order.
    """
    match = None if network.multus is None else _NETWORK.fullmatch(network.multus.network_name)
    if match is None or not is_secondary(network):
        return None
    ordinal = 1 + [one.name for one in networks if is_secondary(one)].index(network.name)
    devices = (match["device"],) if match["device"] else (_hashed_name(network.name), f"net{ordinal}")
    return Attachment(namespace=match["namespace"], name=match["name"], devices=devices)


def _hashed_name(network: str) -> str:
    """Return KubeVirt's name for the device of the network with this name (CreateHashedNetworkNameScheme)."""
    from hashlib import sha256  # noqa: PLC0415 - only for a guest on such a network, and start-up time counts

    return f"pod{sha256(network.encode()).hexdigest()[:_HASH_DIGITS]}"


def is_network_name(text: str) -> bool:
    """Tell whether this is Multus' notation at all; the names in it are Kubernetes' to check."""
    return _NETWORK.fullmatch(text) is not None


def parts_of(text: str) -> tuple[str | None, str, str | None]:
    """Return the namespace, the name and the device of what `is_network_name`."""
    match = _NETWORK.fullmatch(text)
    return (None, text, None) if match is None else (match["namespace"], match["name"], match["device"])
