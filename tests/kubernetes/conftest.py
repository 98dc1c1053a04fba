"""What the tests on a node with Kubernetes share: the node labelled, and its guests."""

from __future__ import annotations

import os
from collections.abc import Generator

import pytest

from tests.e2e.kernel import NODES
from tests.kubernetes.cluster import RUN, Cluster
from tests.kubernetes.guests import make_guests

_PAGES = 96


@pytest.fixture(scope="session")
def node() -> Cluster:
    """The node's Kubernetes, its one node labelled as `virt-launcher node-label` would."""
    if "NODE_SHAPE" not in os.environ or not RUN.is_dir():
        pytest.fail("these tests run on an emulated node with Kubernetes: make e2e-kube")
    make_guests()
    cluster = Cluster()
    cluster.check_parts()
    cluster.api.patch("/api/v1/nodes/node", {"metadata": {"labels": {"cpumanager": "true"}}})
    return cluster


@pytest.fixture
def cluster(node: Cluster, request: pytest.FixtureRequest) -> Cluster:
    """The node's Kubernetes, its kubelet as the test's mark `kubelet` wants it, or as it began.

    What one test has made of the kubelet stays until another wants something else: each new start takes seconds.
    """
    mark = request.node.get_closest_marker("kubelet")
    node.use_kubelet(**({} if mark is None else mark.kwargs))
    return node


@pytest.fixture(scope="session")
def kvm(node: Cluster) -> Cluster:
    """Return the node with pages of 2 MiB, which a kubelet sees when it starts, and the device plugin's resource.

    It has the label of nodes for realtime guests, too, which KubeVirt's node labeller sets.
    """
    node.api.patch("/api/v1/nodes/node", {"metadata": {"labels": {"kubevirt.io/realtime": "true"}}})
    for folder in NODES.glob("node[0-9]*"):
        (folder / "hugepages/hugepages-2048kB/nr_hugepages").write_text(str(_PAGES))
    node.configure((RUN / "kubelet.yaml").read_text())

    def has_them() -> bool:
        allocatable = node.api.get("/api/v1/nodes/node")["status"]["allocatable"]
        return all(allocatable.get(name, "0") != "0" for name in ("devices.kubevirt.io/kvm", "hugepages-2Mi"))

    node.wait_for("KVM and huge pages of the node", has_them)
    return node


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Say at once what failed: the whole comes at the end alone, and a run takes a quarter of an hour."""
    report = yield
    terminal = item.config.pluginmanager.get_plugin("terminalreporter")
    if report.failed and terminal is not None:
        terminal.write_line(f"\n{item.nodeid}: {report.longreprtext.rpartition('E   ')[2][:300]}")
    return report
