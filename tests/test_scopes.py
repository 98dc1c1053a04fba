"""What shares something of this machine is run by one worker."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

from tests.qemu.guests import CHECKOUT
from tests.scopes import scope_of


@pytest.mark.parametrize(
    ("nodeid", "scope"),
    [
        ("tests/host/test_sysfs.py::test_a", "host"),
        ("tests/distribution/test_wheel.py::test_a[one::two]", "distribution"),
        ("tests/faults/test_cpuset.py::test_a", "tests/faults/test_cpuset.py"),
        ("tests/faults/test_cpuset.py::test_b[x]", "tests/faults/test_cpuset.py"),
        ("tests/test_cpuset.py::test_a", "tests/test_cpuset.py"),
        ("tests/qemu/test_run.py::test_a[x/y]", "tests/qemu/test_run.py::test_a[x/y]"),
    ],
)
def test_a_test_belongs_to_its_folder_its_file_or_itself(nodeid: str, scope: str) -> None:
    assert scope_of(nodeid) == scope


def test_workers_share_no_scope() -> None:
    files = ("tests/host/test_node_memory.py", "tests/host/test_processor.py", "tests/test_quantity.py")
    command = (sys.executable, "-m", "pytest", "--numprocesses", "2", "--dist", "loadscope", "--verbose", *files)
    run = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stdout
    workers = {
        (found[2], found[1]) for found in re.finditer(r"\[(gw\d)\] .* PASSED tests/(host|test_quantity)", run.stdout)
    }
    assert len(workers) == 2, workers
    assert {scope for scope, _ in workers} == {"host", "test_quantity"}
