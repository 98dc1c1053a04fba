"""The cpuset under watch: read through only when its file says something new."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.tree import FolderTree
from launcher.supervise.allowed import LOOKS_BETWEEN_GROUPS, LOOKS_BETWEEN_SEARCHES, AllowedReader

MOUNT = "30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"


class _CountingTree:
    """A folder whose reads are counted."""

    def __init__(self, root: Path) -> None:
        self._tree = FolderTree(root)
        self.reads = 0
        # Done once, after the next reading.
        self.then: Callable[[], object] | None = None

    def read(self, path: str) -> str | None:
        self.reads += 1
        text = self._tree.read(path)
        then, self.then = self.then, None
        if then:
            then()
        return text

    def list(self, path: str) -> tuple[str, ...]:
        return self._tree.list(path)

    def open(self, path: str) -> int:
        return self._tree.open(path)

    def where(self, path: str) -> str:
        return self._tree.where(path)


def _machine(root: Path, cpuset: str) -> _CountingTree:
    (root / "proc/self").mkdir(parents=True)
    (root / "sys/fs/cgroup/pod").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("0::/pod\n")
    (root / "proc/self/mountinfo").write_text(MOUNT)
    (root / "sys/fs/cgroup/pod/cpuset.cpus.effective").write_text(f"{cpuset}\n")
    return _CountingTree(root)


def test_a_look_at_an_unchanged_cpuset_is_one_read(tmp_path: Path) -> None:
    tree = _machine(tmp_path, "2-3")
    reader = AllowedReader(tree, CPUSet.parse("0-7"))
    first = reader.read()
    before = tree.reads
    assert reader.read() is first
    assert (tree.reads - before, str(first.cpus)) == (1, "2-3")


def test_a_changed_cpuset_is_seen_at_the_next_look(tmp_path: Path) -> None:
    reader = AllowedReader(_machine(tmp_path, "2-3"), CPUSet.parse("0-7"))
    reader.read()
    (tmp_path / "sys/fs/cgroup/pod/cpuset.cpus.effective").write_text("2\n")
    assert str(reader.read().cpus) == "2"


def test_a_glance_sees_what_a_look_would_and_reads_nothing_through_its_path(tmp_path: Path) -> None:
    tree = _machine(tmp_path, "2-3")
    with closing(AllowedReader(tree, CPUSet.parse("0-7"))) as reader:
        reader.read()
        before, seen = tree.reads, []
        for cpuset in ("2-3", "2", "2-31", "2-3", ""):
            (tmp_path / "sys/fs/cgroup/pod/cpuset.cpus.effective").write_text(f"{cpuset}\n")
            seen.append(reader.has_changed())
    assert (seen, tree.reads) == ([False, True, True, False, True], before)


def test_what_was_never_read_or_cannot_be_is_to_be_looked_at(tmp_path: Path) -> None:
    with closing(AllowedReader(_machine(tmp_path, "2-3"), CPUSet.parse("0-7"))) as reader:
        first = reader.has_changed()
        reader.read()
    with closing(AllowedReader(_CountingTree(tmp_path / "bare"), CPUSet.parse("1,3"))) as bare:
        bare.read()
        assert (first, reader.has_changed(), bare.has_changed()) == (True, True, True)


def test_a_cpuset_that_changed_during_a_look_is_looked_at_once_more(tmp_path: Path) -> None:
    tree = _machine(tmp_path, "2-3")
    with closing(AllowedReader(tree, CPUSet.parse("0-7"))) as reader:
        reader.read()
        file = tmp_path / "sys/fs/cgroup/pod/cpuset.cpus.effective"
        file.write_text("2-4\n")
        tree.then = lambda: file.write_text("2\n")
        reader.read()
        first = reader.has_changed()
        reader.read()
        assert (first, reader.has_changed()) == (True, False)


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - one of them is of the listing, each time
    with closing(AllowedReader(_machine(tmp_path, "2-3"), CPUSet.parse("0-7"))) as reader:
        for _look in range(2 * LOOKS_BETWEEN_SEARCHES):
            reader.read()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - likewise


def test_a_cpuset_that_changes_between_two_readings_of_one_look_is_seen_as_it_is_at_the_next(tmp_path: Path) -> None:
    tree = _machine(tmp_path, "2-3")
    reader = AllowedReader(tree, CPUSet.parse("0-7"))
    reader.read()
    file = tmp_path / "sys/fs/cgroup/pod/cpuset.cpus.effective"
    file.write_text("2-4\n")
    tree.then = lambda: file.write_text("2\n")
    reader.read()
    file.write_text("2-4\n")
    assert str(reader.read().cpus) == "2-4"


def test_a_cpuset_that_was_lost_is_found_at_the_next_look_wherever_it_is(tmp_path: Path) -> None:
    reader = AllowedReader(_machine(tmp_path, "2-3"), CPUSet.parse("0-7"))
    reader.read()
    (tmp_path / "sys/fs/cgroup").rename(tmp_path / "sys/fs/other")
    with pytest.raises(HostError, match="cannot be found"):
        reader.read()
    (tmp_path / "proc/self/mountinfo").write_text(MOUNT.replace("/sys/fs/cgroup", "/sys/fs/other"))
    assert str(reader.read().cpus) == "2-3"


def test_a_nearer_group_that_has_a_cpuset_later_is_found_in_the_end(tmp_path: Path) -> None:
    tree = _machine(tmp_path, "2-3")
    (tmp_path / "sys/fs/cgroup/pod/container").mkdir()
    (tmp_path / "proc/self/cgroup").write_text("0::/pod/container\n")
    reader = AllowedReader(tree, CPUSet.parse("0-7"))
    first = str(reader.read().cpus)
    (tmp_path / "sys/fs/cgroup/pod/container/cpuset.cpus.effective").write_text("3\n")
    seen = {str(reader.read().cpus) for _ in range(LOOKS_BETWEEN_SEARCHES)}
    assert (first, seen) == ("2-3", {"2-3", "3"})


def test_a_process_moved_to_another_control_group_is_followed_in_the_end(tmp_path: Path) -> None:
    reader = AllowedReader(_machine(tmp_path, "2-3"), CPUSet.parse("0-7"))
    reader.read()
    (tmp_path / "sys/fs/cgroup/other").mkdir()
    (tmp_path / "sys/fs/cgroup/other/cpuset.cpus.effective").write_text("5\n")
    (tmp_path / "proc/self/cgroup").write_text("0::/other\n")
    seen = {str(reader.read().cpus) for _ in range(LOOKS_BETWEEN_GROUPS)}
    assert seen == {"2-3", "5"}


def test_without_a_cpuset_the_affinity_at_the_start_is_what_counts(tmp_path: Path) -> None:
    reader = AllowedReader(_CountingTree(tmp_path), CPUSet.parse("1,3"))
    assert (str(reader.read().cpus), reader.read().source) == ("1,3", "sched_getaffinity")
