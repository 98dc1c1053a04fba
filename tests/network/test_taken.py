"""Ports that somebody else has already, told before passt would start without them."""

from __future__ import annotations

import socket
from contextlib import closing

import pytest
from msgspec.structs import replace

from launcher.errors import HypervisorError
from launcher.network.taken import check_free
from launcher.vmi.guest import Guest, GuestCPU, GuestMemory, Topology
from launcher.vmi.guest_machine import Interface, InterfaceBackend, Port, Protocol

HOLDERS = [
    ("0.0.0.0", socket.AF_INET, 0),  # noqa: S104 - as others listen
    ("127.0.0.1", socket.AF_INET, 0),
    ("::", socket.AF_INET6, 0),
    ("::", socket.AF_INET6, 1),
    ("::1", socket.AF_INET6, 1),
]


def guest(protocol: Protocol, port: int, backend: InterfaceBackend = InterfaceBackend.PASST) -> Guest:
    card = Interface(name="default", backend=backend, ports=(Port(port=port, protocol=protocol),))
    plain = Guest(name="g", cpu=GuestCPU(topology=Topology()), memory=GuestMemory(guest_bytes=1 << 28))
    return replace(plain, peripherals=replace(plain.peripherals, interfaces=(card,)))


def held(kind: socket.SocketKind, family: socket.AddressFamily, address: str, *, only: int) -> socket.socket:
    """Take a free port, as a program that listens does."""
    taken = socket.socket(family, kind)
    if family is socket.AF_INET6:
        taken.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
    taken.bind((address, 0))
    if kind is socket.SOCK_STREAM:
        taken.listen()
    return taken


@pytest.mark.parametrize("protocol", list(Protocol))
@pytest.mark.parametrize(("address", "family", "only"), HOLDERS)
def test_a_port_that_somebody_has_in_either_family_is_told(
    protocol: Protocol, address: str, family: socket.AddressFamily, only: int
) -> None:
    kind = socket.SOCK_STREAM if protocol is Protocol.TCP else socket.SOCK_DGRAM
    with closing(held(kind, family, address, only=only)) as taken:
        port = taken.getsockname()[1]
        words = f"{protocol.upper()} port {port} of the Pod cannot lead to the guest: .*: Address already in use"
        with pytest.raises(HypervisorError, match=words):
            check_free(guest(protocol, port))
        check_free(guest(protocol, port, InterfaceBackend.SLIRP))
    check_free(guest(protocol, port))


def test_a_port_of_the_other_protocol_is_free() -> None:
    with closing(held(socket.SOCK_STREAM, socket.AF_INET, "127.0.0.1", only=0)) as taken:
        check_free(guest(Protocol.UDP, taken.getsockname()[1]))
