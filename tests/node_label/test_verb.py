"""The verb `node-label` as it is typed, and what it sends to the API server."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from launcher.cli import main
from launcher.cli.node_api import NotLabelled, in_cluster, label_node
from tests.node_label.stand_in import TOKEN, StandIn, api_server
from tests.node_label.states import NONE, V4

CHECKOUT = Path(__file__).parents[2]
DAEMON_SET = CHECKOUT / "templates/node-label/daemonset.yaml"
CONFIGURATION = "kind: KubeletConfiguration\ncpuManagerPolicy: {}\nreservedSystemCPUs: 0-1\n"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = tmp_path / "cpu_manager_state"
    path.write_text(json.dumps(V4))
    return path


@pytest.fixture
def api(tmp_path: Path) -> Iterator[StandIn]:
    folder = tmp_path / "account"
    folder.mkdir()
    with api_server(folder) as stand_in:
        yield stand_in


@pytest.fixture
def in_pod(api: StandIn, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """The environment of a container, as the kubelet and the DaemonSet make it."""
    for name, value in {**api.environment, "NODE_NAME": "worker-3"}.items():
        monkeypatch.setenv(name, value)
    return api


def arguments(state: Path, api: StandIn, *more: str) -> list[str]:
    return ["node-label", "--state-file", str(state), "--service-account", str(api.account), *more]


def test_a_static_node_is_labelled_true(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["node-label", "--state-file", str(state)]) == 0
    assert capsys.readouterr() == ("cpumanager=true\n", "")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (json.dumps(NONE).encode(), "the kubelet runs the CPU manager's policy none"),
        (json.dumps(V4).encode()[:-5], "the file is not JSON, or a part of it only"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (None, "cannot be read: No such file or directory"),
    ],
    ids=["policy none", "a part", "bytes", "no file"],
)
def test_a_false_is_said_with_its_reason_and_file(
    state: Path, capsys: pytest.CaptureFixture[str], content: bytes | None, reason: str
) -> None:
    state.unlink() if content is None else state.write_bytes(content)
    assert main(["node-label", "--state-file", str(state)]) == 0
    output = capsys.readouterr()
    assert output.out == "cpumanager=false\n"
    assert output.err.startswith(f"virt-launcher: cpumanager=false: {state}: {reason}")
    assert output.err.count("\n") == 1


def test_a_file_that_may_not_be_read_is_false(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["node-label", "--state-file", str(state)]
    # Once as it is: what the verb needs is imported while this user may read the checkout.
    assert main(command) == 0
    capsys.readouterr()
    state.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with _unprivileged():
        status = main(command)
    output = capsys.readouterr()
    assert (status, output.out) == (0, "cpumanager=false\n")
    assert "Permission denied" in output.err


def test_a_file_that_may_not_be_read_labels_nothing_and_the_node_is_not_blamed_for_it(
    state: Path, in_pod: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = arguments(state, in_pod, "--explain")
    assert main(command) == 0
    capsys.readouterr()
    state.chmod(0)
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(0o755)
    with _unprivileged():
        explained, told = main(command), capsys.readouterr().out
        applied = main([*command, "--apply"])
    assert (explained, applied, in_pod.requests) == (0, 4, [])
    assert f"ask as root (sudo virt-launcher node-label --state-file {state})" in told
    assert "drain" not in told
    assert f"not labelled: {state}: cannot be read: Permission denied" in capsys.readouterr().err


@contextmanager
def _unprivileged() -> Iterator[None]:
    """Be nobody for a while, where this is root, for whom no file is closed."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_explain_tells_the_five_steps(state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state.write_text(json.dumps(NONE))
    configuration = tmp_path / "config.yaml"
    configuration.write_text(CONFIGURATION.format("none"))
    assert main(["node-label", "--state-file", str(state), "--kubelet-config", str(configuration), "--explain"]) == 0
    output = capsys.readouterr().out
    assert output.startswith(f"cpumanager=false\n{state}: the kubelet runs the CPU manager's policy none\n")
    assert re.findall(r"(?m)^(\d)\. ", output) == list("12345")
    assert "does not start" not in output


@pytest.mark.parametrize("configured", ["static", "none"])
def test_explain_recognises_a_kubelet_that_loops(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], configured: str
) -> None:
    if configured == "static":
        state.write_text(json.dumps(NONE))
    configuration = tmp_path / "config.yaml"
    configuration.write_text(CONFIGURATION.format(configured))
    assert main(["node-label", "--state-file", str(state), "--kubelet-config", str(configuration), "--explain"]) == 0
    output = capsys.readouterr().out
    assert f"this node's kubelet does not start: its configuration says '{configured}'" in output
    assert f"rm {state}" in output


