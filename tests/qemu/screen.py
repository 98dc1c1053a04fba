"""A client of a guest's screen: RFB's handshake, one whole picture, and that picture as a PNG for people."""

from __future__ import annotations

import socket
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

_SECURITY_NONE = 1
# RFC 6143, 7.5.1: true colour, 32 bits a pixel, red the lowest byte of them.
_FORMAT = struct.pack(">BxxxBBBBHHHBBBxxx", 0, 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)
_RAW = 0


@dataclass(frozen=True, kw_only=True)
class Picture:
    """What a guest shows: rows of pixels of three bytes, red, green and blue."""

    width: int
    height: int
    rows: tuple[bytes, ...]

    @property
    def colours(self) -> set[bytes]:
        return {row[start : start + 3] for row in self.rows for start in range(0, len(row), 3)}

    def lit_rows(self) -> int:
        """Return how many rows are not wholly of the first pixel's colour."""
        background = self.rows[0][:3]
        return sum(row != background * self.width for row in self.rows)

    def write_png(self, path: Path) -> None:
        """Write the picture for somebody to look at."""
        header = struct.pack(">IIBBBBB", self.width, self.height, 8, 2, 0, 0, 0)
        data = zlib.compress(b"".join(b"\0" + row for row in self.rows))
        chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, body) for name, body in chunks))


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def read_picture(screen: socket.socket) -> Picture:
    """Shake hands with a VNC server that asks for no password, and return what it shows."""
    width, height = _shake_hands(screen)
    screen.sendall(_FORMAT + struct.pack(">BxHi", 2, 1, _RAW))
    screen.sendall(struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    pixels = bytearray(width * height * 3)
    kind, rectangles = struct.unpack(">BxH", _read(screen, 4))
    assert kind == 0
    for _ in range(rectangles):
        left, top, wide, high, encoding = struct.unpack(">HHHHi", _read(screen, 12))
        assert encoding == _RAW
        for line in range(top, top + high):
            row = _read(screen, wide * 4)
            start = (line * width + left) * 3
            for colour in range(3):
                pixels[start + colour : start + wide * 3 : 3] = row[colour::4]
    rows = tuple(bytes(pixels[line * width * 3 : (line + 1) * width * 3]) for line in range(height))
    return Picture(width=width, height=height, rows=rows)


def _shake_hands(screen: socket.socket) -> tuple[int, int]:
    version = _read(screen, 12)
    assert version.startswith(b"RFB 003.")
    screen.sendall(b"RFB 003.008\n")
    kinds = _read(screen, _read(screen, 1)[0])
    assert _SECURITY_NONE in kinds
    screen.sendall(bytes([_SECURITY_NONE]))
    assert _read(screen, 4) == bytes(4)
    screen.sendall(b"\1")
    width, height, name = struct.unpack(">HH16xI", _read(screen, 24))
    _read(screen, name)
    return width, height


def _read(screen: socket.socket, length: int) -> bytes:
    data = b""
    while len(data) < length:
        found = screen.recv(length - len(data))
        assert found, "the server hung up"
        data += found
    return data
