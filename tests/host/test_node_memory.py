"""What of each node's memory is to be had now: what is free, and what the kernel can read from disk again."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from launcher.host.capture import parse_capture
from launcher.host.model import Node
from launcher.host.nodes import with_available_memory

MIB = 1 << 20
_NODE = "Node 1 MemTotal: 4096000 kB\\nNode 1 MemFree: 102400 kB\\nNode 1 Active: 999999 kB\\n"
_MORE = "Node 1 Active(file): 2048 kB\\nNode 1 Inactive(file): 1024 kB\\nNode 1 SReclaimable: 3072 kB\\n"
_MEMINFO = "sys/devices/system/node/node1/meminfo"


@pytest.mark.parametrize(
    ("files", "available"),
    [
        pytest.param({_MEMINFO: _NODE + _MORE}, 106 * MIB, id="free, and the page cache"),
        pytest.param({_MEMINFO: _NODE}, 100 * MIB, id="free alone"),
        pytest.param({_MEMINFO: "Node 1 MemTotal: 4096000 kB"}, None, id="a file that does not say"),
        pytest.param({_MEMINFO: ""}, None, id="an empty file"),
        pytest.param({_MEMINFO: "Node 1 MemFree: 12"}, None, id="a torn file"),
        pytest.param({_MEMINFO: "Node 1 MemFree: -5 kB\\nNode 1 MemFree: 9999999999999999 kB"}, None, id="no numbers"),
        pytest.param({"sys/devices/system/node/online": "1"}, None, id="no file"),
        pytest.param({"proc/meminfo": _NODE.replace("Node 1 ", "")}, 100 * MIB, id="a kernel without nodes"),
    ],
)
def test_what_is_to_be_had_of_a_node_is_read(files: Mapping[str, str], available: int | None) -> None:
    tree = parse_capture("".join(f"{path}: {text}\n" for path, text in files.items()), "host")
    node = Node(node=1, memory_bytes=4000 * MIB)
    assert [one.available_bytes for one in with_available_memory(tree, (node,))] == [available]
    whole = with_available_memory(tree, (node,))[0].bytes_to_be_had(None)
    assert whole == (4000 * MIB if available is None else available)
