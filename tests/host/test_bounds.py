"""What control groups allow beside CPUs: the nodes of memory, balancing, and time; absent, empty and malformed, too."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.bounds import read_allowed, read_bounds
from launcher.host.capture import CaptureTree, capture, parse_capture
from launcher.host.model import Bounds, CPUQuota

_V2 = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
_V1 = "31 30 0:27 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset"
_GROUP = "sys/fs/cgroup/pods/ctr"
_OLD_GROUP = "sys/fs/cgroup/cpuset/pods/ctr"

Files = Mapping[str, str]


def _tree(files: Files, *, version: int = 2) -> CaptureTree:
    group, mount = (r"0::/pods/ctr", _V2) if version == 2 else (r"5:cpuset:/pods/ctr", _V1)
    everything = {"proc/self/cgroup": group, "proc/self/mountinfo": mount, **files}
    return parse_capture("".join(f"{path}: {text}\n" for path, text in everything.items()), "host")


def _bounds(memory: str = "", memory_source: str = "", isolated: str = "", isolated_source: str = "") -> Bounds:
    return Bounds(
        memory_nodes=CPUSet.parse(memory) if memory else None,
        memory_source=memory_source,
        isolated=CPUSet.parse(isolated),
        isolated_source=isolated_source,
    )


_ROWS = [
    pytest.param(2, {}, _bounds(), id="nobody says anything"),
    pytest.param(
        2,
        {f"{_GROUP}/cpuset.mems.effective": "1", "sys/fs/cgroup/cpuset.mems.effective": "0-1"},
        _bounds("1", f"/{_GROUP}/cpuset.mems.effective"),
        id="version 2: the own group's nodes",
    ),
    pytest.param(
        2,
        {"sys/fs/cgroup/pods/cpuset.mems.effective": "0"},
        _bounds("0", "/sys/fs/cgroup/pods/cpuset.mems.effective"),
        id="version 2: those of the nearest group that has the controller",
    ),
    pytest.param(
        1,
        {f"{_OLD_GROUP}/cpuset.effective_mems": "0", f"{_OLD_GROUP}/cpuset.mems": "0-1"},
        _bounds("0", f"/{_OLD_GROUP}/cpuset.effective_mems"),
        id="version 1",
    ),
    pytest.param(
        1, {f"{_OLD_GROUP}/cpuset.mems": "0-1"}, _bounds("0-1", f"/{_OLD_GROUP}/cpuset.mems"), id="an old version 1"
    ),
    pytest.param(
        2,
        {"proc/self/status": r"Cpus_allowed_list:\t0-3\nMems_allowed_list:\t1"},
        _bounds("1", "/proc/self/status"),
        id="no file: what the kernel says of the process",
    ),
    pytest.param(
        2,
        {f"{_GROUP}/cpuset.mems.effective": "", "proc/self/status": r"Mems_allowed_list:\t0"},
        _bounds("0", "/proc/self/status"),
        id="an empty file, as before the first write",
    ),
    pytest.param(2, {"proc/self/status": r"Mems_allowed_list:\t"}, _bounds(), id="an empty line"),
    pytest.param(
        2,
        {f"{_GROUP}/cpuset.cpus.partition": "isolated", f"{_GROUP}/cpuset.cpus.effective": "2-5"},
        _bounds(isolated="2-5", isolated_source=f"/{_GROUP}/cpuset.cpus.partition"),
        id="an isolated partition",
    ),
    pytest.param(
        2,
        {
            f"{_GROUP}/cpuset.cpus.partition": "member",
            "sys/fs/cgroup/pods/cpuset.cpus.partition": "isolated",
            "sys/fs/cgroup/pods/cpuset.cpus.effective": "2-7",
        },
        _bounds(isolated="2-7", isolated_source="/sys/fs/cgroup/pods/cpuset.cpus.partition"),
        id="inside of an isolated partition",
    ),
    pytest.param(
        2,
        {
            f"{_GROUP}/cpuset.cpus.partition": "isolated invalid (Cpu list in cpuset.cpus not exclusive)",
            f"{_GROUP}/cpuset.cpus.effective": "2-5",
        },
        _bounds(),
        id="a partition that is invalid",
    ),
    pytest.param(
        2,
        {f"{_GROUP}/cpuset.cpus.partition": "root", f"{_GROUP}/cpuset.cpus.effective": "2-5"},
        _bounds(),
        id="a partition that balances",
    ),
    pytest.param(
        1,
        {
            f"{_OLD_GROUP}/cpuset.sched_load_balance": "0",
            "sys/fs/cgroup/cpuset/pods/cpuset.sched_load_balance": "0",
            f"{_OLD_GROUP}/cpuset.cpus": "2-5",
        },
        _bounds(isolated="2-5", isolated_source=f"/{_OLD_GROUP}/cpuset.sched_load_balance"),
        id="version 1 without balancing",
    ),
    pytest.param(
        1,
        {
            f"{_OLD_GROUP}/cpuset.sched_load_balance": "0",
            "sys/fs/cgroup/cpuset/pods/cpuset.sched_load_balance": "1",
            f"{_OLD_GROUP}/cpuset.cpus": "2-5",
        },
        _bounds(),
        id="version 1: a group above balances",
    ),
]


@pytest.mark.parametrize(("version", "files", "bounds"), _ROWS)
def test_bounds_are_read_of_the_groups(version: int, files: Files, bounds: Bounds) -> None:
    assert read_bounds(_tree(files, version=version)) == bounds


@pytest.mark.parametrize(("version", "files", "bounds"), _ROWS)
def test_a_capture_keeps_the_bounds(version: int, files: Files, bounds: Bounds) -> None:
    files = {"sys/devices/system/cpu/online": "0-7", "proc/sys/kernel/arch": "x86_64", **files}
    text = capture(_tree(files, version=version), CPUSet.parse("0-7"), "x86_64")
    assert read_bounds(parse_capture(text, "again")) == bounds


def test_a_quota_of_a_group_above_is_among_the_bounds_of_the_allowed_cpus() -> None:
    files = {f"{_GROUP}/cpuset.cpus.effective": "0-1", "sys/fs/cgroup/pods/cpu.max": "150000 100000"}
    allowed = read_allowed(_tree(files), CPUSet.parse("0-1"))
    assert (str(allowed.cpus), allowed.bounds.quota) == (
        "0-1",
        CPUQuota(cpus=1.5, source="/sys/fs/cgroup/pods/cpu.max"),
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        pytest.param(
            {f"{_GROUP}/cpuset.mems.effective": "0-"},
            f"host: /{_GROUP}/cpuset.mems.effective: '0-' in cpulist '0-' is not",
            id="a torn file",
        ),
        pytest.param(
            {"proc/self/status": r"Mems_allowed_list:\tall"},
            "host: /proc/self/status: Mems_allowed_list: 'all' in cpulist 'all' is not",
            id="a word in the status",
        ),
    ],
)
def test_nodes_of_memory_that_are_no_list_are_refused(files: Files, message: str) -> None:
    with pytest.raises(HostError) as caught:
        read_bounds(_tree(files))
    assert str(caught.value).startswith(message)
