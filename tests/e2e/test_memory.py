"""Memory bound to two nodes in ordinary pages: no page elsewhere; and what somebody moves away is told with numbers.

What is asserted is read from the node's kernel. The guest's memory is all there before it runs: it need not boot.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.confined import confined
from tests.e2e.containers import wait_until
from tests.e2e.kernel import Mapping, memory_of, node_of
from tests.qemu.guests import Launcher, manifest

GUEST_BYTES = 128 << 20
CELL_BYTES = GUEST_BYTES // 2
_MIGRATE_PAGES = 256  # arch/x86/entry/syscalls/syscall_64.tbl
# What is moved away is told within a minute.
A_MINUTE_S = 60.0


@pytest.fixture(scope="module")
def nodes(every_cpu: tuple[int, ...]) -> tuple[int, int]:
    """Two nodes of this machine, those with the lowest CPUs."""
    first, second, *_ = sorted({node_of(cpu) for cpu in every_cpu})
    return first, second


@pytest.fixture(scope="module")
def launcher(nodes: tuple[int, int], every_cpu: tuple[int, ...]) -> Iterator[Launcher]:
    """A launcher whose guest has a vCPU on each of the two nodes: there is one CPU of either."""
    own = {node: [cpu for cpu in every_cpu if node_of(cpu) == node] for node in nodes}
    cpus = (own[nodes[0]][0], own[nodes[1]][0])
    vmi = manifest(cores=1)
    vmi["spec"]["domain"]["cpu"] |= {"sockets": 2, "numa": {"guestMappingPassthrough": {}}}
    vmi["spec"]["domain"]["memory"] = {"guest": "128Mi"}
    with confined(vmi, cpus) as launcher:
        yield launcher


def cells_of(launcher: Launcher) -> dict[str, Mapping]:
    """Return the mappings of the two cells by their policy: half of the guest each, touched whole."""
    mappings = [one for one in memory_of(launcher.qemu_pid()) if sum(one.bytes_on.values()) == CELL_BYTES]
    return {mapping.policy: mapping for mapping in mappings}


def condition_of(launcher: Launcher) -> dict[str, Any]:
    """Return what the launcher says of the memory."""
    conditions = json.loads(launcher.ask("status", "--format", "json"))["conditions"]
    (found,) = [condition for condition in conditions if condition["type"] == "MemoryLocal"]
    return dict(found)


def move_pages(pid: int, source: int, target: int) -> None:
    """Move every page that the process has on one node to another, as migratepages(8) does."""
    masks = [(ctypes.c_ulong * 1)(1 << node) for node in (source, target)]
    assert ctypes.CDLL(None, use_errno=True).syscall(_MIGRATE_PAGES, pid, 64, *masks) >= 0, os.strerror(
        ctypes.get_errno()
    )


def test_no_page_of_a_cell_is_on_another_node(launcher: Launcher, nodes: tuple[int, int]) -> None:
    cells = cells_of(launcher)
    assert {policy: mapping.bytes_on for policy, mapping in cells.items()} == {
        f"bind:{node}": {node: CELL_BYTES} for node in nodes
    }
    assert condition_of(launcher)["message"] == (f"cell 0: 64Mi on node {nodes[0]}; cell 1: 64Mi on node {nodes[1]}")
    assert condition_of(launcher)["status"] == "True"


def test_pages_that_are_moved_away_are_told_within_a_minute_with_numbers(
    launcher: Launcher, nodes: tuple[int, int]
) -> None:
    first, second = nodes
    move_pages(launcher.qemu_pid(), second, first)
    began_s = time.monotonic()
    wait_until(lambda: condition_of(launcher)["status"] == "False", "the launcher says so", 2 * A_MINUTE_S)
    took_s = time.monotonic() - began_s
    moved = cells_of(launcher)[f"bind:{second}"].bytes_on[first]
    pages = moved // os.sysconf("SC_PAGE_SIZE")
    assert moved > CELL_BYTES // 2
    message = condition_of(launcher)["message"]
    assert message.startswith(f"cell 1, which belongs on node {second}, has {pages} pages of 4Ki (")
    assert message.endswith(f") on node {first}")
    launcher.wait_for(f"memory: cell 1, which belongs on node {second}")
    # A look in an emulation takes a second or two of its time.
    assert took_s < A_MINUTE_S
