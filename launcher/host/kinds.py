"""The kinds of core of a machine that mixes some, such as performance and efficiency cores, the most capable first.

The first of these that tells CPUs apart is believed:

| read | who has it | kinds |
|---|---|---|
| cpuN/topology/core_type | kernels that name the type | one for each name; "performance" before others |
| cpu/types/NAME/cpulist | kernels with a folder for each type | one for each folder |
| /sys/devices/cpu_core/cpus, cpu_atom, cpu_lowpower | Intel's hybrid machines, by their PMUs | one for each PMU |
| cpuN/cpu_capacity | arm64, and x86 with asymmetric capacity | values apart by more than a tenth |
| cpuN/acpi_cppc/nominal_perf, else highest_perf | x86 and arm64 with ACPI CPPC | values apart by more than a fifth |

Cores of one kind may differ a little in what they reach (AMD's and Intel's "preferred cores"), which is why close
numbers are one kind. What does not parse, or does not cover every online CPU, tells nothing. Sources: the kernel's
Documentation/ABI/testing/sysfs-devices-system-cpu, admin-guide/acpi/cppc_sysfs.rst.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import CoreKind
from launcher.host.tree import Tree, read_cpus, read_integer

_FOLDER = "sys/devices/system/cpu"
_TYPES = f"{_FOLDER}/types"
_PMUS = (("cpu_core", "performance"), ("cpu_atom", "efficiency"), ("cpu_lowpower", "low power"))
_NAMES = ("performance", "efficiency")
_CAPACITY_RATIO = 1.1
_CPPC_RATIO = 1.2
# No machine of more cores mixes kinds, and every file costs microseconds at each start.
_MOST_CORES = 128


def read_kinds(tree: Tree, cores: Iterable[CPUSet]) -> tuple[CoreKind, ...]:
    """Return the kinds of core, none where all are alike or nobody says; `cores` are the online CPUs of each core."""
    listed = tuple(cores)
    if len(listed) > _MOST_CORES:
        return ()
    for kinds in _answers(tree, listed):
        if len(kinds) > 1:
            return kinds
    return ()


def _answers(tree: Tree, cores: tuple[CPUSet, ...]) -> Iterator[tuple[CoreKind, ...]]:
    yield _by_name(tree, cores)
    yield _by_list(tree, cores, _types(tree))
    yield _by_list(tree, cores, {name: f"sys/devices/{pmu}/cpus" for pmu, name in _PMUS})
    yield _by_number(tree, cores, "cpu_capacity", _CAPACITY_RATIO)
    yield _by_number(tree, cores, "acpi_cppc/nominal_perf", _CPPC_RATIO)
    yield _by_number(tree, cores, "acpi_cppc/highest_perf", _CPPC_RATIO)


def _by_name(tree: Tree, cores: tuple[CPUSet, ...]) -> tuple[CoreKind, ...]:
    named: dict[str, list[CPUSet]] = {}
    for core in cores:
        name = (tree.read(f"{_FOLDER}/cpu{core.lowest}/topology/core_type") or "").strip()
        if not name:
            return ()
        named.setdefault(name, []).append(core)
    ordered = sorted(named, key=lambda name: (_NAMES.index(name) if name in _NAMES else len(_NAMES), name))
    return tuple(
        CoreKind(name=name, cpus=_union(named[name]), source=f"/{_FOLDER}/cpu*/topology/core_type") for name in ordered
    )


def _types(tree: Tree) -> Mapping[str, str]:
    """Return the files of the folders of types; Intel's atoms come after its cores."""
    names = sorted(tree.list(_TYPES), key=lambda name: ("atom" in name, name))
    return {name: f"{_TYPES}/{name}/cpulist" for name in names}


def _by_list(tree: Tree, cores: tuple[CPUSet, ...], files: Mapping[str, str]) -> tuple[CoreKind, ...]:
    online = _union(cores)
    kinds = []
    seen = CPUSet()
    for name, path in files.items():
        cpus = (_list(tree, path) & online) - seen
        seen |= cpus
        if cpus:
            kinds.append(CoreKind(name=name, cpus=cpus, source=f"/{path}"))
    return tuple(kinds) if seen == online else ()


def _list(tree: Tree, path: str) -> CPUSet:
    try:
        return read_cpus(tree, path) or CPUSet()
    except HostError:
        return CPUSet()


def _by_number(tree: Tree, cores: tuple[CPUSet, ...], file: str, ratio: float) -> tuple[CoreKind, ...]:
    numbers: dict[int, list[CPUSet]] = {}
    for core in cores:
        number = _number(tree, f"{_FOLDER}/cpu{core.lowest}/{file}")
        if number <= 0:
            return ()
        numbers.setdefault(number, []).append(core)
    return tuple(
        CoreKind(
            name=f"{file.rpartition('/')[2]} {max(group)}",
            cpus=_union(core for number in group for core in numbers[number]),
            source=f"/{_FOLDER}/cpu*/{file}",
        )
        for group in _apart(sorted(numbers, reverse=True), ratio)
    )


def _number(tree: Tree, path: str) -> int:
    try:
        return read_integer(tree, path) or 0
    except HostError:
        return 0


def _apart(numbers: list[int], ratio: float) -> Iterator[list[int]]:
    """Divide descending numbers where one is larger than the next by more than this ratio."""
    group: list[int] = []
    for number in numbers:
        if group and group[-1] > number * ratio:
            yield group
            group = []
        group.append(number)
    if group:
        yield group


def _union(cores: Iterable[CPUSet]) -> CPUSet:
    return CPUSet.of(cpu for core in cores for cpu in core)
