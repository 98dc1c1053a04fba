"""The smallest guest that shuts down in order: a boot sector that waits for ACPI's power button.

Linux takes minutes to boot in a guest of an emulated node, and 2.5 s of CPU time here. This one is up as soon as the
firmware has read its disk, or has it of QEMU in the form of a Linux kernel, which takes a tenth of a second.

It listens to the serial console, too: `1` has every vCPU run a loop without end, `0` has them rest again. All but the
first are started and stopped as firmware does it, by INIT and startup interrupts, written to the interrupt command
register of the local APIC (Intel's manual, volume 3, "Local APIC").
"""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path

READY = "sector: ready"
POWERED_OFF = "sector: powering off"
IGNORED = "sector: power button pressed, ignored"
RESETS = "sector: resetting"
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
# Intel's reset control register: a full reset.
_RESET_CONTROL, _FULL_RESET = 0xCF9, 0x06
# Page directory: present, writable, of 4 MiB each.
_DIRECTORY_AT, _BIG_PAGE, _PAGING = 0x10000, 0x83, 1 << 31
_HALT = b"\xfb\xf4"
_NUMERALS = "abcdefghijklmnop"
_NEW_LINE = b"\r\n"
# Read the key that has come, and write it (dh is the serial port's already).
_ECHO = b"\xb2\xf8\xec\xee"
# Write a byte once the serial port takes one (push ax; in al,dx; test; jnz; sti; hlt; jmp; pop ax; out; ret).
_SEND = b"\x50\xba\xfd\x03\xec\xa8\x20\x75\x04" + _HALT + b"\xeb\xf7\x58\xb2\xf8\xee\xc3"
# Have the timer's interrupt end a halt a thousand times a second (Intel's 8254: channel 0, its rate divided by 1193).
_OFTEN = b"\xb0\x34\xe6\x43\xb0\xa9\xe6\x40\xb0\x04\xe6\x40"
# Count in ebp, and write the number again and again, from its highest four bits on: 0 is `a`, 15 is `p`.
_DIGITS = 56
LINE_BYTES = _DIGITS + len(_NEW_LINE)
_COUNT = b"\x66\x45\x66\x89\xe8\xb9" + struct.pack("<H", _DIGITS)
_DIGIT = b"\x66\xc1\xc0\x04\x66\x50\x24\x0f\x04\x61\xe8\x11\x00\x66\x58\xe2\xef"
_LINE = _COUNT + _DIGIT + b"\xb0\x0d\xe8\x08\x00\xb0\x0a\xe8\x03\x00"
_TALK = b"\xb2\xf8\xec" + _OFTEN + b"\x66\x31\xed" + _LINE + b"\xe9" + struct.pack("<h", -(len(_LINE) + 3)) + _SEND
# Segment 8: all of memory, for data.
_DESCRIPTORS = bytes(8) + bytes.fromhex("ffff000000 92cf00")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sector:
    """What the guest does besides: the memory that it writes to, and after how many ticks it ends (0: when told to).

    One that is deaf says of the power button that it is pressed, and goes on. One that echoes sends back what it reads
    on its console, as a terminal would, and is never busy; one that talks writes numbered lines from the first key on,
    without end, and heeds nothing any more. One that resets itself does so instead of powering off. One that is silent
    does not say that it is ready.
    """

    memory_bytes: int = 0
    ticks: int = 0
    is_deaf: bool = False
    echoes: bool = False
    talks: bool = False
    resets: bool = False
    is_silent: bool = False


def boot_sector(sector: Sector = Sector()) -> bytes:
    """Return the sector: announce yourself, look at the keys and the button from tick to tick, switch off."""
    announced = b"" if sector.is_silent else READY.encode() + _NEW_LINE
    texts = [announced + b"\0", _last_words(sector).encode() + _NEW_LINE + b"\0"]
    length = len(_code(sector, 0, 0, 0))
    ready, pressed = _ORIGIN + length, _ORIGIN + length + len(texts[0])
    pointer = pressed + len(texts[1])
    code = _code(sector, ready, pressed, pointer)
    descriptors = struct.pack("<HI", len(_DESCRIPTORS) - 1, pointer + 6) + _DESCRIPTORS
    whole = (code + b"".join(texts) + descriptors).ljust(_SECTOR_BYTES - 2, b"\0") + b"\x55\xaa"
    assert len(whole) == _SECTOR_BYTES, "it does more than a sector has room for"
    return whole


def boot_kernel(sector: Sector = Sector()) -> bytes:
    """Return the sector as a kernel that QEMU hands to the firmware, which needs no disk.

    Of Linux's boot protocol (Documentation/arch/x86/boot.rst) it has what QEMU looks at: a header of version 2.03, two
    sectors of set-up after the first, and a kernel, which nobody calls. The set-up begins 512 bytes after ds:0; it
    brings the sector to where firmware would, and goes there.
    """
    header = bytearray(_SECTOR_BYTES + 0x40)
    # How many sectors the set-up has; jump over the header; loaded high; the initial file system's highest address.
    for at, field in ((0x1F1, b"\x02"), (0x1FE, b"\x55\xaa\xeb\x3eHdrS\x03\x02"), (0x211, b"\x01")):
        header[at : at + len(field)] = field
    header[0x22C:0x230] = struct.pack("<I", 0x37FFFFFF)
    # cld; xor ax,ax; mov es,ax; mov di,origin; mov si,1024; mov cx,256; rep movsw; jmp 0:origin
    move = b"\xfc\x31\xc0\x8e\xc0\xbf" + struct.pack("<H", _ORIGIN) + b"\xbe\x00\x04\xb9\x00\x01\xf3\xa5"
    go = b"\xea" + struct.pack("<HH", _ORIGIN, 0)
    return (bytes(header) + move + go).ljust(2 * _SECTOR_BYTES, b"\0") + boot_sector(sector) + bytes(_SECTOR_BYTES)


