"""The Pods that `virt-launcher pod` prints, of each example and of many kinds of guests, taken by a real API server."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from launcher.vmi.document import read_document
from tests.kubernetes.api import AlreadyThere, Object
from tests.kubernetes.cluster import Cluster
from tests.pod.pods import Rendered, rendered
from tests.pod.test_shapes import SHAPES
from tests.qemu.guests import CHECKOUT

EXAMPLES = sorted((CHECKOUT / "templates/examples").glob("*.yaml"))


@pytest.mark.parametrize(("spec", "choices"), [row[1:3] for row in SHAPES], ids=[row[0] for row in SHAPES])
def test_the_api_server_takes(cluster: Cluster, spec: str, choices: dict[str, Any]) -> None:
    assert_taken(cluster, rendered(spec, **choices))


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_api_server_takes_the_example(cluster: Cluster, path: Any) -> None:
    assert_taken(cluster, rendered(read_document(str(path))))


def assert_taken(cluster: Cluster, found: Rendered) -> None:
    """Have each object admitted by a server-side dry run, fields that it does not know being errors."""
    account = found.spec.get("serviceAccountName", "default")
    with contextlib.suppress(AlreadyThere):
        cluster.api.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": account}})
    for manifest in (*found.manifest.claims, found.carrier, found.pod):
        cluster.api.create_dry(_plain(manifest), "default")


def _plain(manifest: Any) -> Object:
    """Return the manifest without the namespace of the machine's, which is not there."""
    metadata = {key: value for key, value in manifest["metadata"].items() if key != "namespace"}
    return {**manifest, "metadata": metadata}
