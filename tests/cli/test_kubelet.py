"""The simulated kubelet on the command line: its state file, its version, and what it does that it should not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from launcher.cli import main
from tests.node_label.states import V4, V5

DEDICATED = str(Path(__file__).parent.parent.parent / "templates/examples/dedicated.yaml")
HOSTS = Path(__file__).parent.parent / "hosts"
SIXTEEN = "node:2 core:4 pu:2"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Return the state file of a node with 16 CPUs, of which 2-5 are in use."""
    data = json.loads(str(V4["data"]))
    pool = {"defaultCpuSet": "0-1,6-15"}
    path = tmp_path / "cpu_manager_state"
    path.write_text(json.dumps({**V4, **pool, "data": json.dumps({**data, **pool})}))
    return path


def planned(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert main(["plan", DEDICATED, "--host", SIXTEEN, "--format", "json", *arguments]) == 0
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    # Where the CPUs in use were read stands there, too.
    document.pop("source")
    return document


def cpus(document: dict[str, object]) -> list[int]:
    vcpus = document["vcpus"]
    assert isinstance(vcpus, list)
    return [pin["cpu"] for pin in vcpus]


def test_a_plan_keeps_off_what_the_nodes_state_file_says_is_in_use(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    beside = planned(["--kubelet", "reserved=0-1", "--kubelet-state", str(state)], capsys)
    assert beside == planned(["--kubelet", "reserved=0-1,in-use=2-5"], capsys)
    assert not {2, 3, 4, 5} & set(cpus(beside))


def test_a_state_file_alone_is_a_kubelet(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert planned(["--kubelet-state", str(state)], capsys) == planned(["--kubelet", "in-use=2-5"], capsys)


@pytest.mark.parametrize(
    ("text", "arguments", "status", "said"),
    [
        pytest.param("{", [], 4, "is not JSON, or a part of it only", id="cut short"),
        pytest.param(json.dumps({**V4, "data": "{"}), [], 4, "its data is not JSON", id="cut short inside"),
        pytest.param(None, [], 4, "no such file", id="not there"),
        pytest.param(json.dumps(V4), ["--kubelet", "in-use=3"], 2, "in-use and --kubelet-state exclude", id="twice"),
        pytest.param(json.dumps(V4), ["--cpuset", "0"], 2, "--cpuset and --kubelet-state exclude", id="two words"),
        pytest.param(
            '{"policyName":"dynamic","defaultCpuSet":""}', [], 4, "found policy 'dynamic'", id="a policy nobody knows"
        ),
        pytest.param(
            '{"policyName":"static","defaultCpuSet":"0","entries":{"a":{"b":"90"}}}',
            [], 2, "found 90, wanted CPUs of the host (0-15)", id="another node's",
        ),
        pytest.param('{"policyName":"none","defaultCpuSet":""}', ["--kubelet", "reserved=0"], 0, "", id="policy none"),
    ],
)  # fmt: skip
def test_a_state_file_is_told_to_be_wrong(
    text: str | None, arguments: list[str], status: int, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "cpu_manager_state"
    if text is not None:
        path.write_text(text)
    words = [sys.executable, "-c", "from launcher.cli import command; command()", "plan", DEDICATED, "--host", SIXTEEN]
    words += ["--kubelet-state", str(path), *arguments]
    ended = subprocess.run(words, cwd=HOSTS.parent.parent, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == status
    errors = ended.stderr
    assert said.lower() in errors.lower()
    assert len(errors.splitlines()) == (1 if status else 0)


def test_a_state_file_of_a_newer_form_is_read_and_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "cpu_manager_state"
    path.write_text(json.dumps(V5))
    assert main(["check", DEDICATED, "--host", SIXTEEN, "--kubelet-state", str(path)]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert "a newer form of the file than is known here, with 'epoch', 'data.leases': read were" in line


def test_a_version_answers_for_itself(capsys: pytest.CaptureFixture[str]) -> None:
    """Two nodes of one socket are as good as two of both to 1.36; since 1.37 they are preferred."""
    options = "distribute-cpus-across-numa,align-by-socket,in-use=0,3-4,7,9,11,14"
    host = ["--host", "package:2 numa:2 core:4 pu:1", "--format", "json", "--kubelet"]
    answers = []
    for kubelet in (f"{options},version=1.36", f"{options},version=1.37", options):
        assert main(["plan", DEDICATED, *host, kubelet]) == 0
        answers.append(set(cpus(json.loads(capsys.readouterr().out))))
    assert answers[0] <= {1, 2, 12, 13}
    assert answers[1] == answers[2] <= {8, 10, 12, 13}


@pytest.mark.parametrize("verb", ["check", "plan", "pod"])
def test_reserved_cpus_that_the_kubelet_gives_away_are_told(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    """CPU 3 is offline there, and of each core the kubelet thinks that it has one CPU."""
    host = ["--host", str(HOSTS / "x86-2s2n8c2t-offline3.host")]
    assert main([verb, DEDICATED, *host, "--kubelet", "reserved=0"]) == 0
    output = capsys.readouterr()
    assert "the kubelet gives away CPU 0, which is reserved for the system" in " ".join(
        (output.out + output.err).split()
    )


def test_a_host_is_told_on_which_the_kubelet_is_not_to_be_trusted(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["host", "--host", str(HOSTS / "x86-2s2n8c2t-offline3.host")]) == 0
    assert "not all cores have as many CPUs online (offline: 3), it takes each to have 1" in capsys.readouterr().out
    assert main(["host", "--host", str(HOSTS / "x86-1s1n4c2t-cgroup2.host")]) == 0
    assert "not all cores" not in capsys.readouterr().out
