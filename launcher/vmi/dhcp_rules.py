"""The admission rules of what an interface wishes of KubeVirt's DHCP server, and of its state.

Source: KubeVirt's pkg/network/admitter (netiface.go, admit.go).
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.attachments import is_secondary
from launcher.vmi.fieldpath import item, show
from launcher.vmi.networks import address_of
from launcher.vmi.rules import Rule, Subject, repeated
from launcher.vmi.schema_machine import DHCPOptions

_INTERFACES = "spec.domain.devices.interfaces"
_NETWORKS = "spec.networks"
# RFC 3942: those of sites.
_PRIVATE = range(224, 255)


def _options(subject: Subject) -> Iterator[Fault]:
    for index, interface in enumerate(subject.vmi.spec.domain.devices.interfaces):
        if interface.dhcp_options is not None:
            yield from _wishes(interface.dhcp_options, f"{item(_INTERFACES, index)}.dhcpOptions")


def _wishes(options: DHCPOptions, path: str) -> Iterator[Fault]:
    for index, server in enumerate(options.ntp_servers):
        if address_of(server, 4) is None:
            yield Fault(f"{path}.ntpServers[{index}]", f"{show(server)} is not an IPv4 address")
    numbers = [private.option for private in options.private_options]
    for index, number in enumerate(numbers):
        if number not in _PRIVATE:
            yield Fault(f"{path}.privateOptions[{index}].option", f"{number} is not from 224 to 254")
    for index, first in repeated(numbers):
        yield Fault(
            f"{path}.privateOptions[{index}].option", f"{numbers[index]} is that of privateOptions[{first}], too"
        )


def _states(subject: Subject) -> Iterator[Fault]:
    networks = {network.name: network for network in subject.vmi.spec.networks}
    for index, interface in enumerate(subject.vmi.spec.domain.devices.interfaces):
        network = networks.get(interface.name)
        if interface.state != "absent" or (interface.sriov is not None and network is not None):
            continue
        if interface.bridge is None or (network is not None and not is_secondary(network)):
            yield Fault(
                f"{item(_INTERFACES, index)}.state",
                "only a card on a bridge to a multus network can be absent; take interface and network out",
            )


DHCP_RULES = (
    Rule(reads=(f"{_INTERFACES}[].dhcpOptions",), check=_options),
    Rule(reads=(_INTERFACES, _NETWORKS), check=_states),
)
