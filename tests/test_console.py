"""The console follower: every line once, in order, whatever way the bytes come."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from launcher.observe import console, inotify
from launcher.observe.console import LONGEST_LINE_BYTES, ConsoleFollower


def _follow(path: Path, *, from_end: bool = False) -> tuple[ConsoleFollower, list[str]]:
    lines: list[str] = []
    follower = ConsoleFollower(str(path), lines.append, from_end=from_end)
    follower.start()
    return follower, lines


def _wait_for(lines: list[str], count: int) -> None:
    deadline = time.monotonic() + 60
    while len(lines) < count and time.monotonic() < deadline:
        time.sleep(0.01)


def test_lines_appear_while_the_file_grows_and_the_last_one_without_its_end(tmp_path: Path) -> None:
    path = tmp_path / "log"
    follower, lines = _follow(path)
    with path.open("wb", buffering=0) as file:
        file.write(b"one\ntw")
        _wait_for(lines, 1)
        assert lines == ["one"]
        file.write(b"o\r\nthree")
        _wait_for(lines, 2)
    follower.stop()
    assert lines == ["one", "two\r", "three"]


def test_a_line_without_an_end_is_shown_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * (2 * LONGEST_LINE_BYTES + 1))
    follower, lines = _follow(path)
    _wait_for(lines, 2)
    follower.stop()
    assert [len(line) for line in lines] == [LONGEST_LINE_BYTES, LONGEST_LINE_BYTES, 1]


def test_bytes_that_are_no_text_do_not_stop_the_console(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xff\xfe\nafter\n")
    follower, lines = _follow(path)
    _wait_for(lines, 2)
    follower.stop()
    assert lines == ["\ufffd\ufffd", "after"]


def test_from_the_end_only_what_is_new_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old\n")
    follower, lines = _follow(path, from_end=True)
    deadline = time.monotonic() + 60
    # When it has found the end of the file nobody can know: what came before that is passed over.
    while not lines and time.monotonic() < deadline:
        with path.open("ab") as file:
            file.write(b"new\n")
        time.sleep(0.05)
    follower.stop()
    assert set(lines) == {"new"}


def test_a_file_that_never_comes_ends_with_the_follower(tmp_path: Path) -> None:
    follower, lines = _follow(tmp_path / "never")
    follower.stop()
    assert lines == []


def test_where_the_kernel_gives_no_watch_lines_still_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inotify, "_open_watch", lambda _path: None)
    monkeypatch.setattr(console, "POLL_INTERVAL_S", 0.05)
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    follower, lines = _follow(path)
    _wait_for(lines, 1)
    with path.open("ab") as file:
        file.write(b"two\n")
    _wait_for(lines, 2)
    follower.stop()
    assert lines == ["one", "two"]
