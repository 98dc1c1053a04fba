"""Where a real QEMU's memory lies: bound in ordinary pages and all there before the guest runs, or where it is told."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.e2e.boot_sector import Sector
from tests.qemu.guests import Launcher, small_manifest

Launch = Callable[..., Launcher]

GUEST_BYTES = 192 << 20


def _mapping_of_the_guest(pid: int) -> str:
    """Return what numa_maps says of the mapping that is as large as the guest's memory."""
    (start,) = re.findall(
        r"^([0-9a-f]+)-[0-9a-f]+ rw", _of_size(Path(f"/proc/{pid}/maps").read_text(), GUEST_BYTES), re.MULTILINE
    )
    lines = Path(f"/proc/{pid}/numa_maps").read_text().splitlines()
    return next(line for line in lines if line.startswith(f"{start} "))


def _of_size(maps: str, size: int) -> str:
    ranges = re.findall(r"^(([0-9a-f]+)-([0-9a-f]+) rw.*)$", maps, re.MULTILINE)
    return "\n".join(line for line, start, end in ranges if int(end, 16) - int(start, 16) == size)


def _memory(launcher: Launcher) -> dict[str, Any]:
    status: dict[str, Any] = json.loads(launcher.ask("status", "--format", "json"))
    (condition,) = [one for one in status["conditions"] if one["type"] == "MemoryLocal"]
    return {"condition": condition, "memory": status["memory"]}


def test_cells_of_ordinary_pages_are_bound_and_all_there_before_the_guest_runs(launch: Launch) -> None:
    vmi = small_manifest(cores=1)
    vmi["spec"]["domain"]["cpu"]["numa"] = {"guestMappingPassthrough": {}}
    launcher = launch(vmi)
    launcher.wait_for("phase: running")
    line = _mapping_of_the_guest(launcher.qemu_pid())
    seen = _memory(launcher)
    launcher.end_by_force()
    pages = GUEST_BYTES // 4096
    assert re.search(rf"^\S+ bind:0 anon={pages} .*\bN0={pages} ", line), line
    assert seen["memory"] == [{"cell": 0, "node": 0, "page_bytes": 4096, "bytes_on": {"0": GUEST_BYTES}}]
    assert (seen["condition"]["status"], seen["condition"]["message"]) == ("True", "cell 0: 192Mi on node 0")
    order = [
        launcher.output.index(words)
        for words in ("without spec.domain.memory.hugepages", "memory: cell 0: 192Mi on node 0", "phase: running")
    ]
    assert order == sorted(order)


def test_a_guest_without_cells_says_where_the_memory_is_that_it_has_touched(launch: Launch) -> None:
    launcher = launch(small_manifest(cores=1, sector=Sector(memory_bytes=64 << 20)))
    launcher.wait_for("memory: the guest's memory: .* on node 0")
    # The loop makes known at its next turn what was found beside it.
    while not (seen := _memory(launcher))["memory"]:
        time.sleep(0.1)
    line = _mapping_of_the_guest(launcher.qemu_pid())
    launcher.end_by_force()
    (memory,) = seen["memory"]
    assert (memory["cell"], memory["node"], list(memory["bytes_on"])) == (None, 0, ["0"])
    touched = re.search(r"\bN0=(\d+) ", line)
    assert touched is not None
    # It may have gone on writing after the look.
    assert 8 << 20 < memory["bytes_on"]["0"] <= int(touched[1]) * 4096 <= GUEST_BYTES
    assert seen["condition"]["status"] == "True"
