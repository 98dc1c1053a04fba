"""CRI-O's variables and those of claims, as `plan`, `check`, `host` and `pod` take them from the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launcher import cli

CHECKOUT = str(Path(__file__).parents[2])
EXAMPLE = str(Path(__file__).parents[2] / "templates/examples/isolated-iothreads.yaml")
HOST = ("--host", "node:1 core:8 pu:1", "--cpuset", "2-7")


@pytest.fixture
def crio(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setenv("OPENSHIFT_ISOLATED_CPUS", "2-5")
    monkeypatch.setenv("OPENSHIFT_SHARED_CPUS", "6-7")
    return monkeypatch


def test_a_plan_puts_vcpus_on_isolated_cpus_and_the_rest_on_shared_ones(
    crio: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["plan", EXAMPLE, *HOST, "--format", "json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [pin["cpu"] for pin in plan["vcpus"]] == [2, 3, 4, 5]
    assert (plan["emulator"], set(plan["iothreads"].values())) == ("6-7", {"6-7"})


@pytest.mark.parametrize("verb", ["plan", "check"])
def test_a_contradiction_ends_with_status_4_and_one_line(
    verb: str, crio: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    crio.setenv("OPENSHIFT_SHARED_CPUS", "6-8")
    assert cli.main([verb, EXAMPLE, *HOST]) == 4
    assert capsys.readouterr().err.splitlines()[-1] == (
        "virt-launcher: OPENSHIFT_SHARED_CPUS (6-8) names CPUs 8, which --cpuset (2-7) does not hold"
    )


def test_a_malformed_variable_ends_with_status_4_and_its_name(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DRA_CPUSET_7c\x1b[2J", "2-")
    assert cli.main(["plan", EXAMPLE, *HOST]) == 4
    (line,) = capsys.readouterr().err.splitlines()
    assert "DRA_CPUSET_7c" in line
    assert "\x1b" not in line


def test_this_machines_are_shown_with_their_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["host", "--format", "json"]) == 0
    cpuset = json.loads(capsys.readouterr().out)["cpuset"]
    monkeypatch.setenv("DRA_CPUSET_1b2f", cpuset)
    assert cli.main(["host"]) == 0
    assert f"claimed   {cpuset}, read from DRA_CPUSET_1b2f\n" in capsys.readouterr().out
    assert cli.main(["host", "--format", "json"]) == 0
    owners = json.loads(capsys.readouterr().out)["owners"]
    assert owners == [{"kind": "claimed", "cpus": cpuset, "source": "DRA_CPUSET_1b2f"}]


def test_a_pod_for_a_node_that_shares_cpus_fits_where_one_that_asks_for_more_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    node = ("--host", "node:1 core:5 pu:1", "--kubelet", "reserved=0")
    assert cli.main(["pod", EXAMPLE, *node]) == 5
    assert cli.main(["pod", EXAMPLE, *node, "--shared-cpus"]) == 0
    assert "cpu-shared.crio.io/compute: enable" in capsys.readouterr().out


CAPTURED = "sys/devices/system/cpu/online: 0-7\nproc/self/status: Cpus_allowed_list:\\t0-7\n"


def _planned(capsys: pytest.CaptureFixture[str], capture: Path) -> dict[str, object]:
    assert cli.main(["plan", EXAMPLE, "--host", str(capture), "--format", "json"]) == 0
    return dict(json.loads(capsys.readouterr().out))


def test_this_machines_environment_does_not_speak_for_a_capture(
    crio: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    crio.setenv("OPENSHIFT_SHARED_CPUS", "98-99")
    capture = tmp_path / "host.txt"
    capture.write_text(CAPTURED)
    assert [pin["cpu"] for pin in _planned(capsys, capture)["vcpus"]] == [0, 1, 2, 3]  # type: ignore[attr-defined]
    assert cli.main(["host", "--host", str(capture)]) == 0
    assert cli.main(["plan", EXAMPLE, "--host", "node:1 core:8 pu:1"]) == 0


def test_a_capture_that_holds_the_variables_speaks_for_itself(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capture = tmp_path / "host.txt"
    told = "proc/self/environ: OPENSHIFT_ISOLATED_CPUS=2-5\\x00OPENSHIFT_SHARED_CPUS=0-1,6-7\n"
    capture.write_text(CAPTURED + told)
    planned = _planned(capsys, capture)
    assert [pin["cpu"] for pin in planned["vcpus"]] == [2, 3, 4, 5]  # type: ignore[attr-defined]
    assert planned["emulator"] == "0-1,6-7"
    assert cli.main(["host", "--host", str(capture)]) == 0
    assert "2-5, read from OPENSHIFT_ISOLATED_CPUS\n" in capsys.readouterr().out


def test_what_the_environment_says_is_captured_and_nothing_else_of_it(tmp_path: Path) -> None:
    capture = tmp_path / "host.txt"
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": CHECKOUT, "DRA_CPUSET_a": "0", "SECRET": "s3cret"}
    command = [sys.executable, "-m", "launcher", "host", "--capture", str(capture)]
    subprocess.run(command, check=True, env=environment)
    lines = capture.read_text().splitlines()
    assert [line for line in lines if "environ" in line] == ["proc/self/environ: DRA_CPUSET_a=0"]
    assert "s3cret" not in capture.read_text()


@pytest.mark.parametrize("text", ["", "\\x00\\x00", "OPENSHIFT_ISOLATED_CPUS", "OPENSHIFT_ISOLATED_CPUS=", "=2-5"])
def test_a_captured_environment_that_says_nothing_is_none(
    text: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capture = tmp_path / "host.txt"
    capture.write_text(f"{CAPTURED}proc/self/environ: {text}\n")
    assert [pin["cpu"] for pin in _planned(capsys, capture)["vcpus"]] == [0, 1, 2, 3]  # type: ignore[attr-defined]


def test_a_captured_variable_that_is_no_list_ends_with_status_4(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    capture = tmp_path / "host.txt"
    capture.write_text(f"{CAPTURED}proc/self/environ: DRA_CPUSET_x=2-\\x00A=b\n")
    assert cli.main(["plan", EXAMPLE, "--host", str(capture)]) == 4
    assert "DRA_CPUSET_x" in capsys.readouterr().err
