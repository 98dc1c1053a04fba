"""Standard output and standard error that are closed, full or lack a character: the exit status is right."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parent.parent.parent
SMALLEST = "templates/examples/smallest.yaml"
SHAPE = "node:1 core:4 pu:2"
VERBS = (
    pytest.param(f"plan {SMALLEST} --host '{SHAPE}'", id="plan as text"),
    pytest.param(f"plan {SMALLEST} --host '{SHAPE}' --format json", id="plan as JSON"),
    pytest.param(f"plan {SMALLEST} --host '{SHAPE}' --format svg", id="plan as a picture"),
    pytest.param(f"render {SMALLEST} --host '{SHAPE}'", id="render"),
    pytest.param(f"check {SMALLEST}", id="check"),
    pytest.param(f"pod {SMALLEST}", id="pod"),
    pytest.param(f"host --host '{SHAPE}'", id="host"),
    pytest.param("host --capture -", id="a capture"),
    pytest.param("schema", id="schema"),
    pytest.param("node-label", id="node-label"),
    pytest.param("node-label --explain", id="node-label, explained"),
    pytest.param("--help", id="help"),
    pytest.param("run --help", id="help of a verb"),
    pytest.param("--version", id="version"),
)


def run_in_shell(command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run `virt-launcher` with these words and redirections of a shell."""
    program = f'"{sys.executable}" -c "from launcher.cli import command; command()"'
    words = ["sh", "-c", f"{program} {command}"]
    return subprocess.run(
        words,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "", **environment},
        capture_output=True,
        text=True,
        errors="surrogateescape",
        check=False,
    )


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("verb", VERBS)
def test_a_full_disk_below_standard_output_is_one_line_and_status_4(verb: str, unbuffered: str) -> None:
    ended = run_in_shell(f"{verb} >/dev/full", PYTHONUNBUFFERED=unbuffered)
    # node-label says why on standard error, too, and pod what a namespace may refuse.
    told = ("cpumanager", "warning: the Pod Security Standard")
    said = [line for line in ended.stderr.splitlines() if not any(words in line for words in told)]
    assert (ended.returncode, said) == (4, ["virt-launcher: standard output: No space left on device"])


@pytest.mark.parametrize("verb", VERBS)
def test_a_closed_standard_output_takes_everything(verb: str) -> None:
    ended = run_in_shell(f"{verb} >&-")
    assert (ended.returncode, "Traceback" in ended.stderr) == (0, False)


def test_what_is_wrong_never_goes_to_standard_output() -> None:
    ended = run_in_shell("plan none.yaml 2>&-")
    assert (ended.returncode, ended.stdout) == (3, "")


def test_every_fault_of_a_guest_that_is_to_run_is_a_line_of_the_log_where_that_is_json(tmp_path: Path) -> None:
    vmi = tmp_path / "vmi.yaml"
    vmi.write_text(f"{(CHECKOUT / SMALLEST).read_text()}\n  unknown: 1\n  mistaken: 2\n")
    ended = run_in_shell(f"run {vmi} --root {tmp_path}/r --log-format json")
    faults = [line for line in map(json.loads, ended.stderr.splitlines()) if line["event"] == "ended"]
    told = [(line["level"], line["exit_status"], line["message"]) for line in faults]
    assert (ended.returncode, len(told)) == (3, 2)
    assert all((level, status) == ("error", 3) and str(vmi) in message for level, status, message in told)


def test_a_fault_of_a_guest_that_is_to_run_is_a_line_for_people_where_the_log_is(tmp_path: Path) -> None:
    ended = run_in_shell(f"run {tmp_path}/none.yaml --root {tmp_path}/r --log-format text")
    said = f"virt-launcher: {tmp_path}/none.yaml: cannot be read: No such file or directory\n"
    assert (ended.returncode, ended.stderr) == (3, said)


@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("redirection", ["2>&-", "2>/dev/full", "<&- >&- 2>&-"])
@pytest.mark.parametrize(("command", "status"), [("plan none.yaml", 3), ("plan", 2), ("run none.yaml", 3), ("fly", 2)])
def test_the_exit_status_is_kept_where_nobody_can_be_told_why(
    command: str, status: int, redirection: str, unbuffered: str
) -> None:
    assert run_in_shell(f"{command} {redirection}", PYTHONUNBUFFERED=unbuffered).returncode == status


@pytest.mark.parametrize(
    ("command", "encoding", "status", "said"),
    [
        pytest.param(f"plan {SMALLEST} --host '{SHAPE}'", "ascii", 0, "", id="a picture is drawn in ASCII"),
        pytest.param(f"plan {SMALLEST} --host '{SHAPE}'", "utf-8", 0, "", id="a picture has lines"),
        pytest.param("check \"$(printf '\\377')\"", "utf-8", 3, "", id="a byte that is of no encoding is escaped"),
        pytest.param("check \"$(printf '\\377')\"", "ascii", 3, "", id="as it is in ASCII"),
        pytest.param(
            "check sömething",
            "ascii",
            4,
            "virt-launcher: standard output: its encoding, ascii, has no '\\xf6'\n",
            id="a result is not changed, but refused",
        ),
        pytest.param(
            "plan sömething",
            "ascii",
            3,
            "virt-launcher: s\\xf6mething: cannot be read: No such file or directory\n",
            id="an error is told as far as it can be",
        ),
    ],
)
def test_an_encoding_that_lacks_a_character_is_no_bug(command: str, encoding: str, status: int, said: str) -> None:
    ended = run_in_shell(command, PYTHONIOENCODING=encoding)
    assert (ended.returncode, ended.stderr) == (status, said)


@pytest.mark.parametrize("verb", ["check", "plan"])
def test_a_file_name_does_not_steer_the_terminal(verb: str) -> None:
    ended = run_in_shell(f"{verb} \"$(printf 'a\\033[31mb')\"")
    said = ended.stdout + ended.stderr
    assert ("\x1b" in said, r"a\x1b[31mb: cannot be read" in said) == (False, True)


@pytest.mark.parametrize(
    ("environment", "has_colour"),
    [
        pytest.param({"TERM": "xterm", "NO_COLOR": ""}, True, id="a terminal"),
        pytest.param({"TERM": "xterm", "NO_COLOR": "1"}, False, id="who wants none"),
        pytest.param({"TERM": "dumb", "NO_COLOR": ""}, False, id="a terminal that has none"),
    ],
)
def test_colours_are_for_terminals_that_have_them(environment: dict[str, str], has_colour: bool) -> None:
    leader, follower = pty.openpty()
    program = "from launcher.cli import command; command()"
    words = [sys.executable, "-c", program, "plan", SMALLEST, "--host", SHAPE]
    shown = b""
    with subprocess.Popen(words, cwd=CHECKOUT, env={**os.environ, **environment}, stdout=follower) as launcher:
        os.close(follower)
        # Reading ends with an error once the last writer has gone (pty(7)).
        with suppress(OSError):
            while said := os.read(leader, 65536):
                shown += said
    os.close(leader)
    assert (launcher.returncode, b"\x1b[" in shown) == (0, has_colour)


def test_a_manifest_on_standard_input_is_called_so() -> None:
    assert run_in_shell(f"check - <{SMALLEST}").stdout == "standard input: default/smallest is valid\n"
