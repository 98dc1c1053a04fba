"""Reads what a network device of this network namespace is, from the kernel itself (rtnetlink(7)).

/sys may show another namespace than the process is in, and no tool for it is in the launcher's image.
"""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Iterator

from msgspec import Struct

# include/uapi/linux/rtnetlink.h and netlink.h
_GET_LINK, _GET_ADDRESS = 18, 22
_DONE, _ERROR = 3, 2
_REQUEST, _DUMP = 0x1, 0x300
_HEADER = struct.Struct("=IHHII")
# struct ifinfomsg, struct ifaddrmsg, struct rtattr
_LINK, _ADDRESS, _ATTRIBUTE = struct.Struct("=BxHiII"), struct.Struct("=BBBBI"), struct.Struct("=HH")
# include/uapi/linux/if_link.h: of a link, of its IFLA_LINKINFO, and of a tun device's IFLA_INFO_DATA
_MAC, _LINK_INFO = 1, 18
_KIND, _DATA = 1, 2
_TUN_OWNER, _TUN_GROUP, _TUN_TYPE, _TUN_MULTI_QUEUE = 1, 2, 3, 7
_IFF_TAP = 2
# IFA_F_* do not matter: an address of the link alone (fe80::) is none that anybody could be reached by.
_SCOPE_LINK = 253
# The nest bit and the byte order's (NLA_TYPE_MASK).
_TYPE_MASK = 0x3FFF
# The kernel answers at once; a namespace with thousands of addresses takes some reads.
_TIMEOUT_S = 5.0
_READ_BYTES = 1 << 16


class Link(Struct, frozen=True, kw_only=True):
    """A network device; `kind` is the kernel's word for it (tun, bridge, macvtap, veth, ...), "" for one of hardware.

    `owner` and `group` are those who may open a tap, None for anybody.
    """

    name: str
    index: int
    kind: str = ""
    mac: str | None = None
    is_tap: bool = False
    has_queues: bool = False
    owner: int | None = None
    group: int | None = None
    has_address: bool = False

    @property
    def device_file(self) -> str | None:
        """The character device by which a macvtap is opened; of all others there is none."""
        return f"/dev/tap{self.index}" if self.kind == "macvtap" else None


def link_names() -> tuple[str, ...]:
    """Return the names of this namespace's devices."""
    return tuple(name for _index, name in socket.if_nameindex())


def read_link(name: str) -> Link | None:
    """Return what the device of this name is; None where there is none. Raises OSError where the kernel refuses."""
    try:
        index = socket.if_nametoindex(name)
    except OSError:
        return None
    request = _LINK.pack(socket.AF_UNSPEC, 0, index, 0, 0)
    for message in _ask(_GET_LINK, _REQUEST, request):
        return _link(name, index, dict(_attributes(message[_LINK.size :])))
    return None


def _link(name: str, index: int, found: dict[int, bytes]) -> Link:
    info = dict(_attributes(found.get(_LINK_INFO, b"")))
    kind = info.get(_KIND, b"").rstrip(b"\0").decode("ascii", "replace")
    tun = dict(_attributes(info.get(_DATA, b""))) if kind == "tun" else {}
    mac = found.get(_MAC)
    return Link(
        name=name,
        index=index,
        kind=kind,
        mac=None if mac is None else mac.hex(":"),
        is_tap=tun.get(_TUN_TYPE, b"\0")[0] == _IFF_TAP,
        has_queues=tun.get(_TUN_MULTI_QUEUE, b"\0")[0] == 1,
        owner=_number(tun.get(_TUN_OWNER)),
        group=_number(tun.get(_TUN_GROUP)),
        has_address=_has_address(index),
    )


def _number(data: bytes | None) -> int | None:
    return None if data is None else int.from_bytes(data[:4], "little" if struct.pack("=H", 1)[0] else "big")


def _has_address(index: int) -> bool:
    """Tell whether others can reach the device by an address of its own."""
    request = _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)
    found = [_ADDRESS.unpack_from(message) for message in _ask(_GET_ADDRESS, _REQUEST | _DUMP, request)]
    return any(owner == index and scope < _SCOPE_LINK for _family, _prefix, _flags, scope, owner in found)


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield (type, value) of each attribute; what is cut short ends it."""
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if length < _ATTRIBUTE.size:
            return
        yield kind & _TYPE_MASK, data[_ATTRIBUTE.size : length]
        data = data[(length + 3) & ~3 :]


def _ask(kind: int, flags: int, body: bytes) -> Iterator[bytes]:
    """Yield the body of each answer to one question; raises OSError where the kernel says no."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.sendto(_HEADER.pack(_HEADER.size + len(body), kind, flags, 1, 0) + body, (0, 0))
        while True:
            data = connection.recv(_READ_BYTES)
            while len(data) >= _HEADER.size:
                length, answer, _flags, _number, _port = _HEADER.unpack_from(data)
                message, data = data[_HEADER.size : length], data[(length + 3) & ~3 :]
                if answer == _DONE:
                    return
                if answer == _ERROR:
                    raise _error(message)
                yield message
                if not flags & _DUMP:
                    return


def _error(message: bytes) -> OSError:
    (number,) = struct.unpack_from("=i", message)
    return OSError(-number, os.strerror(-number))
