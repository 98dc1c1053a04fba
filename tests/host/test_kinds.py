"""The kinds of core of a machine that mixes some, from each of the places that tell; and CPUs that are quiet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from launcher.cpuset import CPUSet
from launcher.host.capture import capture, parse_capture
from launcher.host.sysfs import read_host
from tests.host.shapes import Machine, Memory, adjacent, grid, tree_of

_CPU = "sys/devices/system/cpu"
# Four cores of two threads: CPUs 0-1, 2-3, 4-5, 6-7.
_MACHINE = Machine(
    threads=grid(sockets=1, nodes=1, caches=1, cores=4, threads=2, number=adjacent(2)),
    nodes={0: Memory(kilobytes=1 << 20, distances="10")},
)

Files = Mapping[str, str | None]


def _each(file: str, *values: str) -> Files:
    """Give the threads of each core in turn this value."""
    return {f"{_CPU}/cpu{cpu}/{file}": values[cpu // 2] for cpu in range(8)}


@pytest.mark.parametrize(
    ("files", "kinds"),
    [
        pytest.param({}, [], id="nobody says"),
        pytest.param(
            {"sys/devices/cpu_core/cpus": "0-3", "sys/devices/cpu_atom/cpus": "4-7"},
            [("performance", "0-3"), ("efficiency", "4-7")],
            id="Intel's PMUs",
        ),
        pytest.param(
            {
                "sys/devices/cpu_core/cpus": "0-3",
                "sys/devices/cpu_atom/cpus": "4-5",
                "sys/devices/cpu_lowpower/cpus": "6-7",
            },
            [("performance", "0-3"), ("efficiency", "4-5"), ("low power", "6-7")],
            id="three kinds",
        ),
        pytest.param({"sys/devices/cpu_core/cpus": "0-7"}, [], id="one PMU for all"),
        pytest.param({"sys/devices/cpu_core/cpus": "0-3"}, [], id="CPUs of no PMU"),
        pytest.param({"sys/devices/cpu_core/cpus": "0-3", "sys/devices/cpu_atom/cpus": "4-x"}, [], id="torn"),
        pytest.param(
            _each("topology/core_type", "efficiency", "efficiency", "performance", "performance"),
            [("performance", "4-7"), ("efficiency", "0-3")],
            id="the type's name",
        ),
        pytest.param(
            {f"{_CPU}/types/intel_atom_0/cpulist": "4-7", f"{_CPU}/types/intel_core_0/cpulist": "0-3"},
            [("intel_core_0", "0-3"), ("intel_atom_0", "4-7")],
            id="folders of types",
        ),
        pytest.param(
            _each("cpu_capacity", "446", "446", "1024", "1024"),
            [("cpu_capacity 1024", "4-7"), ("cpu_capacity 446", "0-3")],
            id="big.LITTLE",
        ),
        pytest.param(_each("cpu_capacity", "1024", "1009", "1024", "1000"), [], id="favoured cores are no kind"),
        pytest.param(_each("cpu_capacity", "1024", "446", "1024", ""), [], id="an empty file"),
        pytest.param(_each("cpu_capacity", "1024", "446", "1024", "-1"), [], id="a number that is none"),
        pytest.param(
            _each("acpi_cppc/highest_perf", "64", "62", "40", "40"),
            [("highest_perf 64", "0-3"), ("highest_perf 40", "4-7")],
            id="CPPC",
        ),
        pytest.param(
            {
                **_each("acpi_cppc/highest_perf", "196", "166", "191", "186"),
                **_each("acpi_cppc/nominal_perf", "124", "124", "124", "124"),
            },
            [],
            id="preferred cores are no kind",
        ),
    ],
)
def test_kinds_are_told_apart(files: Files, kinds: list[tuple[str, str]]) -> None:
    tree = tree_of(replace(_MACHINE, extra=files))
    host = read_host(tree, "x86_64")
    assert [(kind.name, str(kind.cpus)) for kind in host.kinds] == kinds
    ranks = {cpu: rank for rank, (_, cpus) in enumerate(kinds) for cpu in CPUSet.parse(cpus)}
    assert [cpu.kind for cpu in host.cpus] == [ranks.get(cpu, 0) for cpu in range(8)]
    again = parse_capture(capture(tree, CPUSet.parse("0-7"), "x86_64"), "written")
    assert read_host(again, "x86_64") == host


@pytest.mark.parametrize(
    ("text", "quiet"),
    [("", ""), ("(null)", ""), ("2-5", "2-5"), ("2-99", "2-7"), (None, "")],
)
def test_quiet_cpus_are_those_that_are_online(text: str | None, quiet: str) -> None:
    machine = replace(_MACHINE, extra={f"{_CPU}/isolated": text, f"{_CPU}/nohz_full": text})
    host = read_host(tree_of(machine), "x86_64")
    assert (str(host.isolated), str(host.nohz_full), host.warnings) == (quiet, quiet, ())


def test_quiet_cpus_that_are_no_list_are_a_warning() -> None:
    host = read_host(tree_of(replace(_MACHINE, extra={f"{_CPU}/isolated": "2-"})), "x86_64")
    assert not host.isolated
    assert host.warnings == (
        (
            f"written: /{_CPU}/isolated: '2-' in cpulist '2-' is not a CPU, a range a-b or a range a-b:used/group; "
            "it is taken for an empty list"
        ),
    )
