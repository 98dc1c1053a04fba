"""The daemon of a shared folder: which program, which command, and what is told where it does not serve."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import GuestDestroyed, HypervisorError
from launcher.storage import virtiofsd
from launcher.storage.shares import Share
from launcher.storage.virtiofsd import Virtiofsd, find_virtiofsd, shared
from tests.faults.places import wait_until
from tests.processes import is_running

RUST, C = "virtiofsd 1.13.2", "virtiofsd version 7.2.18 (Debian 1:7.2+dfsg-7)"


def program(folder: Path, name: str, version: str, then: str = "exit 0") -> str:
    path = folder / name
    path.write_text(f'#!/bin/sh\n[ "$1" = --version ] && echo "{version}" && exit 0\n{then}\n')
    path.chmod(0o755)
    return str(path)


def test_the_one_that_needs_no_privilege_is_taken_wherever_it_is(tmp_path: Path) -> None:
    old, new = program(tmp_path, "old", C), program(tmp_path, "new", RUST)
    assert find_virtiofsd((old, new)) == find_virtiofsd((new, old)) == Virtiofsd(path=new, is_rust=True)


def test_the_one_for_root_is_for_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path, "old", C)
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert find_virtiofsd((old,)) == Virtiofsd(path=old, is_rust=False)
    monkeypatch.setattr(os, "geteuid", lambda: 107)
    with pytest.raises(HypervisorError, match=r"which only root can run; install virtiofsd 1\.x"):
        find_virtiofsd((old,))


def test_where_there_is_none_that_is_told(tmp_path: Path) -> None:
    with pytest.raises(HypervisorError, match=r"there is no virtiofsd \(/nowhere\); Debian 13: the package virtiofsd"):
        find_virtiofsd(("/nowhere",))


RUST_WORDS = ("/v", "--socket-path=/r/fs0.sock", "--shared-dir=/a,b\\c", "--sandbox=none", "--cache=auto")
C_WORDS = ("/v", "--socket-path=/r/fs0.sock", "-o", "source=/a\\,b\\\\c", "-o", "sandbox=chroot", "-o", "cache=auto")
COMMANDS = [(True, (*RUST_WORDS, "--log-level=error")), (False, (*C_WORDS, "-o", "log_level=err"))]


@pytest.mark.parametrize(("is_rust", "command"), COMMANDS, ids=["rust", "c"])
def test_a_folders_name_is_one_word_and_no_further_option(*, is_rust: bool, command: tuple[str, ...]) -> None:
    share = Share(tag="t", folder="/a,b\\c", socket="/r/fs0.sock")
    assert Virtiofsd(path="/v", is_rust=is_rust).command(share) == command


def sharing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str) -> tuple[Share, ...]:
    monkeypatch.setattr(
        virtiofsd, "find_virtiofsd", lambda: Virtiofsd(path=program(tmp_path, "v", RUST, then), is_rust=True)
    )
    return (Share(tag="t", folder=str(tmp_path), socket=str(tmp_path / "s")),)


def test_a_daemon_that_ends_at_once_is_told_with_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shares = sharing(tmp_path, monkeypatch, "echo no such luck >&2; sleep 0.2; exit 1")
    with (
        pytest.raises(HypervisorError, match=f"filesystem t: virtiofsd does not serve {tmp_path}: no such luck"),
        shared(shares, CPUSet.of(os.sched_getaffinity(0)), lambda: False),
    ):
        pytest.fail("it does not serve")


def test_a_daemon_without_a_socket_is_not_waited_for_beyond_a_wish_for_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares = sharing(tmp_path, monkeypatch, f"echo $$ >{tmp_path}/pid; exec sleep 100")
    with (
        pytest.raises(GuestDestroyed),
        shared(shares, CPUSet.of(os.sched_getaffinity(0)), (tmp_path / "pid").is_file),
    ):
        pytest.fail("nobody serves")
    pid = int((tmp_path / "pid").read_text())
    wait_until(lambda: not is_running(pid), "it is killed")


def test_the_launchers_own_affinity_is_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = os.sched_getaffinity(0)
    one = min(before)
    serve = f"import socket; socket.socket(socket.AF_UNIX).bind('{tmp_path}/s')"
    script = f'taskset -p $$ >{tmp_path}/cpus; python3 -c "{serve}"'
    shares = sharing(tmp_path, monkeypatch, script)
    with shared(shares, CPUSet.of({one}), lambda: False):
        assert os.sched_getaffinity(0) == before
    assert (tmp_path / "cpus").read_text().strip().endswith(f": {1 << one:x}")
