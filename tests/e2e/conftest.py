"""What the tests on an emulated node share: its shape, its containers' mounts, and a cache of QEMU's capabilities."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.containers import capability_cache, prepare_node, session_everywhere
from tests.e2e.guests import make_images


@pytest.fixture(scope="session")
def shape() -> str:
    """The name of the node's shape."""
    found = os.environ.get("NODE_SHAPE")
    if found is None:
        pytest.fail("these tests run on an emulated node: hack/node test --shape NAME tests/e2e")
    return found


@pytest.fixture(scope="session")
def node(shape: str) -> Iterator[Path]:
    """The node, ready for containers; the folder is its cache of QEMU's capabilities."""
    prepare_node()
    make_images()
    with capability_cache() as cache:
        yield cache


@pytest.fixture(scope="module")
def every_cpu() -> Iterator[tuple[int, ...]]:
    """Every CPU of the node, for a launcher outside of containers; the tests before may have left the session a few."""
    with session_everywhere() as cpus:
        yield cpus
