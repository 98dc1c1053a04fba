"""Processes: found by their command line, waited for by pidfd, their ends put in words."""

from __future__ import annotations

import subprocess
import sys
import uuid

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


@pytest.mark.parametrize(
    ("status", "wanted"), [(0, "exit status 0"), (3 << 8, "exit status 3"), (11, "killed by signal 11 (SIGSEGV)")]
)
def test_a_wait_status_is_put_in_words(status: int, wanted: str) -> None:
    assert describe_wait_status(status) == wanted
