"""The right to realtime scheduling as containers give it: taken up by the launcher, handed on to nobody."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.image.samples import CAPABILITY

_CHECKOUT = Path(__file__).parents[2]
_PACKAGES = Path(msgspec.__file__).parents[1]
# Root without the rights of root (capabilities(7), SECBIT_NOROOT): what it has it was given, as any other user.
_PLAIN_USER = ("setpriv", "--securebits", "+noroot")
_BY_RUNTIME = (*_PLAIN_USER, "--inh-caps", "+sys_nice", "--ambient-caps", "+sys_nice")
_NOTHING = (*_PLAIN_USER, "--inh-caps", "-all", "--bounding-set", "-all")
# Prints what this process has, makes a program that it starts realtime, and prints what that program has.
_PROGRAM = f"""
import os, subprocess, sys
sys.path[:0] = [{str(_CHECKOUT)!r}, {str(_PACKAGES)!r}]
from launcher.errors import HypervisorError
from launcher.hypervisor.capability import prepare_capabilities

def show(status):
    shown = ("CapInh", "CapEff", "CapAmb")
    sys.stdout.write("".join(line for line in status.splitlines(True) if line.startswith(shown)))

try:
    prepare_capabilities(realtime=sys.argv[1] == "realtime")
except HypervisorError as error:
    sys.exit(str(error))
show(open("/proc/self/status").read())
child = subprocess.Popen(["/bin/cat", "/proc/self/status", "-"], stdin=-1, stdout=-1, text=True)
if sys.argv[1] == "realtime":
    os.sched_setscheduler(child.pid, os.SCHED_FIFO, os.sched_param(1))
    assert os.sched_getscheduler(child.pid) == os.SCHED_FIFO
show(child.communicate()[0])
"""
_SYS_NICE, _NONE = f"{1 << 23:016x}", f"{0:016x}"


def run(command: tuple[str, ...], python: Path, guest: str) -> subprocess.CompletedProcess[str]:
    words = (*command, str(python), "-c", _PROGRAM, guest)
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)


def shown(*, effective: str) -> str:
    """Return what the program prints: itself, with nothing to hand on, and then the program that it started."""
    one, other = (f"CapInh:\t{_NONE}\nCapEff:\t{found}\nCapAmb:\t{_NONE}\n" for found in (effective, _NONE))
    return one + other


@pytest.fixture
def python_with_capability(tmp_path: Path) -> Path:
    """Copy the interpreter and permit it CAP_SYS_NICE by its file, as the image's is."""
    python = tmp_path / "python"
    shutil.copy(Path(sys.executable).resolve(), python)
    os.setxattr(python, "security.capability", CAPABILITY)
    return python


def test_a_capability_that_the_runtime_hands_on_is_used_and_goes_no_further() -> None:
    result = run(_BY_RUNTIME, Path(sys.executable), "realtime")
    assert (result.stderr, result.stdout) == ("", shown(effective=_SYS_NICE))


def test_a_capability_that_the_interpreters_file_permits_is_taken_up(python_with_capability: Path) -> None:
    result = run(_PLAIN_USER, python_with_capability, "realtime")
    assert (result.stderr, result.stdout) == ("", shown(effective=_SYS_NICE))


def test_a_capability_is_left_alone_where_no_vcpu_is_realtime(python_with_capability: Path) -> None:
    result = run(_PLAIN_USER, python_with_capability, "ordinary")
    assert (result.stderr, result.stdout) == ("", shown(effective=_NONE))


def test_an_interpreter_that_is_permitted_it_runs_where_the_container_is_not(python_with_capability: Path) -> None:
    result = run(_NOTHING, python_with_capability, "ordinary")
    assert (result.stderr, result.stdout) == ("", shown(effective=_NONE))


def test_without_the_capability_the_guest_is_refused_and_the_cure_named(python_with_capability: Path) -> None:
    result = run(_NOTHING, python_with_capability, "realtime")
    assert result.returncode == 1
    assert result.stderr.startswith("realtime: ")
    assert "--cap-add" in result.stderr
