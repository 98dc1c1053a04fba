"""The verb `pod` as it is typed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import yaml

from launcher import __version__
from launcher.cli import main
from launcher.cli.arguments import parse_arguments
from tests.pod.kubernetes import check_carrier, check_pod, content_of

CHECKOUT = Path(__file__).parents[2]
EXAMPLES = sorted((CHECKOUT / "templates/examples").glob("*.yaml"))
DEDICATED = str(CHECKOUT / "templates/examples/dedicated.yaml")


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[dict[str, Any], dict[str, Any]]:
    assert main(["pod", *arguments]) == 0
    carrier, pod = yaml.safe_load_all(capsys.readouterr().out)
    return carrier, pod


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_becomes_one_stream_for_kubectl(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    carrier, pod = printed(capsys, str(path), "--explain")
    check_carrier(carrier)
    check_pod(pod)


def _is_item(line: str) -> bool:
    return re.match(r"#  +\d+Mi  ", line) is not None


def test_the_image_that_make_image_built_is_named_in_full_and_pulled_from_nowhere(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A bare name is Docker's library to a kubelet, to docker and to ctr: none would find what was loaded."""
    _, pod = printed(capsys, DEDICATED)
    (container,) = pod["spec"]["containers"]
    built = (CHECKOUT / "hack/image").read_text()
    assert (container["image"], container["imagePullPolicy"]) == (f"localhost/virt-launcher:{__version__}", "Never")
    assert '_NAME = f"localhost/virt-launcher:{__version__}"' in built
    label = (CHECKOUT / "templates/node-label/daemonset.yaml").read_text()
    assert f"image: localhost/virt-launcher:{__version__}\n" in label


def test_an_image_of_a_registry_is_pulled_as_kubernetes_has_it(capsys: pytest.CaptureFixture[str]) -> None:
    _, pod = printed(capsys, DEDICATED, "--image", "registry.example/virt-launcher:1")
    (container,) = pod["spec"]["containers"]
    assert "imagePullPolicy" not in container


PROBES = ("startupProbe", "livenessProbe", "readinessProbe")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_containers_arguments_are_run_s_own(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    carrier, pod = printed(capsys, str(path))
    (container,) = pod["spec"]["containers"]
    options = parse_arguments(container["args"])
    places = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    (name,) = content_of(carrier)
    assert (options.verb, options.vmi) == ("run", f"{places['vmi']}/{name}")
    assert options.root == places["root"]
    assert {container[probe]["httpGet"]["port"] for probe in PROBES} == {int(options.listen.removeprefix(":"))}


def test_the_same_manifest_gives_the_same_bytes(capsys: pytest.CaptureFixture[str]) -> None:
    outputs = set()
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-m", "launcher", "pod", DEDICATED],
            cwd=CHECKOUT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=60,
        )
        outputs.add(result.stdout)
    assert len(outputs) == 1


def test_explain_shows_the_sum_item_by_item(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pod", DEDICATED, "--explain"]) == 0
    lines = capsys.readouterr().out.splitlines()
    totals = {line.split()[1]: line for line in lines if line.endswith(" =")}
    assert list(totals) == ["memory:", "ephemeral-storage:"]
    for line in totals.values():
        items = lines[lines.index(line) + 1 :]
        addends = [int(item.split()[1].removesuffix("Mi")) for item in takewhile(_is_item, items)]
        assert len(addends) > 3
        assert sum(addends) == int(re.findall(r"(\d+)Mi", line)[-1])


def test_the_choices_are_in_the_pod(capsys: pytest.CaptureFixture[str]) -> None:
    _, pod = printed(
        capsys, DEDICATED, "--image", "example/launcher:2", "--kvm-resource", "example.org/kvm", "--cache-folder", "/c"
    )
    (container,) = pod["spec"]["containers"]
    assert container["image"] == "example/launcher:2"
    assert container["resources"]["limits"]["example.org/kvm"] == "1"
    assert {"name": "shared-cache", "hostPath": {"path": "/c", "type": "Directory"}} in pod["spec"]["volumes"]


FITS = [
    ("a_node_with_room", ["--host", "node:1 core:4 pu:2", "--kubelet", "reserved=0"], 0, ""),
    (
        "a_node_whose_cpus_are_taken",
        ["--host", "node:1 core:4 pu:2", "--kubelet", "reserved=0,in-use=1-5"],
        5,
        "available=2",
    ),
    ("a_node_without_the_static_policy", ["--host", "node:1 core:2 pu:1", "--kubelet", "policy=none"], 5, "found 2"),
    ("a_cpuset_that_is_too_small", ["--host", "node:1 core:4 pu:2", "--cpuset", "1-3"], 5, "4 vCPUs"),
    ("a_cpuset_and_a_kubelet", ["--host", "node:1 core:4 pu:2", "--cpuset", "1-4", "--kubelet", ""], 2, "exclude"),
]


@pytest.mark.parametrize(("arguments", "status", "message"), [row[1:] for row in FITS], ids=[row[0] for row in FITS])
def test_the_pod_is_tried_on(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["pod", DEDICATED, *arguments]) == status
    output = capsys.readouterr()
    assert bool(output.out) is (status == 0)
    assert message in output.err


def test_a_wrong_manifest_is_told_by_all_its_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "vmi.yaml"
    path.write_text("kind: VirtualMachineInstance\nspec: {domain: {cpu: {cores: -1}, memoryy: {}}}")
    assert main(["pod", str(path)]) == 3
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") > 2


if shutil.which("kubectl"):

    @pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
    def test_kubectl_knows_every_field(path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """`kubectl set image --local` reads a Pod into Kubernetes' own structures: an unknown field gets lost there."""
        _, pod = printed(capsys, str(path))
        file = tmp_path / "pod.json"
        file.write_text(json.dumps(pod))
        command = ["kubectl", "set", "image", "--local", "-f", str(file), "compute=another", "-o", "json"]
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        pod["spec"]["containers"][0]["image"] = "another"
        assert _without_additions(json.loads(result.stdout), pod) == pod

    def _without_additions(found: Any, wanted: Any) -> Any:
        """Return what was found without the empty fields that kubectl adds."""
        if isinstance(found, dict) and isinstance(wanted, dict):
            return {
                key: _without_additions(value, wanted.get(key))
                for key, value in found.items()
                if key in wanted or value not in (None, {}, "")
            }
        if isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
            return [_without_additions(one, other) for one, other in zip(found, wanted, strict=True)]
        return found
