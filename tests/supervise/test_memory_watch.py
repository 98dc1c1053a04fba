"""The memory's watch: this process's own memory, a folder that stands for /proc, and how often it looks."""

from __future__ import annotations

import logging
import mmap
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.planner.model import Cell, Pinning
from launcher.supervise.errands import Errands
from launcher.supervise.memory_watch import (
    FIRST_LOOK_S,
    LONGEST_INTERVAL_S,
    MAX_FILE_BYTES,
    SHORTEST_INTERVAL_S,
    MemoryWatch,
    interval_s,
    misplaced,
    placed,
    shares_of,
)
from tests.observability.snapshots import pinning_of
from tests.supervise.test_memory_map import HUGE_MAPS, HUGE_NUMA_MAPS, MAPS, NUMA_MAPS

MIB = 1 << 20
ME = os.getpid()
CELLS = replace(
    pinning_of(),
    cells=(
        Cell(cell=0, node=0, vcpus=CPUSet.parse("0"), memory_bytes=64 * MIB),
        Cell(cell=1, node=1, vcpus=CPUSet.parse("1"), memory_bytes=64 * MIB),
    ),
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What stands for /proc/<pid> of a guest of two cells."""
    folder = tmp_path / str(ME)
    folder.mkdir()
    (folder / "maps").write_bytes(HUGE_MAPS)
    (folder / "numa_maps").write_bytes(HUGE_NUMA_MAPS)
    return folder


def _watch(folder: Path) -> MemoryWatch:
    return MemoryWatch(ME, 192 * MIB, proc=str(folder.parent))


def test_a_wrong_page_is_named_with_cell_node_and_number(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = _watch(folder)
    watch.look(CELLS)
    assert misplaced(watch.found) == ("cell 1, which belongs on node 1, has 2 pages of 2Mi (4Mi) on node 0",)
    assert placed(watch.found) == "cell 0: 64Mi on node 0; cell 1: 4Mi on node 0, 60Mi on node 1"
    assert [record.message for record in caplog.records if record.levelno == logging.WARNING] == [
        "memory: cell 1, which belongs on node 1, has 2 pages of 2Mi (4Mi) on node 0"
    ]


def test_what_stays_wrong_is_told_once_and_what_is_right_again_too(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    watch = _watch(folder)
    watch.look(CELLS)
    watch.look(CELLS)
    (folder / "numa_maps").write_bytes(HUGE_NUMA_MAPS.replace(b"N0=2 N1=30", b"N1=32"))
    watch.look(CELLS)
    assert [(record.levelname, record.message.partition(",")[0]) for record in caplog.records] == [
        ("WARNING", "memory: cell 1"),
        ("INFO", "memory: all of it is where it belongs again"),
    ]
    assert misplaced(watch.found) == ()


def _absent(path: Path) -> None:
    path.unlink()


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _endless(path: Path) -> None:
    path.unlink()
    path.symlink_to("/dev/zero")


def _a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


BAD: dict[str, tuple[Callable[[Path], None], str]] = {
    "absent": (_absent, "No such file"),
    "empty": (_empty, "empty"),
    "without end": (_endless, f"more than {MAX_FILE_BYTES >> 20} MiB"),
    "a folder": (_a_folder, "Is a directory"),
    "cut off": (_torn, "cell|mapping"),
}


@pytest.mark.parametrize("name", ["maps", "numa_maps"])
@pytest.mark.parametrize(("spoil", "words"), BAD.values(), ids=BAD)
def test_a_file_that_cannot_be_read_is_told_once_and_leaves_it_unknown(
    folder: Path, name: str, spoil: Callable[[Path], None], words: str, caplog: pytest.LogCaptureFixture
) -> None:
    watch = _watch(folder)
    watch.look(CELLS)
    good = (folder / name).read_bytes()
    spoil(folder / name)
    caplog.clear()
    watch.look(CELLS)
    watch.look(CELLS)
    assert watch.found == ()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert caplog.messages[0].startswith("memory: not known where it lies: ")
    assert any(word in watch.fault for word in words.split("|")), watch.fault
    if (folder / name).is_dir():
        (folder / name).rmdir()
    else:
        (folder / name).unlink(missing_ok=True)
    (folder / name).write_bytes(good)
    watch.look(CELLS)
    assert watch.fault == ""
    assert len(watch.found) == 2


def test_the_memory_of_this_very_process_is_found() -> None:
    size = 37 * MIB
    with mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        # As QEMU does with a guest's: what other mappings are not, the kernel does not join to them.
        memory.madvise(mmap.MADV_DONTFORK)
        for page in range(0, size // 2, mmap.PAGESIZE):
            memory[page] = 1
        watch = MemoryWatch(ME, size)
        watch.look(pinning_of())
        assert watch.fault == ""
        (found,) = watch.found
    # Huge pages, where the kernel gives them unasked, are as many bytes or a little more.
    assert size // 2 <= sum(bytes_ for _, bytes_ in found.bytes_on) <= size
    assert watch.look_s > 0


def test_a_process_that_has_ended_is_nothing_to_tell(caplog: pytest.LogCaptureFixture) -> None:
    ended = os.fork()
    if ended == 0:
        os._exit(0)
    os.waitpid(ended, 0)
    watch = MemoryWatch(ended, 192 * MIB)
    watch.look(pinning_of())
    assert (watch.fault, caplog.messages) == ("", [])


def _at(pinning: Pinning, *nodes: int) -> Pinning:
    pins = zip(pinning.vcpus, nodes, strict=True)
    return replace(pinning, vcpus=tuple(replace(pin, node=node) for pin, node in pins))


@pytest.mark.parametrize(
    ("pinning", "belongs"),
    [
        (CELLS, [(0, 0, 64), (1, 1, 64)]),
        (_at(pinning_of(), 1, 1), [(None, 1, 192)]),
        (_at(pinning_of(), 0, 1), [(None, None, 192)]),
        (_at(pinning_of(), -1, -1), [(None, None, 192)]),
        (replace(pinning_of(), vcpus=()), []),
    ],
    ids=["cells", "one node", "two nodes", "no node", "not pinned"],
)
def test_memory_belongs_where_the_vcpus_are(
    pinning: Pinning, belongs: list[tuple[int | None, int | None, int]]
) -> None:
    shares = shares_of(pinning, 192 * MIB)
    assert [(share.cell, share.node, share.memory_bytes // MIB) for share in shares] == belongs


def test_looks_are_made_aside_when_it_is_time_and_never_two_at_once(folder: Path) -> None:
    (folder / "maps").write_bytes(MAPS)
    (folder / "numa_maps").write_bytes(NUMA_MAPS)
    watch, errands = _watch(folder), Errands()
    found = []
    for now_s in (1000.0, 1000.0 + FIRST_LOOK_S / 2, 1000.0 + FIRST_LOOK_S):
        watch.look_in_time(pinning_of(), errands, now_s)
        errands.wait(10)
        found.append(len(watch.found))
    assert found == [0, 0, 1]


def test_looks_are_rarer_the_dearer_they_are_and_the_older_the_guest() -> None:
    cheap, dear = 0.001, 10.0
    assert [interval_s(number, cheap) for number in (1, 2, 9)] == [SHORTEST_INTERVAL_S] * 3
    assert [interval_s(number, dear) for number in (1, 2, 3)] == [
        SHORTEST_INTERVAL_S,
        2 * SHORTEST_INTERVAL_S,
        4 * SHORTEST_INTERVAL_S,
    ]
    assert interval_s(50, dear) == LONGEST_INTERVAL_S
    # One that takes 6 ms may be made each minute.
    assert interval_s(50, 0.006) == pytest.approx(60.0)
