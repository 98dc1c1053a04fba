"""The termination message: status and reason where the kubelet made a file for them, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.cli.termination import MOST_BYTES, write_termination_message
from launcher.errors import ExitStatus


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "termination-log"
    made.write_text("of an earlier container, longer than what is written now")
    return made


def test_it_is_the_status_and_the_reason(path: Path) -> None:
    write_termination_message(ExitStatus.CRASHED, "QEMU died\nits last words", path)
    assert path.read_text() == "exit status 8: QEMU died\nits last words"


def test_it_is_cut_where_the_kubelet_stops_to_read_and_stays_text(path: Path) -> None:
    reason = "\u00e9" * MOST_BYTES
    write_termination_message(ExitStatus.INVALID_VMI, reason, path)
    assert MOST_BYTES - 1 <= path.stat().st_size <= MOST_BYTES
    assert f"exit status 3: {reason}".startswith(path.read_text())


def test_what_is_no_text_is_written_all_the_same(path: Path) -> None:
    write_termination_message(ExitStatus.BUG, "a name of \udcff", path)
    assert path.read_text() == "exit status 1: a name of ?"


def test_where_nobody_made_the_file_none_is_made(tmp_path: Path) -> None:
    write_termination_message(ExitStatus.BUG, "a bug", tmp_path / "termination-log")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_no_error() -> None:
    write_termination_message(ExitStatus.BUG, "a bug", Path("/dev/full"))
