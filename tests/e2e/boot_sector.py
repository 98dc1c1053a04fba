"""The smallest guest that shuts down in order: a boot sector that waits for ACPI's power button.

Linux takes minutes to boot in a guest of an emulated node. This one is up as soon as the firmware has read its disk.

It listens to the serial console, too: `1` has every vCPU run a loop without end, `0` has them rest again. All but the
first are started and stopped as firmware does it, by INIT and startup interrupts, written to the interrupt command
register of the local APIC (Intel's manual, volume 3, "Local APIC").
"""

from __future__ import annotations

import struct
import subprocess
from pathlib import Path

READY = "sector: ready"
POWERED_OFF = "sector: powering off"
BUSY, AT_REST = "1", "0"

# Where QEMU's firmware puts ACPI's registers, and its first serial port.
_PM1_STATUS, _PM1_ENABLE, _PM1_CONTROL = 0x600, 0x602, 0x604
_SERIAL, _LINE_STATUS = 0x3F8, 0x3FD
_POWER_BUTTON, _SLEEP = 1 << 8, 1 << 13
_INTERRUPT_COMMAND = 0xFEE00300
# To all but the sender; a vCPU that is started begins at the page whose number is in the lowest byte.
_INIT, _START = 0x000C4500, 0x000C4608
_LOOP_AT, _LOOP = 0x8000, 0xFEEB
_ORIGIN, _SECTOR_BYTES = 0x7C00, 512
_HALT = b"\xfb\xf4"
# Segment 8: all of memory, for data.
_DESCRIPTORS = bytes(8) + bytes.fromhex("ffff000000 92cf00")


def boot_sector() -> bytes:
    """Return the sector: announce yourself, look at the keys and the button from tick to tick, switch off."""
    texts = [f"{text}\r\n\0".encode() for text in (READY, POWERED_OFF)]
    length = len(_code(0, 0, 0))
    ready, off = _ORIGIN + length, _ORIGIN + length + len(texts[0])
    pointer = off + len(texts[1])
    code = _code(ready, off, pointer)
    descriptors = struct.pack("<HI", len(_DESCRIPTORS) - 1, pointer + 6) + _DESCRIPTORS
    return (code + b"".join(texts) + descriptors).ljust(_SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"


def _code(ready: int, off: int, pointer: int) -> bytes:
    # bl is 1 while the vCPUs are to be busy; edi is where interrupts are sent.
    begin = b"\x31\xc0\x8e\xd8\x31\xdb" + b"\xc7\x06" + struct.pack("<HH", _LOOP_AT, _LOOP)
    begin += b"\x66\xbf" + struct.pack("<I", _INTERRUPT_COMMAND)
    begin += _mov_dx(_PM1_ENABLE) + _mov_ax(_POWER_BUTTON) + b"\xef"
    # The timer's interrupt ends a halt 18 times a second.
    rest = b"\x84\xdb\x75\x02" + _HALT
    answer = _answer(pointer)
    key = _mov_dx(_LINE_STATUS) + b"\xec\xa8\x01\x74" + struct.pack("b", len(answer)) + answer
    button = _mov_dx(_PM1_STATUS) + b"\xed\xf6\xc4" + bytes([_POWER_BUTTON >> 8])
    turn = rest + key + button
    again = b"\x0f\x84" + struct.pack("<h", -(len(turn) + 4))
    end = _mov_dx(_PM1_CONTROL) + _mov_ax(_SLEEP) + b"\xef\xf4"
    return begin + _print(ready) + turn + again + _print(off) + end


def _answer(pointer: int) -> bytes:
    """Take the key's lowest bit as the wish, stop the other vCPUs, and start them if it is wished."""
    take = b"\xb2\xf8\xec\x24\x01\x88\xc3"
    start = _HALT + _send(_START, pointer)
    return take + _send(_INIT, pointer) + b"\x84\xdb\x74" + struct.pack("b", len(start)) + start


def _send(command: int, pointer: int) -> bytes:
    """Write to the interrupt command register: through fs, which is given all of memory in protected mode for that."""
    enter = b"\xfa\x0f\x01\x16" + struct.pack("<H", pointer) + b"\x0f\x20\xc0\x0c\x01\x0f\x22\xc0"
    load = _mov_dx(8) + b"\x8e\xe2"
    leave = b"\x24\xfe\x0f\x22\xc0"
    return enter + load + leave + b"\x64\x67\x66\xc7\x07" + struct.pack("<I", command)


def _mov_dx(value: int) -> bytes:
    return b"\xba" + struct.pack("<H", value)


def _mov_ax(value: int) -> bytes:
    return b"\xb8" + struct.pack("<H", value)


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