def test_explain_of_a_static_node_asks_for_nothing(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configuration = tmp_path / "config.yaml"
    configuration.write_text(CONFIGURATION.format("static"))
    assert main(["node-label", "--state-file", str(state), "--kubelet-config", str(configuration), "--explain"]) == 0
    expected = f"cpumanager=true\n{state}: the kubelet runs the CPU manager's policy static\n"
    assert capsys.readouterr().out == expected


def test_apply_patches_this_node_as_the_service_account(state: Path, in_pod: StandIn) -> None:
    assert main(arguments(state, in_pod, "--apply")) == 0
    (request,) = in_pod.requests
    assert (request.method, request.path) == ("PATCH", "/api/v1/nodes/worker-3")
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert request.headers["Content-Type"] == "application/merge-patch+json"
    assert request.body == {"metadata": {"labels": {"cpumanager": "true"}}}


def test_apply_takes_the_label_back_from_a_node_without_a_state_file(state: Path, in_pod: StandIn) -> None:
    state.unlink()
    assert main(arguments(state, in_pod, "--apply", "--node", "a/b")) == 0
    (request,) = in_pod.requests
    assert request.path == "/api/v1/nodes/a%2Fb", "a name cannot lead to another object"
    assert request.body == {"metadata": {"labels": {"cpumanager": "false"}}}


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ((403, b'{"kind": "Status", "message": "nodes is\\nforbidden"}'), "403 Forbidden: nodes is forbidden"),
        ((500, b"<html>oops</html>"), "500 Internal Server Error: <html>oops</html>"),
        ((500, b"[" * 60_000), "500 Internal Server Error: " + "[" * 200),
        ((404, b""), "404 Not Found: no reason given"),
        ((401, b'{"kind": "Status", "message": "Unauthorized"}'), "401 Unauthorized: Unauthorized"),
        ((409, b'{"message": "the object has been modified"}'), "409 Conflict: the object has been modified"),
        ((301, b"elsewhere"), "301 Moved Permanently: elsewhere"),
    ],
    ids=[
        "forbidden",
        "no status object",
        "nested deeper than Python goes",
        "nothing said",
        "no token",
        "in conflict",
        "moved",
    ],
)
def test_what_the_api_server_refuses_is_one_line_without_the_token(
    state: Path, in_pod: StandIn, capsys: pytest.CaptureFixture[str], said: tuple[int, bytes], message: str
) -> None:
    in_pod.status, in_pod.answer = said
    assert main(arguments(state, in_pod, "--apply")) == 4
    error = capsys.readouterr().err
    where = f"https://127.0.0.1:{in_pod.port}/api/v1/nodes/worker-3"
    assert error == f"virt-launcher: PATCH {where}: {message}\n"
    assert TOKEN not in error


