"""What the firmware shows to the guest: Ignition's data and ACPI tables, written where QEMU alone reads them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from msgspec.structs import replace

from launcher.errors import Fault, InvalidVMI
from launcher.storage.prepare import prepare_storage, remove_storage
from launcher.vmi.guest import ACPITable, Guest, TableKind
from launcher.vmi.guest_storage import BesideObject
from tests.storage.guests import GUEST, mounts_of, write

DATA = '{"ignition": {"version": "3.4.0"}, "passwd": "<&>\'"}'
LICENCE = b"SLIC" + bytes(range(32)) + b"licence"
IGNITED = replace(GUEST, ignition=DATA)
LICENSED = replace(GUEST, acpi_tables=(ACPITable(kind=TableKind.SLIC, volume="lic", object_name="windows"),))
FIELD = "spec.domain.firmware.acpi.slicNameRef"


def _prepare(guest: Guest, folder: Path) -> Path:
    (folder / "root").mkdir(exist_ok=True)
    prepare_storage(guest, mounts_of(folder), folder / "root")
    return folder / "root/storage/default_g"


def test_data_for_ignition_is_a_file_of_the_users_own(tmp_path: Path) -> None:
    file = _prepare(IGNITED, tmp_path) / "data.ign"
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (DATA, 0o600)
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_data_that_is_none_for_ignition_makes_no_file(tmp_path: Path) -> None:
    assert list(_prepare(replace(GUEST, ignition="{}"), tmp_path).iterdir()) == []


def test_a_former_guests_data_is_gone_with_the_next_start_and_at_the_end(tmp_path: Path) -> None:
    folder = _prepare(IGNITED, tmp_path)
    assert list(_prepare(GUEST, tmp_path).iterdir()) == []
    _prepare(IGNITED, tmp_path)
    remove_storage(IGNITED, tmp_path / "root")
    assert not folder.exists()


def test_a_table_is_that_of_the_mounted_secret(tmp_path: Path) -> None:
    write(tmp_path, "secret/lic/slic.bin", LICENCE)
    assert (_prepare(LICENSED, tmp_path) / "slic.bin").read_bytes() == LICENCE


def test_a_table_is_that_of_the_secret_beside_the_machine_where_none_is_mounted(tmp_path: Path) -> None:
    beside = BesideObject(kind="Secret", name="windows", files=(("slic.bin", LICENCE),))
    assert (_prepare(replace(LICENSED, beside=(beside,)), tmp_path) / "slic.bin").read_bytes() == LICENCE


def _faults(folder: Path) -> tuple[Fault, ...]:
    with pytest.raises(InvalidVMI) as refusal:
        _prepare(LICENSED, folder)
    return tuple(refusal.value.faults)


def test_a_secret_that_is_not_mounted_is_told(tmp_path: Path) -> None:
    folder = str(tmp_path / "volumes/secret/lic")
    assert _faults(tmp_path) == (Fault(FIELD, f"{folder!r} is not there: is the secret mounted?"),)


@pytest.mark.parametrize("data", [b"", b"SLIC", b"MSDM" + LICENCE[4:], bytes(64)])
def test_a_file_that_is_no_such_table_is_told(tmp_path: Path, data: bytes) -> None:
    file = str(write(tmp_path, "secret/lic/slic.bin", data))
    assert _faults(tmp_path) == (Fault(FIELD, f"{file!r} is no ACPI table SLIC"),)


def test_a_table_that_leads_out_of_its_secret_is_told(tmp_path: Path) -> None:
    (tmp_path / "outside").write_bytes(LICENCE)
    link = write(tmp_path, "secret/lic/slic.bin")
    link.unlink()
    link.symlink_to(tmp_path / "outside")
    (fault,) = _faults(tmp_path)
    assert fault.path == FIELD
    assert "leads out of its folder" in fault.message
