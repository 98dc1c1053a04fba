"""A program that a script of hack/ runs is told to end with the script, and has the time to clear up."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hack.programs import run_to_end
from tests.faults.places import wait_until
from tests.qemu.guests import environment_of_a_checkout

_SCRIPT = """
import sys
from hack.programs import end_orderly_when_told, run_to_end
end_orderly_when_told()
run_to_end(["sh", "-c", sys.argv[1]], capture=sys.argv[2] == "captured")
"""
# As one that has mounted something: it takes a while to clear up, and says so, whether or not anybody reads it.
_CLEARS_UP = """
trap 'sleep 0.2; rm mounted; exit 1' TERM
touch mounted
while :; do sleep 0.05; done
"""


def test_what_a_program_printed_and_how_it_ended_is_returned() -> None:
    done = run_to_end(["sh", "-c", "cat; echo why >&2; exit 3"], stdin=b"said\n")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"said\n", b"why\n")


@pytest.mark.parametrize("output", ["captured", "shown"])
def test_a_program_clears_up_when_the_script_is_told_to_end(tmp_path: Path, output: str) -> None:
    command = (sys.executable, "-c", _SCRIPT, _CLEARS_UP, output)
    with subprocess.Popen(command, env=environment_of_a_checkout(), cwd=tmp_path) as script:
        wait_until((tmp_path / "mounted").exists, "the program is at work")
        script.send_signal(signal.SIGTERM)
        assert script.wait() == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