def number_of(line: str) -> int | None:
    """Return the number of a line that a guest that talks has written, None where the line is not one, or not whole."""
    first = line[:8]
    if line != first * (_DIGITS // 8) or not set(first) <= set(_NUMERALS):
        return None
    return sum(_NUMERALS.index(digit) << 4 * place for place, digit in enumerate(reversed(first)))


def _last_words(sector: Sector) -> str:
    if sector.is_deaf:
        return IGNORED
    return RESETS if sector.resets else POWERED_OFF


def _code(sector: Sector, ready: int, pressed: int, pointer: int) -> bytes:
    # bl is 1 while the vCPUs are to be busy; edi is where interrupts are sent.
    begin = b"\x31\xc0\x8e\xd8\x31\xdb" + b"\xc7\x06" + struct.pack("<HH", _LOOP_AT, _LOOP)
    begin += b"\x66\xbf" + struct.pack("<I", _INTERRUPT_COMMAND)
    begin += _mov_dx(_PM1_ENABLE) + _mov_ax(_POWER_BUTTON) + b"\xef"
    # The timer's interrupt ends a halt 18 times a second.
    rest = b"\x84\xdb\x75\x02" + _HALT
    answer = _ECHO if sector.echoes else _TALK if sector.talks else _answer(pointer)
    key = _mov_dx(_LINE_STATUS) + b"\xec\xa8\x01\x74" + struct.pack("b", len(answer)) + answer
    button = _mov_dx(_PM1_STATUS) + b"\xed\xf6\xc4" + bytes([_POWER_BUTTON >> 8])
    turn = rest + key + button
    again = b"\x0f\x84" + struct.pack("<h", -(len(turn) + 4))
    if sector.memory_bytes:
        begin += _write_memory(sector.memory_bytes, pointer)
    # mov cx, ticks; sti; hlt; loop
    wait = b"\xb9" + struct.pack("<H", sector.ticks) + _HALT + b"\xe2\xfc" if sector.ticks else turn + again
    told = wait + _print(pressed)
    return begin + _print(ready) + told + (_go_on(len(told)) if sector.is_deaf else _end(sector))


def _go_on(length: int) -> bytes:
    """Take the button's event as seen, by writing its bit (ACPI, "PM1 Event Registers"), and go back so many bytes."""
    seen = _mov_dx(_PM1_STATUS) + _mov_ax(_POWER_BUTTON) + b"\xef"
    return seen + b"\xe9" + struct.pack("<h", -(length + len(seen) + 3))


def _end(sector: Sector) -> bytes:
    if sector.resets:
        return _mov_dx(_RESET_CONTROL) + b"\xb0" + bytes([_FULL_RESET]) + b"\xee\xf4"
    return _mov_dx(_PM1_CONTROL) + _mov_ax(_SLEEP) + b"\xef\xf4"


def _write_memory(memory_bytes: int, pointer: int) -> bytes:
    """Write to each page from 1 MiB on, through fs in protected mode; it is seen through pages of 4 MiB.

    The board q35 puts what goes beyond 2 GiB above 4 GiB: the directory's second half leads there (PSE-36, which has
    bits 32 to 39 of an address in its bits 13 to 20). A guest that has no second half has all of it below.
    """
    table = (
        b"\x66\xb8"
        + struct.pack("<I", _DIRECTORY_AT)
        + b"\x0f\x22\xd8"
        + b"\xb8"
        + struct.pack("<H", _DIRECTORY_AT >> 4)
    )
    table += b"\x8e\xc0\x31\xff" + _half(_BIG_PAGE) + _half(_BIG_PAGE | 1 << 13)
    paging = b"\x0f\x20\xe0\x0c\x10\x0f\x22\xe0" + b"\xfa\x0f\x01\x16" + struct.pack("<H", pointer)
    paging += b"\x0f\x20\xc0\x66\x0d" + struct.pack("<I", _PAGING | 1) + b"\x0f\x22\xc0"
    write = b"\x64\x67\x66\x89\x3f" + b"\x66\x81\xc7" + struct.pack("<I", 4096) + b"\x66\x39\xef"
    loop = b"\x66\xbf" + struct.pack("<I", 1 << 20) + b"\x66\xbd" + struct.pack("<I", memory_bytes)
    loop += write + b"\x72" + struct.pack("b", -(len(write) + 2))
    leave = b"\x0f\x20\xc0\x66\x25" + struct.pack("<I", ~(_PAGING | 1) & 0xFFFFFFFF) + b"\x0f\x22\xc0"
    # The address of the interrupt command register, which the rest wants there.
    return (
        table + paging + _mov_dx(8) + b"\x8e\xe2" + loop + leave + b"\x66\xbf" + struct.pack("<I", _INTERRUPT_COMMAND)
    )


def _half(first: int) -> bytes:
    """Fill 512 entries of the directory, beginning with this one (stosd; add eax, 4 MiB; loop)."""
    body = b"\x66\xab\x66\x05" + struct.pack("<I", 4 << 20)
    return (
        b"\x66\xb8" + struct.pack("<I", first) + b"\xb9\x00\x02" + body + b"\xe2" + struct.pack("b", -(len(body) + 2))
    )


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


def make_disk(path: Path, kind: str, sector: Sector = Sector()) -> None:
    """Write a disk of 1 MiB that boots, as raw or qcow2, readable and writable for everybody."""
    raw = path.with_suffix(".sector")
    raw.write_bytes(boot_sector(sector).ljust(1 << 20, b"\0"))
    subprocess.run(["qemu-img", "convert", "-O", kind, str(raw), str(path)], check=True)
    raw.unlink()
    path.chmod(0o666)
