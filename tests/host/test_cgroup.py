"""The reader of control groups: where the own group is found, and what it and the affinity allow together."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.capture import CaptureTree, parse_capture
from launcher.host.cgroup import (
    Mount,
    check_allowed,
    find_cpuset,
    parse_mountinfo,
    read_affinity,
    read_allowed_cpus,
    read_cpu_quota,
    read_cpuset_partition,
)
from launcher.host.model import CPU, AllowedCPUs, CPUQuota, Host

GROUP = "sys/fs/cgroup"
CPUSET = f"{GROUP}/cpuset"
V2 = f"30 23 0:26 / /{GROUP} rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate"
V1 = f"31 30 0:27 / /{CPUSET} rw shared:5 - cgroup cgroup rw,cpuset"

Files = Mapping[str, str]


def tree(files: Files) -> CaptureTree:
    lines = (f"{path}: {value}" for path, value in {"proc/sys/kernel/arch": "x86_64", **files}.items())
    return parse_capture("\n".join(lines), "host")


def v2(group: str, mount: str = V2, **files: str) -> Files:
    return {"proc/self/cgroup": f"0::{group}", "proc/self/mountinfo": mount, **files}


def v1(group: str, mount: str = V1) -> Files:
    return {"proc/self/cgroup": rf"5:cpuset:{group}\n0::/", "proc/self/mountinfo": mount}


def rooted(root: str) -> str:
    """Return the mount of version 2 whose root is this folder of the file system."""
    return V2.replace(" / ", f" {root} ", 1)


@pytest.mark.parametrize(
    ("files", "there", "found"),
    [
        pytest.param(
            v2("/a/b"),
            [f"{GROUP}/a/b/cpuset.cpus.effective", f"{GROUP}/cpuset.cpus.effective"],
            f"{GROUP}/a/b/cpuset.cpus.effective",
            id="version 2: the own group's file",
        ),
        pytest.param(
            v2("/a/b/c"),
            [f"{GROUP}/a/cpuset.cpus.effective", f"{GROUP}/cpuset.cpus.effective"],
            f"{GROUP}/a/cpuset.cpus.effective",
            id="version 2: the nearest ancestor that has the controller",
        ),
        pytest.param(
            v2("/", rooted("/")),
            [f"{GROUP}/cpuset.cpus.effective"],
            f"{GROUP}/cpuset.cpus.effective",
            id="version 2 in a namespace",
        ),
        pytest.param(
            v2("/pods/ctr", rooted("/pods/ctr")),
            [f"{GROUP}/cpuset.cpus.effective", f"{GROUP}/pods/ctr/cpuset.cpus.effective"],
            f"{GROUP}/cpuset.cpus.effective",
            id="a container without a namespace sees its group at the mount point",
        ),
        pytest.param(
            v2("/pods/ctr/inner", rooted("/pods/ctr")),
            [f"{GROUP}/inner/cpuset.cpus.effective", f"{GROUP}/cpuset.cpus.effective"],
            f"{GROUP}/inner/cpuset.cpus.effective",
            id="a group below the container's",
        ),
        pytest.param(
            v2("/", rooted("/../..")),
            [f"{GROUP}/cpuset.cpus.effective"],
            f"{GROUP}/cpuset.cpus.effective",
            id="the mount's root above the namespace is an ancestor",
        ),
        pytest.param(
            v2("/../other", rooted("/..")),
            [f"{GROUP}/other/cpuset.cpus.effective", f"{GROUP}/cpuset.cpus.effective"],
            f"{GROUP}/other/cpuset.cpus.effective",
            id="a sibling of the namespace's root, seen from above it",
        ),
        pytest.param(
            v2("/../other", rooted("/")),
            [f"{GROUP}/cpuset.cpus.effective", f"{GROUP}/other/cpuset.cpus.effective"],
            None,
            id="a group outside of the namespace is not below its mount",
        ),
        pytest.param(
            v2("/pods/ctr", rooted("/pods/other")),
            [f"{GROUP}/cpuset.cpus.effective"],
            None,
            id="a mount of another group says nothing of the own one",
        ),
        pytest.param(
            v2("/pods/container", rooted("/pods/cont")),
            [f"{GROUP}/cpuset.cpus.effective", f"{GROUP}/ainer/cpuset.cpus.effective"],
            None,
            id="names are compared whole",
        ),
        pytest.param(
            v2("/my pod:1/a", V2.replace(f"/{GROUP}", r"/mnt/c\\040g")),
            [r"mnt/c g/my pod:1/a/cpuset.cpus.effective"],
            "mnt/c g/my pod:1/a/cpuset.cpus.effective",
            id="blanks in names, escaped in mountinfo",
        ),
        pytest.param(
            v1("/a/b"),
            [f"{CPUSET}/a/b/cpuset.effective_cpus", f"{CPUSET}/a/b/cpuset.cpus"],
            f"{CPUSET}/a/b/cpuset.effective_cpus",
            id="version 1: the effective CPUs",
        ),
        pytest.param(
            v1("/a/b"),
            [f"{CPUSET}/a/b/cpuset.cpus", f"{CPUSET}/cpuset.effective_cpus"],
            f"{CPUSET}/a/b/cpuset.cpus",
            id="version 1: an old kernel's own file before an ancestor's",
        ),
        pytest.param(
            v1("/docker/1", V1.replace(" / ", " /docker/1 ", 1)),
            [f"{CPUSET}/cpuset.effective_cpus"],
            f"{CPUSET}/cpuset.effective_cpus",
            id="version 1 in a container",
        ),
        pytest.param(
            {**v1("/a"), "proc/self/mountinfo": rf"{V2.replace(GROUP, GROUP + '/unified')}\n{V1}"},
            [f"{GROUP}/unified/cpu.stat", f"{CPUSET}/a/cpuset.effective_cpus"],
            f"{CPUSET}/a/cpuset.effective_cpus",
            id="hybrid: version 2 without the controller",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "4:cpu,cpuset,memory:/a",
                "proc/self/mountinfo": f"31 30 0:27 / /{GROUP}/all rw - cgroup none rw,memory,cpu,cpuset",
            },
            [f"{GROUP}/all/a/cpuset.effective_cpus"],
            f"{GROUP}/all/a/cpuset.effective_cpus",
            id="several controllers in one hierarchy, no optional fields",
        ),
        pytest.param(
            {**v2("/a"), "proc/self/mountinfo": rf"{V2}\n40 30 0:30 / /{GROUP} rw - tmpfs tmpfs rw"},
            [f"{GROUP}/a/cpuset.cpus.effective"],
            None,
            id="a mount that another one hides is not looked into",
        ),
        pytest.param({}, [], None, id="no control groups at all"),
        pytest.param({"proc/self/cgroup": "0::/a"}, [f"{GROUP}/a/cpuset.cpus.effective"], None, id="no mounts"),
    ],
)
def test_the_file_of_the_own_group_is_found(files: Files, there: list[str], found: str | None) -> None:
    assert find_cpuset(tree({**files, **dict.fromkeys(there, "0")})) == found


FILE = f"{GROUP}/a/cpuset.cpus.effective"


def narrowed(cpus: str, source: str, cpuset: str, affinity: str) -> AllowedCPUs:
    warning = f"/{FILE} allows the CPUs {cpuset}, sched_getaffinity {affinity}; the CPUs {cpus} are taken"
    return AllowedCPUs(cpus=CPUSet.parse(cpus), source=source, warnings=(warning,))


@pytest.mark.parametrize(
    ("cpuset", "affinity", "allowed"),
    [
        pytest.param("2-5", "2-5", AllowedCPUs(cpus=CPUSet.parse("2-5"), source=f"/{FILE}"), id="both agree"),
        pytest.param("2-5", "4", narrowed("4", "sched_getaffinity", "2-5", "4"), id="the affinity is narrower"),
        pytest.param("2-5", "0-7", narrowed("2-5", f"/{FILE}", "2-5", "0-7"), id="the cpuset is narrower"),
        pytest.param(
            "2-5",
            "4-7",
            narrowed("4-5", f"/{FILE} and sched_getaffinity", "2-5", "4-7"),
            id="neither holds the other: what both allow",
        ),
        pytest.param(
            "0-31:2/8",
            "0-1,8-9,16-17,24-25",
            AllowedCPUs(cpus=CPUSet.parse("0-31:2/8"), source=f"/{FILE}"),
            id="strides",
        ),
        pytest.param(None, "1-2", AllowedCPUs(cpus=CPUSet.parse("1-2"), source="sched_getaffinity"), id="no file"),
    ],
)
def test_the_narrower_of_cpuset_and_affinity_is_taken(cpuset: str | None, affinity: str, allowed: AllowedCPUs) -> None:
    files = v2("/a") if cpuset is None else {**v2("/a"), FILE: cpuset}
    assert read_allowed_cpus(tree(files), CPUSet.parse(affinity)) == allowed


@pytest.mark.parametrize(
    ("files", "affinity", "message"),
    [
        pytest.param(
            {**v2("/a"), FILE: ""}, "0", f"host: /{FILE}: no CPU; wanted a list of at least one", id="an empty cpuset"
        ),
        pytest.param(
            {**v1("/a"), f"{CPUSET}/a/cpuset.cpus": ""},
            "0",
            f"host: /{CPUSET}/a/cpuset.cpus: no CPU; wanted a list of at least one",
            id="a new group of version 1",
        ),
        pytest.param(
            {**v2("/a"), FILE: "0-"},
            "0",
            f"host: /{FILE}: '0-' in cpulist '0-' is not a CPU, a range a-b or a range a-b:used/group",
            id="a range without an end",
        ),
        pytest.param(
            {**v2("/a"), FILE: "0-3"},
            "4-5",
            f"/{FILE} allows the CPUs 0-3, sched_getaffinity 4-5; wanted at least one CPU that both allow",
            id="nothing that both allow",
        ),
        pytest.param({}, "", "sched_getaffinity: no CPU; wanted a list of at least one", id="nothing at all"),
        pytest.param(
            {"proc/self/cgroup": "garbage"},
            "0",
            "host: /proc/self/cgroup: 'garbage' is not hierarchy:controllers:path",
            id="a group that is none",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/", "proc/self/mountinfo": "30 23 0:26 / /sys"},
            "0",
            "host: /proc/self/mountinfo: '30 23 0:26 / /sys' is not a line of mountinfo",
            id="a mount that is none",
        ),
    ],
)
def test_what_cannot_be_believed_is_refused(files: Files, affinity: str, message: str) -> None:
    with pytest.raises(HostError) as refused:
        read_allowed_cpus(tree(files), CPUSet.parse(affinity))
    assert str(refused.value) == message


V1_CPU = f"32 30 0:28 / /{GROUP}/cpu rw - cgroup cgroup rw,cpu,cpuacct"


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        pytest.param({**v2("/a/b"), f"{GROUP}/a/b/cpu.max": "max 100000"}, None, id="version 2: none"),
        pytest.param(
            {**v2("/a/b"), f"{GROUP}/a/b/cpu.max": "150000 100000"},
            CPUQuota(cpus=1.5, source=f"/{GROUP}/a/b/cpu.max"),
            id="version 2: the own",
        ),
        pytest.param(
            {**v2("/a/b"), f"{GROUP}/a/b/cpu.max": "400000 100000", f"{GROUP}/a/cpu.max": "100000 50000"},
            CPUQuota(cpus=2.0, source=f"/{GROUP}/a/cpu.max"),
            id="version 2: an ancestor's is tighter",
        ),
        pytest.param(
            {
                "proc/self/cgroup": "3:cpu,cpuacct:/a",
                "proc/self/mountinfo": V1_CPU,
                f"{GROUP}/cpu/a/cpu.cfs_quota_us": "-1",
                f"{GROUP}/cpu/a/cpu.cfs_period_us": "100000",
                f"{GROUP}/cpu/cpu.cfs_quota_us": "250000",
                f"{GROUP}/cpu/cpu.cfs_period_us": "100000",
            },
            CPUQuota(cpus=2.5, source=f"/{GROUP}/cpu/cpu.cfs_quota_us"),
            id="version 1: none of its own, an ancestor's",
        ),
        pytest.param({}, None, id="no control groups"),
    ],
)
def test_the_tightest_quota_counts(files: Files, quota: CPUQuota | None) -> None:
    assert read_cpu_quota(tree(files)) == quota


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("100000", "'100000' is not a quota and a period", id="no period"),
        pytest.param("0 100000", "a quota of 0 in a period of 100000 is not positive", id="no time"),
        pytest.param("much 100000", "'much' is not an integer", id="no number"),
    ],
)
def test_a_quota_that_is_none_is_refused(text: str, message: str) -> None:
    with pytest.raises(HostError) as refused:
        read_cpu_quota(tree({**v2("/a"), f"{GROUP}/a/cpu.max": text}))
    assert str(refused.value) == f"host: /{GROUP}/a/cpu.max: {message}"


@pytest.mark.parametrize(
    ("files", "partition"),
    [
        pytest.param({**v2("/a"), f"{GROUP}/a/cpuset.cpus.partition": "root"}, "root", id="a partition"),
        pytest.param(
            {**v2("/a"), f"{GROUP}/a/cpuset.cpus.partition": "isolated invalid (Cpu list is empty)"},
            "isolated invalid (Cpu list is empty)",
            id="one that the kernel gave up",
        ),
        pytest.param(v2("/a"), None, id="none"),
        pytest.param({**v1("/a"), f"{CPUSET}/a/cpuset.cpus": "0"}, None, id="none in version 1"),
    ],
)
def test_the_partition_is_what_the_kernel_says(files: Files, partition: str | None) -> None:
    assert read_cpuset_partition(tree(files)) == partition


@pytest.mark.parametrize(
    ("files", "affinity"),
    [
        pytest.param({"proc/self/status": r"Name:\tx\nCpus_allowed_list:\t0-3,8"}, "0-3,8", id="as the file says"),
        pytest.param(
            {"proc/self/status": r"Cpus_allowed_list:\t0-3", "sys/devices/system/cpu/online": "0,2-7"},
            "0,2-3",
            id="without CPUs that are offline",
        ),
        pytest.param({"proc/self/status": r"Name:\tx"}, None, id="not said"),
        pytest.param({}, None, id="no such file"),
    ],
)
def test_the_affinity_of_a_capture_is_in_the_status(files: Files, affinity: str | None) -> None:
    assert read_affinity(tree(files)) == (None if affinity is None else CPUSet.parse(affinity))


def test_an_affinity_that_is_no_list_is_refused() -> None:
    with pytest.raises(HostError, match=r"^host: /proc/self/status: Cpus_allowed_list: '0-' in cpulist"):
        read_affinity(tree({"proc/self/status": r"Cpus_allowed_list:\t0-"}))


@pytest.mark.parametrize(
    ("line", "mount"),
    [
        pytest.param(
            "36 35 98:0 /a /b rw,noatime - ext3 /dev/root rw,errors=continue",
            Mount(root="/a", point="/b", filesystem="ext3", options=frozenset({"rw", "errors=continue"})),
            id="no optional fields",
        ),
        pytest.param(
            "36 35 98:0 / /b rw master:1 propagate_from:2 - cgroup none rw,cpuset",
            Mount(root="/", point="/b", filesystem="cgroup", options=frozenset({"rw", "cpuset"})),
            id="two optional fields",
        ),
        pytest.param(
            r"36 35 98:0 /x\134y /b\040c\011d\012e rw - tmpfs a\040b rw",
            Mount(root="/x\\y", point="/b c\td\ne", filesystem="tmpfs", options=frozenset({"rw"})),
            id="escapes",
        ),
    ],
)
def test_a_line_of_mountinfo_is_understood(line: str, mount: Mount) -> None:
    assert parse_mountinfo(f"{line}\n", "mountinfo") == (mount,)


HOST = Host(
    cpus=tuple(CPU(cpu=cpu, core=cpu, die=0, socket=0, node=0, cache=0) for cpu in range(4)),
    nodes=(),
    offline=CPUSet.parse("4"),
)


@pytest.mark.parametrize(
    ("cpus", "message"),
    [
        pytest.param(
            "3-5", "--cpuset: the CPUs 4-5 of 3-5 are not online on this host (online 0-3, offline 4)", id="absent"
        ),
        pytest.param("", "--cpuset: no CPU; wanted a list of at least one", id="none"),
    ],
)
def test_cpus_that_the_host_does_not_have_are_refused(cpus: str, message: str) -> None:
    with pytest.raises(HostError) as refused:
        check_allowed(AllowedCPUs(cpus=CPUSet.parse(cpus), source="--cpuset"), HOST)
    assert str(refused.value) == message


def test_cpus_that_the_host_has_are_allowed() -> None:
    check_allowed(AllowedCPUs(cpus=CPUSet.parse("0,3"), source="--cpuset"), HOST)
