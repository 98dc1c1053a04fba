"""Whether the Pod's ports are free for passt: it starts where it gets a port in one family of addresses alone.

QEMU's own user networking says by itself which port it cannot have.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator

from launcher.domain.names import alias_of
from launcher.errors import HypervisorError
from launcher.network.forwards import Forward, forwards_by
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import InterfaceBackend, Protocol

_KINDS = {Protocol.TCP: socket.SOCK_STREAM, Protocol.UDP: socket.SOCK_DGRAM}
_ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}  # noqa: S104 - where passt listens
# A machine may be without one of the families.
_NO_SUCH_FAMILY = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)


def check_free(guest: Guest) -> None:
    """Raise HypervisorError, a line for each, with the listed ports that passt cannot have here."""
    cards = {alias_of(one.name) for one in guest.peripherals.interfaces if one.backend is InterfaceBackend.PASST}
    found = [fault for forward in forwards_by(guest, cards) for fault in _faults(forward)]
    if found:
        raise HypervisorError("\n".join(found))


def _faults(forward: Forward) -> Iterator[str]:
    for family, address in _ANY.items():
        try:
            _try(family, address, forward)
        except OSError as error:
            if error.errno not in _NO_SUCH_FAMILY:
                yield (
                    f"{forward.protocol.upper()} port {forward.port} of the Pod cannot lead to the guest: "
                    f"{address}: {error.strerror}"
                )
                return


def _try(family: socket.AddressFamily, address: str, forward: Forward) -> None:
    with socket.socket(family, _KINDS[forward.protocol]) as tried:
        if family is socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if forward.protocol is Protocol.TCP:
            # As passt has it: what lingers of an earlier connection is in nobody's way.
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        tried.bind((address, forward.port))
        if forward.protocol is Protocol.TCP:
            # With that option a port is bound beside one that listens on it, and only not listened on.
            tried.listen(1)
