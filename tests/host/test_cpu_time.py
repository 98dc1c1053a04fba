"""How many CPUs a container was given, from the weight of its control group, by the runtimes' two ways."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.host.cpu_time import CPUTimeReader
from launcher.host.tree import FolderTree


class Group:
    """A container's control group of version 2, in a folder."""

    def __init__(self, root: Path, weight: int) -> None:
        self.tree = FolderTree(root)
        self._weight = root / "sys/fs/cgroup/pod/cpu.weight"
        self._weight.parent.mkdir(parents=True)
        (root / "proc/self").mkdir(parents=True)
        (root / "proc/self/cgroup").write_text("0::/pod\n")
        (root / "proc/self/mountinfo").write_text("30 20 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")
        self.resize(weight)

    def resize(self, weight: int) -> None:
        self._weight.write_text(f"{weight}\n")


# Weights as the runtimes' own functions give them, worked out by hand for 1024 shares a CPU.
@pytest.mark.parametrize(
    ("cpus", "weight", "later"),
    [
        (3, 118, {118: 3, 196: 5, 40: None, 39: 1, 120: None, 10000: None}),
        (1, 39, {39: 1, 79: 2, 78: None}),
        (1, 100, {100: 1, 174: 2, 173: None}),
        (3, 240, {240: 3, 363: 5, 362: None, 10000: None}),
    ],
    ids=["three CPUs in proportion", "one CPU in proportion", "one CPU by the curve", "three CPUs by the curve"],
)
def test_the_weight_tells_the_cpus(tmp_path: Path, cpus: int, weight: int, later: dict[int, int | None]) -> None:
    group = Group(tmp_path, weight)
    reader = CPUTimeReader(group.tree, cpus)
    found = {}
    for changed in later:
        group.resize(changed)
        found[changed] = reader.read()
    assert found == later


@pytest.mark.parametrize("weight", [100, 117, 119], ids=["the kernel's own", "one less", "one more"])
def test_a_weight_that_was_not_that_of_the_cpuset_tells_nothing_later(tmp_path: Path, weight: int) -> None:
    group = Group(tmp_path, weight)
    reader = CPUTimeReader(group.tree, 3)
    group.resize(196)
    assert reader.read() is None


def test_without_a_control_group_nothing_is_told(tmp_path: Path) -> None:
    assert CPUTimeReader(FolderTree(tmp_path), 3).read() is None
