"""Processes: found by their command line, waited for by pidfd, their ends put in words."""

from __future__ import annotations

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from launcher.errors import HypervisorError
from launcher.hypervisor.process import find_qemu
from launcher.supervise.children import describe_wait_status

SLEEP = "import time; time.sleep(60)"


def test_the_uuid_of_another_process_is_not_qemus() -> None:
    name = str(uuid.uuid4())
    with subprocess.Popen([sys.executable, "-c", SLEEP, name, "-uuid"]) as child:
        with pytest.raises(HypervisorError, match=f"no process on this machine has -uuid {name}"):
            find_qemu(name)
        child.kill()


def test_two_processes_of_one_uuid_are_told_apart_by_their_roots_and_by_nothing_else() -> None:
    name, first, second = str(uuid.uuid4()), Path("/first"), Path("/second")
    with _qemu_of(name, first) as one, _qemu_of(name, second) as other:
        found = [find_qemu(name, root=root).pid for root in (first, second)]
        with pytest.raises(HypervisorError, match=rf"several processes have -uuid {name} \(pid \d+, \d+\)"):
            find_qemu(name)
        with pytest.raises(HypervisorError, match=f"no process on this machine has -uuid {name}"):
            find_qemu(name, root=Path("/third"))
        one.kill()
        other.kill()
    assert found == [one.pid, other.pid]


def _qemu_of(name: str, root: Path) -> subprocess.Popen[str]:
    """Start what has QEMU's words, and wait until it has them: the fork has its parent's until it is a program."""
    words = [sys.executable, "-S", "-c", f"print(flush=True); {SLEEP}", "-uuid", name, f"file={root}/lib/qemu/key"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "\n"
    return process


@pytest.mark.parametrize(
    ("status", "wanted"), [(0, "exit status 0"), (3 << 8, "exit status 3"), (11, "killed by signal 11 (SIGSEGV)")]
)
def test_a_wait_status_is_put_in_words(status: int, wanted: str) -> None:
    assert describe_wait_status(status) == wanted
