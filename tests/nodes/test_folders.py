"""The folder of a node's run goes with the run, also where nothing of it was left to remove it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from hack.nodes.folders import remove_forsaken, run_folder
from tests.qemu.guests import environment_of_a_checkout

_RUN = """
import sys, time
from pathlib import Path
from hack.nodes.folders import run_folder
with run_folder(Path(sys.argv[1])) as folder:
    (folder / "disc").touch()
    print(folder, flush=True)
    time.sleep(600)
"""


def test_a_run_that_ends_leaves_no_folder(tmp_path: Path) -> None:
    with run_folder(tmp_path) as folder:
        (folder / "disc").touch()
        remove_forsaken(tmp_path)
        assert list(tmp_path.iterdir()) == [folder]
        assert (folder / "disc").exists()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_run_that_was_killed_is_removed_by_the_next_one_and_no_other(tmp_path: Path) -> None:
    command = (sys.executable, "-c", _RUN, str(tmp_path))
    environment = environment_of_a_checkout()
    with (
        run_folder(tmp_path) as living,
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as run,
    ):
        assert run.stdout is not None
        killed = Path(run.stdout.readline().strip())
        remove_forsaken(tmp_path)
        assert killed.is_dir()
        run.kill()
        run.wait()
        assert killed.is_dir()
        remove_forsaken(tmp_path)
        assert list(tmp_path.iterdir()) == [living]
