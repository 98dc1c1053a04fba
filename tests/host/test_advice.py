"""The node's doctor, from captures: one line for each thing that hurts, none on a clean node, none of what is torn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from launcher.cpuset import CPUSet
from launcher.host.advice import advise
from launcher.host.bounds import read_allowed
from launcher.host.capture import capture, parse_capture
from launcher.host.sysfs import read_host
from tests.host.shapes import Machine, Memory, adjacent, grid, tree_of

_CPU = "sys/devices/system/cpu"
# Two nodes of two cores of two threads: CPUs 0-3 and 4-7; the container has node 1.
_MACHINE = Machine(
    threads=grid(sockets=2, nodes=1, caches=1, cores=2, threads=2, number=adjacent(2)),
    nodes={
        0: Memory(kilobytes=1 << 20, distances="10 20", huge_pages=((2048, 4, 4),)),
        1: Memory(kilobytes=1 << 20, distances="20 10", huge_pages=((2048, 4, 4),)),
    },
    affinity="4-7",
)

_CPUS = "      CPU0 CPU1 CPU2 CPU3 CPU4 CPU5 CPU6 CPU7"
_ROW = " 34:   7    0    0    0    4    0    5    0  PCI-MSI 1048576-edge"

Files = Mapping[str, str | None]

_CLEAN: Files = {
    "proc/irq/24/smp_affinity_list": "0-3",
    f"{_CPU}/cpu4/cpufreq/scaling_governor": "performance",
    f"{_CPU}/cpu4/cpuidle/state0/latency": "2",
    f"{_CPU}/cpu4/cpuidle/state0/disable": "0",
    f"{_CPU}/cpu4/cpuidle/state3/latency": "890",
    f"{_CPU}/cpu4/cpuidle/state3/disable": "1",
    f"{_CPU}/isolated": "4-7",
    "proc/sys/kernel/sched_rt_runtime_us": "-1",
    "sys/module/kvm/parameters/halt_poll_ns": "0",
    "proc/sys/kernel/osrelease": "6.12.5-amd64",
}


def _advice(files: Files, affinity: str = "4-7") -> tuple[str, ...]:
    """Return what is advised of the machine with these files, after it has been captured and read again."""
    written = tree_of(replace(_MACHINE, extra=files, affinity=affinity))
    tree = parse_capture(capture(written, CPUSet.parse(affinity), "x86_64"), "capture")
    return advise(tree, read_host(tree, "x86_64"), read_allowed(tree, CPUSet.parse(affinity)))


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param({}, None, id="a clean node"),
        pytest.param(
            {"proc/irq/24/smp_affinity_list": "2-5"},
            "interrupts 24 may run on CPUs 4-5: keep them off",
            id="interrupts",
        ),
        pytest.param({"proc/irq/24/smp_affinity_list": "2-"}, None, id="an interrupt's file is torn"),
        pytest.param(
            {"proc/interrupts": f"{_CPUS}\\n{_ROW} vfio-msix[0](0000:41:00.0)\\n{_ROW} vfio-msix[1](0000:41:00.0)\\n"},
            "interrupts of 0000:41:00.0, a guest's device, have run 18 times on CPUs 4,6: have them on a housekeeping",
            id="interrupts of a guest's device",
        ),
        pytest.param({"proc/interrupts": f"{_CPUS}\\n{_ROW} nvme0q1\\n"}, None, id="interrupts of the host's own"),
        pytest.param(
            {"proc/interrupts": f"{_CPUS}\\n 34: 9 9 9 9 0 0 0 0 PCI-MSI vfio-intx(0000:41:00.0)\\n"},
            None,
            id="interrupts of a guest's device elsewhere",
        ),
        pytest.param(
            {"proc/interrupts": "CPUx\\n 34: x vfio-msi(0000:41:00.0)\\nvfio-msi(0000:41:00.0)\\n"},
            None,
            id="what is no table of interrupts",
        ),
        pytest.param(
            {f"{_CPU}/cpu4/cpufreq/scaling_governor": "powersave"},
            "CPUs 4 have the frequency governor 'powersave': cpupower -c 4 frequency-set -g performance",
            id="governor",
        ),
        pytest.param({f"{_CPU}/cpu1/cpufreq/scaling_governor": "powersave"}, None, id="another CPU's governor"),
        pytest.param(
            {f"{_CPU}/cpu4/cpuidle/state3/disable": "0"},
            "CPUs 4 may sleep in states that take up to 890 us to leave: cpupower -c 4 idle-set -D 50",
            id="idle states",
        ),
        pytest.param({f"{_CPU}/cpu4/cpuidle/state3/disable": "x"}, None, id="an idle state's file is hostile"),
        pytest.param(
            {f"{_CPU}/isolated": "5-7"},
            "CPUs 5 are isolated, and their siblings 4 are not: isolate whole cores",
            id="half a core is isolated",
        ),
        pytest.param(
            {"proc/sys/kernel/sched_rt_runtime_us": "950000"},
            "sched_rt_runtime_us is 950000: a realtime vCPU that is always busy stands still",
            id="realtime is throttled",
        ),
        pytest.param({"proc/sys/kernel/sched_rt_runtime_us": ""}, None, id="an empty file"),
        pytest.param(
            {"sys/module/kvm/parameters/halt_poll_ns": "200000"}, "kvm polls for 200000 ns before", id="halt polling"
        ),
        pytest.param(
            {"proc/sys/kernel/osrelease": "6.1.0-56-cloud-amd64"}, "Linux 6.1 forgets every pin", id="an old kernel"
        ),
        pytest.param({"proc/sys/kernel/osrelease": "mine"}, None, id="a kernel without a number"),
        pytest.param(
            {"sys/devices/system/node/node1/hugepages/hugepages-2048kB/free_hugepages": "0"},
            "huge pages of 2Mi are free on nodes 0 only, and the cpuset's CPUs are on nodes 1: reserve them there",
            id="huge pages on the wrong node",
        ),
        pytest.param(
            {
                "proc/self/cgroup": r"0::/pods/ctr",
                "proc/self/mountinfo": "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw",
                "sys/fs/cgroup/pods/cpu.max": "200000 100000",
            },
            "/sys/fs/cgroup/pods/cpu.max allows time for 2 of the cpuset's 4 CPUs: take the quota away",
            id="a parent's quota",
        ),
    ],
)
def test_what_hurts_is_named_with_its_cure_and_its_source(files: Files, said: str | None) -> None:
    advice = _advice({**_CLEAN, **files})
    if said is None:
        assert advice == ()
        return
    (line,) = advice
    assert line.startswith(said)
    assert line.endswith("]")
    assert "\n" not in line


def test_a_sibling_outside_of_the_cpuset_is_named() -> None:
    (line,) = _advice(_CLEAN, affinity="4-6")
    assert line.startswith("CPUs 6 share their cores with CPUs 7, which are outside the cpuset and may run anything")


def test_offline_cpus_are_named() -> None:
    (line,) = _advice({**_CLEAN, f"{_CPU}/present": "0-8", f"{_CPU}/offline": "8"})
    assert line.startswith("CPUs 8 are offline: the kubelet may hand out CPUs that it has reserved")


def test_a_machine_that_says_nothing_of_these_is_advised_nothing() -> None:
    assert _advice({}) == ()
