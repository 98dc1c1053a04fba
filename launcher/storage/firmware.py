"""Files that QEMU's firmware shows to the guest: Ignition's data, and the ACPI tables that a Secret brings.

They are written beside the guest's discs, where QEMU reads them once: libvirt would escape such a text on the command
line, and a mounted Secret may change its files, or lead elsewhere, until QEMU opens them.
"""

from __future__ import annotations

from collections.abc import Iterator
from posixpath import join

from launcher.errors import Fault
from launcher.storage.discs import Files
from launcher.storage.files import Unusable, is_folder, read_inside
from launcher.storage.layout import IGNITION_FILE, Mounts
from launcher.vmi.guest import ACPITable, Guest

# An ACPI table says its length in 32 bits, and a licence has some hundred bytes; the firmware has to hold them all.
_MOST_TABLE_BYTES = 64 << 10
# The length of the header that every ACPI table begins with (ACPI 6.5, 5.2.6).
_HEADER_BYTES = 36


def firmware_files(guest: Guest, mounts: Mounts) -> tuple[Files, tuple[Fault, ...]]:
    """Return the names and bytes of these files, and what is wrong with those that cannot be had."""
    files: list[tuple[str, bytes]] = [(IGNITION_FILE, guest.ignition.encode())] if guest.has_ignition else []
    faults: list[Fault] = []
    for table in guest.acpi_tables:
        try:
            files.append((table.file, _table(table, guest, mounts)))
        except Unusable as error:
            faults.append(Fault(f"spec.domain.firmware.acpi.{table.kind}NameRef", str(error)))
    return tuple(files), tuple(faults)


def _table(table: ACPITable, guest: Guest, mounts: Mounts) -> bytes:
    """Read the table from the mounted Secret, else from the one that stands beside the machine."""
    folder = join(mounts.secrets, table.volume)
    if is_folder(folder):
        data = read_inside(folder, table.file, at_most_bytes=_MOST_TABLE_BYTES)
    else:
        data = dict(_beside(table, guest, folder)).get(table.file, b"")
    if len(data) < _HEADER_BYTES or data[:4] != table.kind.upper().encode():
        raise Unusable(f"{join(folder, table.file)!r} is no ACPI table {table.kind.upper()}")
    return data


def _beside(table: ACPITable, guest: Guest, folder: str) -> Iterator[tuple[str, bytes]]:
    found = guest.files_beside(table.object_name, "Secret")
    if found is None:
        raise Unusable(f"{folder!r} is not there: is the secret mounted?")
    yield from found
