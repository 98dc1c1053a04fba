"""Logs that a guest can make grow: bounded, with the newest kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.observe.ring import RingLog, remove_log, shorten


def both(path: Path) -> bytes:
    """Return what is kept, the older file first."""
    older = path.with_name(f"{path.name}.1")
    return (older.read_bytes() if older.exists() else b"") + path.read_bytes()


@pytest.mark.parametrize("piece", [1, 7, 99, 100, 101, 1000], ids=lambda size: f"{size} bytes at once")
def test_a_log_keeps_its_newest_bytes_and_no_more_than_twice_its_bound(tmp_path: Path, piece: int) -> None:
    path = tmp_path / "log"
    log = RingLog(str(path), most_bytes=100)
    written = b""
    for number in range(0, 3000, piece):
        data = bytes((number + i) % 251 for i in range(piece))
        log.write(data)
        written += data
        assert len(both(path)) <= 200
    log.close()
    kept = both(path)
    assert written.endswith(kept)
    assert len(kept) >= min(100, 200 - piece)


def test_a_log_that_goes_on_keeps_what_is_there_and_a_new_one_does_not(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"old ")
    log = RingLog(str(path), is_new=False)
    log.write(b"new")
    log.close()
    assert path.read_bytes() == b"old new"
    RingLog(str(path)).close()
    assert path.read_bytes() == b""
    remove_log(str(path))
    assert list(tmp_path.iterdir()) == []


def test_a_log_does_not_follow_a_link_and_needs_no_disk(tmp_path: Path) -> None:
    victim, path = tmp_path / "victim", tmp_path / "log"
    victim.write_bytes(b"precious")
    path.symlink_to(victim)
    log = RingLog(str(path), is_new=False)
    log.write(b"x")
    log.close()
    assert victim.read_bytes() == b"precious"
    RingLog("/dev/full/log").write(b"x")


def test_a_log_of_another_program_is_emptied_and_its_end_kept(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("ab", buffering=0) as file:
        file.write(b"x" * 90 + b"last")
        assert not shorten(str(path), most_bytes=100)
        file.write(b"words....")
        assert shorten(str(path), most_bytes=100)
        file.write(b"after")
    assert path.read_bytes() == b"after"
    assert (tmp_path / "log.1").read_bytes().endswith(b"xlastwords....")
    assert (tmp_path / "log.1").stat().st_size == 100
