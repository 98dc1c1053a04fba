"""A shared cache of QEMU's capabilities: what is what it says is taken, everything else passed over at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.hypervisor.shared_cache import PLACE, take_from

EMULATOR = "/usr/bin/qemu-system-x86_64"
NAME = f"{hashlib.sha256(EMULATOR.encode()).hexdigest()}.xml"
TEXT = f"<qemuCaps>\n  <emulator>{EMULATOR}</emulator>\n  <flag name='kvm'/>\n</qemuCaps>\n"
OTHER = 65534


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    folder = tmp_path / "shared"
    for place in (folder, folder / "qemu", folder / PLACE):
        place.mkdir(mode=0o755)
    file = folder / PLACE / NAME
    file.write_text(TEXT)
    file.chmod(0o644)
    return folder


def taken(shared: Path, tmp_path: Path) -> str | None:
    take_from(shared, tmp_path / "own")
    own = tmp_path / "own" / PLACE / NAME
    return own.read_text() if own.exists() else None


def test_what_is_known_of_a_qemu_is_copied(shared: Path, tmp_path: Path) -> None:
    assert taken(shared, tmp_path) == TEXT
    assert (tmp_path / "own" / PLACE / NAME).stat().st_nlink == 1


def test_what_the_launcher_knows_itself_stays(shared: Path, tmp_path: Path) -> None:
    own = tmp_path / "own" / PLACE / NAME
    own.parent.mkdir(parents=True)
    own.write_text("newer")
    assert taken(shared, tmp_path) == "newer"


def link(file: Path) -> None:
    file.rename(file.with_name("real"))
    file.symlink_to(file.with_name("real"))


def second_name(file: Path) -> None:
    os.link(file, file.with_name("second"))


def fifo(file: Path) -> None:
    file.unlink()
    os.mkfifo(file)


FAULTS: dict[str, Callable[[Path], object]] = {
    "a file of another user's": lambda file: os.chown(file, OTHER, OTHER),
    "a file that others may write": lambda file: file.chmod(0o646),
    "a file that a group may write": lambda file: file.chmod(0o664),
    "a link": link,
    "a file with a second name": second_name,
    "a FIFO that nobody writes to": fifo,
    "a file without an end": lambda file: os.truncate(file, 1 << 40),
    "another emulator's": lambda file: file.write_text(TEXT.replace("x86_64", "evil")),
    "no capabilities": lambda file: file.write_text("<x/>"),
    "a folder of another user's": lambda file: os.chown(file.parent, OTHER, OTHER),
    "a folder that others may write": lambda file: file.parent.parent.chmod(0o777),
    "the cache itself, which others may write": lambda file: file.parents[2].chmod(0o777),
    "a folder that is not there": lambda file: file.parents[1].rename(file.parents[2] / "gone"),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_what_somebody_else_may_have_laid_there_is_passed_over_and_told(
    shared: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, fault: Callable[[Path], object]
) -> None:
    fault(shared / PLACE / NAME)
    assert taken(shared, tmp_path) is None
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.records[0].getMessage().startswith(f"cache: {shared}")
