"""The scripts in hack/: what is typed wrong is one clear line at once, before anything is built or started."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        pytest.param("soak 0", 2, "argument starts: '0' is not a number from 1 up", id="no start at all"),
        pytest.param("soak -- -1", 2, "argument starts: '-1' is not a number from 1 up", id="fewer than none"),
        pytest.param("soak 1 --inside x", 2, "argument --inside: 'x' is not a number from 1 up", id="no number"),
        pytest.param(
            "node run --shape smt-2n --time-limit 0 -- true", 2, "--time-limit: '0' is not a number from 1 up",
            id="a node without time",
        ),
        pytest.param("node run --shape none -- true", 125, "there is no shape none", id="a shape that is not there"),
        pytest.param("image --disc none/x", 1, "--disc none/x: there is no folder none", id="a disc in no folder"),
    ],
)  # fmt: skip
def test_a_wrong_word_is_told_at_once(words: str, status: int, said: str) -> None:
    script, *arguments = words.split()
    command = [sys.executable, f"hack/{script}", *arguments]
    ended = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (ended.returncode, said in ended.stderr.splitlines()[-1]) == (status, True), ended.stderr
