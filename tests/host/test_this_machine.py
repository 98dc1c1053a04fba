"""The readers on the machine that runs the tests: against the kernel's own answers, and in a cpuset made for them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from launcher.cpuset import CPUSet
from launcher.host.capture import capture, parse_capture
from launcher.host.cgroup import (
    check_allowed,
    find_cpuset,
    parse_mountinfo,
    read_affinity,
    read_allowed_cpus,
    read_cpu_quota,
    read_cpuset_partition,
)
from launcher.host.model import AllowedCPUs
from launcher.host.sysfs import read_host
from launcher.host.tree import FolderTree

HERE = FolderTree(Path("/"))
PROJECT = Path(__file__).parents[2]


def affinity() -> CPUSet:
    return CPUSet.of(os.sched_getaffinity(0))


def test_the_online_cpus_are_those_that_the_kernel_counts() -> None:
    host = read_host(HERE, os.uname().machine)
    assert len(host.online) == os.sysconf("SC_NPROCESSORS_ONLN")
    assert affinity() <= host.online


def test_the_page_size_and_the_architecture_are_those_of_the_kernel() -> None:
    host = read_host(HERE, os.uname().machine)
    assert (host.page_bytes, host.arch) == (os.sysconf("SC_PAGE_SIZE"), os.uname().machine)


def test_the_memory_of_the_nodes_is_not_more_than_the_memory_of_the_machine() -> None:
    host = read_host(HERE, os.uname().machine)
    memory = re.search(r"MemTotal:\s*(\d+) kB", Path("/proc/meminfo").read_text())
    assert memory is not None
    assert 0 < sum(node.memory_bytes for node in host.nodes) <= int(memory[1]) << 10


def members(pairs: Iterable[tuple[object, int]]) -> set[str]:
    """Return the cpulists of the CPUs of each key."""
    cpus: dict[object, list[int]] = {}
    for key, cpu in pairs:
        cpus.setdefault(key, []).append(cpu)
    return {str(CPUSet.of(some)) for some in cpus.values()}


def test_the_cores_and_sockets_are_those_that_lscpu_tells() -> None:
    cpus = read_host(HERE, os.uname().machine).cpus
    output = subprocess.run(["lscpu", "--parse=CPU,CORE,SOCKET"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(",") for line in output.splitlines() if not line.startswith("#")]
    assert members((cpu.core, cpu.cpu) for cpu in cpus) == members((core, int(cpu)) for cpu, core, _ in rows)
    assert members((cpu.socket, cpu.cpu) for cpu in cpus) == members((socket, int(cpu)) for cpu, _, socket in rows)


def test_the_affinity_in_the_status_is_what_the_system_call_says() -> None:
    assert read_affinity(HERE) == affinity()


def test_the_allowed_cpus_are_online_here() -> None:
    allowed = read_allowed_cpus(HERE, affinity())
    check_allowed(allowed, read_host(HERE, os.uname().machine))
    assert allowed.cpus <= affinity()


def test_a_capture_of_this_machine_replays_it() -> None:
    # Memory and huge pages may change while this runs: the capture lies between two readings.
    before = read_host(HERE, os.uname().machine)
    text = capture(HERE, affinity(), os.uname().machine)
    after = read_host(HERE, os.uname().machine)
    replayed = parse_capture(text, "captured")
    assert read_host(replayed, "none") in (before, after)
    assert read_affinity(replayed) == affinity()
    assert read_allowed_cpus(replayed, affinity()) == read_allowed_cpus(HERE, affinity())
    assert read_cpu_quota(replayed) == read_cpu_quota(HERE)
    assert read_cpuset_partition(replayed) == read_cpuset_partition(HERE)
    assert capture(replayed, affinity(), "none") == text


@dataclass(frozen=True, slots=True)
class Child:
    """A cpuset below that of the tests, and the file that the reader should find there."""

    folder: Path
    source: str

    def write(self, name: str, text: str) -> None:
        (self.folder / name).write_text(text)

    def run(self, program: str) -> str:
        """Run a Python program in this cpuset and return what it prints."""
        enter = f"open({str(self.folder / 'cgroup.procs')!r}, 'w').write(str(__import__('os').getpid()))\n"
        run = subprocess.run(
            [sys.executable, "-c", enter + program], capture_output=True, text=True, check=True, timeout=60, cwd=PROJECT
        )
        return run.stdout.strip()


def version_1_child() -> Child | None:
    """Make a cpuset below the own one of version 1."""
    path = find_cpuset(HERE)
    if path is None or path.endswith("cpuset.cpus.effective"):
        return None
    parent = Path("/") / Path(path).parent
    child = parent / f"virt-launcher-test-{os.getpid()}"
    child.mkdir()
    (child / "cpuset.mems").write_text((parent / "cpuset.mems").read_text())
    return Child(folder=child, source=f"{child}/{Path(path).name}")


def version_2_child() -> Child:
    """Make a cpuset at the top of version 2, where every group may hand on the controller."""
    mounts = parse_mountinfo(Path("/proc/self/mountinfo").read_text(), "/proc/self/mountinfo")
    top = next(Path(mount.point) for mount in mounts if mount.filesystem == "cgroup2")
    (top / "cgroup.subtree_control").write_text("+cpuset")
    child = top / f"virt-launcher-test-{os.getpid()}"
    child.mkdir()
    return Child(folder=child, source=f"{child}/cpuset.cpus.effective")


@pytest.fixture
def child() -> Iterator[Child]:
    """Return a cpuset of its own; on a machine where none can be made the tests that need it fail, and say so."""
    try:
        made = version_1_child() or version_2_child()
    except (OSError, StopIteration) as error:
        pytest.fail(f"no cpuset can be made here ({error}): run the tests as root where /sys/fs/cgroup is writable")
    yield made
    made.folder.rmdir()


REPORT = """
import os
from pathlib import Path
from launcher.cpuset import CPUSet
from launcher.host.cgroup import read_allowed_cpus
from launcher.host.tree import FolderTree
{before}
print(repr(read_allowed_cpus(FolderTree(Path("/")), CPUSet.of(os.sched_getaffinity(0)))))
"""


def test_a_process_in_a_cpuset_is_allowed_what_the_cpuset_holds(child: Child) -> None:
    one = CPUSet.of((max(affinity()),))
    child.write("cpuset.cpus", str(one))
    assert child.run(REPORT.format(before="")) == repr(AllowedCPUs(cpus=one, source=child.source))


def test_an_affinity_narrower_than_the_cpuset_counts_and_both_are_named(child: Child) -> None:
    whole, one = affinity(), CPUSet.of((affinity().lowest,))
    assert len(whole) > 1, "this test needs two CPUs"
    child.write("cpuset.cpus", str(whole))
    warning = f"{child.source} allows the CPUs {whole}, sched_getaffinity {one}; the CPUs {one} are taken"
    expected = AllowedCPUs(cpus=one, source="sched_getaffinity", warnings=(warning,))
    assert child.run(REPORT.format(before=f"os.sched_setaffinity(0, {set(one)})")) == repr(expected)


def test_a_cpuset_in_a_namespace_of_control_groups_is_found(child: Child) -> None:
    assert len(affinity()) > 1, "this test needs two CPUs"
    one = CPUSet.of((max(affinity()),))
    child.write("cpuset.cpus", str(one))
    # CLONE_NEWCGROUP (sched.h): from here on the own group is "/", and what is mounted is rooted above it.
    unshare = "import ctypes; assert ctypes.CDLL(None, use_errno=True).unshare(0x02000000) == 0, ctypes.get_errno()"
    allowed = child.run(REPORT.format(before=unshare))
    above = Path(child.source).parents[1] / Path(child.source).name
    held = CPUSet.parse(above.read_text())
    warning = f"{above} allows the CPUs {held}, sched_getaffinity {one}; the CPUs {one} are taken"
    assert allowed == repr(AllowedCPUs(cpus=one, source="sched_getaffinity", warnings=(warning,)))
