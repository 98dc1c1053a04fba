"""The verbs that need neither libvirt nor this machine, as they are typed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lxml import etree

from launcher.cli import main

CHECKOUT = Path(__file__).parent.parent.parent
EXAMPLES = sorted((CHECKOUT / "templates/examples").glob("*.yaml"))
# A host on which every example fits: two nodes, SMT, and free huge pages.
HOST = "numa:2(memory=64GiB hugepages=2MiB:16384,1GiB:16) core:16 pu:2"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_valid_planned_and_rendered(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(path)]) == 0
    assert main(["plan", str(path), "--host", HOST, "--explain"]) == 0
    capsys.readouterr()
    assert main(["plan", str(path), "--host", HOST, "--format", "json"]) == 0
    planned = json.loads(capsys.readouterr().out)
    assert main(["render", str(path), "--host", HOST]) == 0
    domain = etree.fromstring(capsys.readouterr().out)
    pins = {pin.get("vcpu"): pin.get("cpuset") for pin in domain.findall("cputune/vcpupin")}
    assert pins == {str(pin["vcpu"]): str(pin["cpu"]) for pin in planned["vcpus"]}
    assert [pin.get("cpuset") for pin in domain.findall("cputune/emulatorpin")] == [planned["emulator"]]


def test_the_json_of_a_plan_has_the_form_that_is_promised(capsys: pytest.CaptureFixture[str]) -> None:
    path = CHECKOUT / "templates/examples/demo.yaml"
    assert main(["plan", str(path), "--host", "node:1 core:4 pu:1", "--cpuset", "1-3", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["vcpus"] == [
        {"vcpu": 0, "cpu": 1, "core": 1, "socket": 0, "node": 0},
        {"vcpu": 1, "cpu": 2, "core": 2, "socket": 0, "node": 0},
    ]
    assert (document["emulator"], document["iothreads"], document["cells"]) == ("3", {}, [])
    assert {"spare", "warnings", "reasons"} <= document.keys()


def test_a_plan_is_a_picture_too(capsys: pytest.CaptureFixture[str]) -> None:
    path = CHECKOUT / "templates/examples/demo.yaml"
    assert main(["plan", str(path), "--host", "node:1 core:4 pu:1", "--format", "svg"]) == 0
    assert etree.fromstring(capsys.readouterr().out.encode()).tag == "{http://www.w3.org/2000/svg}svg"


def test_the_same_input_gives_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    path = CHECKOUT / "templates/examples/numa-hugepages.yaml"
    outputs = []
    for _ in range(2):
        for verb in (["plan", "--explain"], ["plan", "--format", "json"], ["plan", "--format", "svg"], ["render"]):
            assert main([verb[0], str(path), "--host", HOST, *verb[1:]]) == 0
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]


def test_a_capture_of_this_machine_is_read_back_as_this_machine(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "here.host"
    assert main(["host", "--capture", str(path)]) == 0
    assert main(["host", "--format", "json"]) == 0
    here = capsys.readouterr().out
    assert main(["host", "--host", str(path), "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(here)


def test_plan_and_render_work_where_libvirt_is_not_installed(tmp_path: Path) -> None:
    blocker = tmp_path / "libvirt.py"
    blocker.write_text("raise ImportError('there is no libvirt here')")
    path = os.pathsep.join((str(tmp_path), str(CHECKOUT)))
    for verb in ("plan", "render"):
        command = [sys.executable, "-m", "launcher", verb, str(EXAMPLES[0]), "--host", HOST]
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": path}
        )
        assert (result.returncode, result.stderr) == (0, "")


def test_a_reader_that_leaves_early_is_no_error() -> None:
    command = f"{sys.executable} -m launcher plan {EXAMPLES[0]} --host 'node:8 core:64 pu:2' --explain | head -n 1"
    result = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert (result.returncode, result.stderr) == (0, "")


def test_a_manifest_comes_from_standard_input_too() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "launcher", "check", "-"],
        input=EXAMPLES[0].read_bytes(),
        capture_output=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
    )
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("words", [["host"], ["plan", str(CHECKOUT / "templates/examples/smallest.yaml")]])
def test_what_a_capture_holds_does_not_steer_the_terminal(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captured = (CHECKOUT / "tests/hosts/x86-1s1n4c2t-cgroup2.host").read_text()
    (tmp_path / "a.host").write_text(captured.replace("kubepods", r"kube\x1b[31mpods"))
    assert main([*words, "--host", str(tmp_path / "a.host")]) == 0
    shown = capsys.readouterr().out
    assert ("\x1b" in shown, r"kube\x1b[31mpods" in shown) == (False, True)


@pytest.mark.parametrize("verb", ["host", f"plan {CHECKOUT}/templates/examples/smallest.yaml"])
def test_a_capture_may_come_through_a_pipe(verb: str) -> None:
    program = f'"{sys.executable}" -c "from launcher.cli import command; command()"'
    capture = CHECKOUT / "tests/hosts/x86-1s1n4c2t-cgroup2.host"
    shell = f'cat "{capture}" | {program} {verb} --host /dev/stdin'
    ended = subprocess.run(["sh", "-c", shell], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    ("options", "status", "said"),
    [
        pytest.param([], 0, "examples/dedicated is valid\n", id="the manifest alone"),
        pytest.param(["--host", "core:2 pu:2"], 0, "examples/dedicated is valid, and fits\n", id="a node with room"),
        pytest.param(["--host", "core:1 pu:2"], 5, "the guest needs 4 CPUs", id="a node that is too small"),
        pytest.param(
            ["--host", "core:2 pu:2", "--kubelet", "reserved=0"],
            5,
            "requested=4, available=3",
            id="its kubelet says no",
        ),
        pytest.param(["--host", "core:2 pu:2", "--cpuset", "0-2"], 5, "found 3", id="a cpuset that is too small"),
    ],
)
def test_a_manifest_is_checked_against_a_node_that_is_described(
    options: list[str], status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(CHECKOUT / "templates/examples/dedicated.yaml"), *options]) == status
    output = capsys.readouterr()
    assert said in output.out + output.err
