"""How many CPUs' time the container's control group was given, read from the weight that the kubelet and runc set.

A Pod that is resized in place keeps its cpuset under the kubelet's static policy, and has no quota
(DisableCPUQuotaWithExclusiveCPUs): the weight alone tells of the new size. The kubelet asks for 1024 shares a CPU; what
weight they become is the runtime's affair, and there are two ways (opencontainers/cgroups, utils.go, old and new).
"""

from __future__ import annotations

import math
from collections.abc import Callable

from launcher.host.cgroup import first_file, group_folders
from launcher.host.tree import Tree, read_integer

_SHARES_PER_CPU = 1024
# More than the kernel knows of in any build (CONFIG_NR_CPUS).
_MOST_CPUS = 8192


class CPUTimeReader:
    """Reads again and again for how many whole CPUs the weight stands.

    It learns the runtime's way from the beginning, at which the container has as many CPUs as its cpuset holds. Where
    no way leads from them to the weight, as outside of a Guaranteed Pod, or later to whole CPUs, it says nothing.
    """

    def __init__(self, tree: Tree, cpus: int) -> None:
        """Learn the way; `cpus` is the size of the cpuset at the beginning."""
        self._tree = tree
        self._ways = tuple(way for way in (_linear, _logarithmic) if way(cpus) == self._weight())

    def read(self) -> int | None:
        """Return the CPUs by now, None where that is not known."""
        weight = self._weight() if self._ways else None
        return next((cpus for way in self._ways for cpus in _within(way, weight)), None)

    def _weight(self) -> int | None:
        path = first_file(self._tree, group_folders(self._tree, ""), "cpu.weight")
        return None if path is None else read_integer(self._tree, path)


def _within(way: Callable[[int], int], weight: int | None) -> list[int]:
    """Return the CPUs that have this weight, one number or none: weights grow with CPUs, up to the most there is."""
    if weight is None:
        return []
    low, high = 1, _MOST_CPUS
    while low < high:
        middle = (low + high) // 2
        low, high = (middle + 1, high) if way(middle) < weight else (low, middle)
    return [low] if way(low) == weight and way(low + 1) != weight else []


def _linear(cpus: int) -> int:
    """Return the weight as runc has it up to 1.3: shares 2 to 262144 become 1 to 10000 in proportion."""
    return 1 + ((min(cpus * _SHARES_PER_CPU, 262144) - 2) * 9999) // 262142


def _logarithmic(cpus: int) -> int:
    """Return the weight as newer runtimes have it: 1024 shares become 100."""
    shares = cpus * _SHARES_PER_CPU
    if shares >= 262144:
        return 10000
    exponent = math.log2(shares)
    return math.ceil(10 ** ((exponent * exponent + 125 * exponent) / 612.0 - 7.0 / 34.0))