def test_an_api_server_that_another_authority_vouches_for_is_sent_nothing(
    state: Path, in_pod: StandIn, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stranger = tmp_path / "stranger"
    stranger.mkdir()
    (stranger / "token").write_text(TOKEN)
    shutil.copy(DAEMON_SET, stranger / "ca.crt")
    assert main(["node-label", "--state-file", str(state), "--service-account", str(stranger), "--apply"]) == 4
    assert "ca.crt: " in capsys.readouterr().err
    assert in_pod.requests == []


def test_a_server_of_another_name_is_sent_nothing(
    state: Path, in_pod: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "localhost")
    assert main(arguments(state, in_pod, "--apply")) == 4
    assert "certificate verify failed" in capsys.readouterr().err
    assert in_pod.requests == []


@pytest.mark.parametrize(
    ("does", "said"),
    [("reset", "reset by peer|closed connection"), ("hang", "no answer in 0.2 s"), ("close", "closed connection")],
)
def test_an_api_server_that_breaks_off_or_never_answers_is_one_line(
    in_pod: StandIn, does: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("launcher.cli.node_api.TIMEOUT_S", 0.2)
    in_pod.does = does
    with pytest.raises(NotLabelled, match=f"^PATCH https://127.0.0.1:[^\n]*(?:{said})[^\n]*$") as refusal:
        label_node(in_cluster(in_pod.environment, in_pod.account), "n", {"cpumanager": "true"})
    assert refusal.value.is_passing


@pytest.mark.parametrize(
    ("status", "retry_after", "is_passing", "pause_s"),
    [
        (401, None, True, 0.0),
        (403, None, False, 0.0),
        (404, None, False, 0.0),
        (409, None, True, 0.0),
        (429, "7", True, 7.0),
        (500, "soon", True, 0.0),
        (503, "100000000", True, 0.0),
    ],
)
def test_another_try_is_made_where_it_may_help(
    in_pod: StandIn, status: int, retry_after: str | None, is_passing: bool, pause_s: float
) -> None:
    in_pod.status, in_pod.retry_after = status, retry_after
    with pytest.raises(NotLabelled) as refusal:
        label_node(in_cluster(in_pod.environment, in_pod.account), "n", {"cpumanager": "true"})
    assert (refusal.value.is_passing, refusal.value.pause_s) == (is_passing, pause_s)


def test_the_pauses_between_tries_grow_up_to_the_interval(state: Path, api: StandIn) -> None:
    """0, 1, 3 and 7 s after its start it asks, though it is told to ask every minute."""
    api.status = 503
    command = [sys.executable, "-m", "launcher", *arguments(state, api, "--apply", "--node", "n1", "--every", "60")]
    process = subprocess.Popen(command, env={**os.environ, **api.environment}, cwd=CHECKOUT, stderr=subprocess.DEVNULL)
    try:
        for _ in range(4):
            assert api.asked.wait(60), "another try"
            api.asked.clear()
    finally:
        process.terminate()
        assert process.wait(60) == 0
    first, *pauses = [later - earlier for earlier, later in pairwise(api.times)]
    assert first >= 0.9
    assert pauses == sorted(pauses)
    assert pauses[0] >= 1.8
    assert pauses[-1] >= 3.6


@pytest.mark.parametrize(
    "content", [None, "", "a\nb", "tok\u00e9n"], ids=["missing", "empty", "two lines", "not ASCII"]
)
def test_a_token_that_is_none_is_named(
    state: Path, in_pod: StandIn, capsys: pytest.CaptureFixture[str], content: str | None
) -> None:
    token = in_pod.account / "token"
    token.unlink() if content is None else token.write_text(content)
    assert main(arguments(state, in_pod, "--apply")) == 4
    assert capsys.readouterr().err.startswith(f"virt-launcher: {token}: ")
    assert in_pod.requests == []


def test_outside_a_pod_apply_says_what_to_do_instead(
    state: Path, api: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert main(arguments(state, api, "--apply", "--node", "n")) == 4
    assert "kubectl label node" in capsys.readouterr().err


def test_apply_needs_a_node(
    state: Path, in_pod: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NODE_NAME")
    assert main(arguments(state, in_pod, "--apply")) == 2
    assert "--node" in capsys.readouterr().err
    assert in_pod.requests == []


def test_every_needs_apply(state: Path, api: StandIn, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(state, api, "--every", "5")) == 2
    assert "--apply" in capsys.readouterr().err


def test_in_a_daemon_set_the_label_follows_the_file_past_refusals_until_sigterm(state: Path, api: StandIn) -> None:
    api.status = 503
    process = subprocess.Popen(
        [sys.executable, "-m", "launcher", *arguments(state, api, "--apply", "--node", "n1", "--every", "1")],
        env={**os.environ, **api.environment},
        cwd=CHECKOUT,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert api.asked.wait(60), "the first patch"
        api.asked.clear()
        api.status = 200
        state.write_text(json.dumps(NONE))
        while not any("false" in str(request.body) for request in api.requests):
            assert api.asked.wait(60), "a patch after the change"
            api.asked.clear()
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0
    events = [json.loads(line) for line in errors.splitlines()]
    assert events[0]["event"] == "not labelled"
    assert "labelled" in {event["event"] for event in events}
    assert TOKEN not in errors


def test_the_daemon_sets_arguments_are_the_verbs_own() -> None:
    *_, daemon_set = yaml.safe_load_all(DAEMON_SET.read_text())
    (container,) = daemon_set["spec"]["template"]["spec"]["containers"]
    result = subprocess.run(
        [sys.executable, "-m", "launcher", *container["args"], "--service-account", "/nonexistent"],
        capture_output=True,
        text=True,
        check=False,
        cwd=CHECKOUT,
        env={key: value for key, value in os.environ.items() if not key.startswith("KUBERNETES")},
        timeout=60,
    )
    assert result.returncode == 4, result.stderr
    assert "KUBERNETES_SERVICE_HOST" in result.stderr


def test_the_daemon_set_may_do_what_it_does_and_no_more() -> None:
    documents = {document["kind"]: document for document in yaml.safe_load_all(DAEMON_SET.read_text())}
    assert documents["ClusterRole"]["rules"] == [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["patch"]}]
    pod = documents["DaemonSet"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert [mount["readOnly"] for mount in container["volumeMounts"]] == [True]
    assert container["env"][0]["valueFrom"] == {"fieldRef": {"fieldPath": "spec.nodeName"}}
    account = documents["ServiceAccount"]["metadata"]
    assert documents["ClusterRoleBinding"]["subjects"] == [
        {"kind": "ServiceAccount", "name": account["name"], "namespace": account["namespace"]}
    ]
    assert pod["serviceAccountName"] == account["name"]


if shutil.which("kubectl"):

    def test_kubectl_makes_of_the_patch_what_is_meant(state: Path, in_pod: StandIn, tmp_path: Path) -> None:
        assert main(arguments(state, in_pod, "--apply")) == 0
        node = tmp_path / "node.json"
        labels = {"cpumanager": "false", "zone": "a"}
        node.write_text(json.dumps({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n", "labels": labels}}))
        body = json.dumps(in_pod.requests[0].body)
        command = ["kubectl", "patch", "--local", "-f", str(node), "--type", "merge", "-p", body, "-o", "json"]
        result = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
        assert json.loads(result.stdout)["metadata"]["labels"] == {"cpumanager": "true", "zone": "a"}


def test_a_file_that_is_not_there_is_looked_for_elsewhere_before_anything_is_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "cpu_manager_state"
    assert main(["node-label", "--state-file", str(path), "--explain"]) == 0
    output = capsys.readouterr().out
    assert f"{path} is not there. Does the kubelet keep its files elsewhere (its --root-dir)?" in output
    assert output.index("--root-dir") < output.index("1. drain")
    assert f"rm {path}" not in output
