"""The smallest guest that shuts down in order: a boot sector that waits for ACPI's power button.

Linux takes minutes to boot in a guest of an emulated node. This one is up as soon as the firmware has read its disk.
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

READY = "sector: ready"
POWERED_OFF = "sector: powering off"

# Where QEMU's firmware puts ACPI's registers, and its first serial port.
_PM1_STATUS, _PM1_ENABLE, _PM1_CONTROL = 0x600, 0x602, 0x604
_SERIAL = 0x3F8
_POWER_BUTTON, _SLEEP = 1 << 8, 1 << 13
_ORIGIN, _SECTOR_BYTES = 0x7C00, 512
_XOR_AX_AX, _MOV_DS_AX, _STI, _HLT = b"\x31\xc0", b"\x8e\xd8", b"\xfb", b"\xf4"
_IN_AX_DX, _OUT_DX_AX = b"\xed", b"\xef"


def boot_sector() -> bytes:
    """Return the sector, in 8086 code: announce yourself, wait for the button from tick to tick, switch off."""
    begin = _XOR_AX_AX + _MOV_DS_AX
    enable = _mov_dx(_PM1_ENABLE) + _mov_ax(_POWER_BUTTON) + _OUT_DX_AX
    # The timer's interrupt ends the halt 18 times a second; then the button's bit is looked at (test ah; jz).
    look = _STI + _HLT + _mov_dx(_PM1_STATUS) + _IN_AX_DX + b"\xf6\xc4" + bytes([_POWER_BUTTON >> 8])
    wait = look + b"\x74" + _back_over(len(look) + 2)
    off = _mov_dx(_PM1_CONTROL) + _mov_ax(_SLEEP) + _OUT_DX_AX + _HLT
    length = len(begin + enable + wait + off) + 2 * len(_print(0))
    texts = [f"{text}\r\n\0".encode() for text in (READY, POWERED_OFF)]
    first = _ORIGIN + length
    code = begin + enable + _print(first) + wait + _print(first + len(texts[0])) + off
    return (code + b"".join(texts)).ljust(_SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"


def _mov_dx(value: int) -> bytes:
    return b"\xba" + struct.pack("<H", value)


def _mov_ax(value: int) -> bytes:
    return b"\xb8" + struct.pack("<H", value)


def _back_over(count: int) -> bytes:
    return struct.pack("b", -count)


def _print(address: int) -> bytes:
    """Write the text at this address, which ends with a zero, to the serial port (lodsb; test al; jz; out; jmp)."""
    return b"\xbe" + struct.pack("<H", address) + _mov_dx(_SERIAL) + b"\xac\x84\xc0\x74\x03\xee\xeb\xf8"


def make_disk(path: Path, kind: str) -> None:
    """Write a disk of 1 MiB that boots, as raw or qcow2, readable and writable for everybody."""
    raw = path.with_suffix(".sector")
    raw.write_bytes(boot_sector().ljust(1 << 20, b"\0"))
    subprocess.run(["qemu-img", "convert", "-O", kind, str(raw), str(path)], check=True)
    raw.unlink()
    path.chmod(0o666)
