"""The label of the node, by the DaemonSet as it is in templates: it follows the policy, and the advice works."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest
import yaml

from tests.kubernetes.api import Object, path_of
from tests.kubernetes.cluster import PATIENCE_S, RUN, STATE, Cluster
from tests.qemu.guests import CHECKOUT

NAMESPACE = "virt-launcher"
MANIFEST = CHECKOUT / "templates/node-label/daemonset.yaml"


@pytest.fixture
def daemon_set(cluster: Cluster) -> Iterator[None]:
    """Apply the manifest, unchanged, on a node without the label."""
    cluster.api.patch("/api/v1/nodes/node", {"metadata": {"labels": {"cpumanager": None}}})
    manifests: list[Object] = list(yaml.safe_load_all(MANIFEST.read_text()))
    cluster.apply(manifests)
    yield
    for manifest in manifests:
        cluster.api.delete(path_of(manifest))
    cluster.api.patch("/api/v1/nodes/node", {"metadata": {"labels": {"cpumanager": "true"}}})


def label_of(cluster: Cluster) -> str | None:
    labels: dict[str, str] = cluster.api.get("/api/v1/nodes/node")["metadata"]["labels"]
    return labels.get("cpumanager")


def ask_anew(cluster: Cluster) -> None:
    """End the DaemonSet's Pod, for another one asks at once."""
    pods = cluster.api.get(f"/api/v1/namespaces/{NAMESPACE}/pods")["items"]
    for pod in pods:
        cluster.api.delete(f"/api/v1/namespaces/{NAMESPACE}/pods/{pod['metadata']['name']}", grace_s=1)


@pytest.mark.usefixtures("daemon_set")
def test_the_label_follows_the_policy_and_the_advice_works_to_the_letter(cluster: Cluster) -> None:
    cluster.wait_for("label of a static node", lambda: label_of(cluster) == "true")

    # Another policy over the state that is there: the kubelet ends at every start, and says so.
    configuration = RUN / "kubelet.yaml"
    static = configuration.read_text()
    configuration.write_text(static.replace("cpuManagerPolicy: static", "cpuManagerPolicy: none"))
    try:
        cluster.stop("kubelet")
        cluster.start("kubelet")
        died = wait_for_death(cluster)
        assert 'configured policy "none" differs from state checkpoint policy "static"' in died
        told = explained()
        assert "this node's kubelet does not start: its configuration says 'none' and its state file 'static'" in told
        assert f"3. remove the state file: rm {STATE}" in told
        STATE.unlink()
        cluster.start("kubelet")
        cluster.wait_for("state file of the policy none", lambda: STATE.exists() and '"none"' in STATE.read_text())
        ask_anew(cluster)
        cluster.wait_for("label of a node with the policy none", lambda: label_of(cluster) == "false")
        assert "to have it hand out whole CPUs:" in explained()
    finally:
        # And back, as the advice has it: stop, remove, configure, start.
        cluster.configure(static)
    ask_anew(cluster)
    cluster.wait_for("label of a static node again", lambda: label_of(cluster) == "true")


def wait_for_death(cluster: Cluster) -> str:
    died = RUN / "died"
    text = cluster.wait_for_quietly("end of the kubelet", died.read_text)
    died.write_text("")
    # The kubelet's log puts what it says in quotes, and escapes those in it.
    return text.replace('\\"', '"')


def explained() -> str:
    words = [
        "virt-launcher",
        "node-label",
        "--explain",
        "--kubelet-config",
        str(RUN / "kubelet.yaml"),
        "--node",
        "node",
    ]
    return subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def test_who_may_not_read_the_state_file_is_told_to_ask_as_root(cluster: Cluster) -> None:
    cluster.check_parts()
    words = [
        "setpriv",
        "--reuid",
        "107",
        "--regid",
        "107",
        "--clear-groups",
        "virt-launcher",
        "node-label",
        "--explain",
    ]
    told = subprocess.run(words, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout
    assert "Permission denied" in told
    assert f"ask as root (sudo virt-launcher node-label --state-file {STATE})" in told
    assert "drain" not in told


def test_a_state_file_that_was_cut_short_ends_the_kubelet_and_is_told_as_what_it_is(cluster: Cluster) -> None:
    configuration = (RUN / "kubelet.yaml").read_text()
    whole = STATE.read_text()
    cluster.stop("kubelet")
    try:
        STATE.write_text(whole[: len(whole) // 2])
        told = explained()
        assert "cpumanager=false" in told
        assert f"{STATE}: the file is not JSON, or a part of it only" in told
        assert f"3. remove the state file: rm {STATE}" in told
        cluster.start("kubelet")
        assert "could not restore state from checkpoint" in wait_for_death(cluster)
    finally:
        cluster.configure(configuration)
    assert "cpumanager=true" in explained()
