"""The node's doctor: what on this node will hurt a guest's CPUs, each with its cure and where the rule comes from.

What is not there, or does not parse, is passed over: advice is no check. The files are read of at most so many CPUs and
interrupts, for they are many on large machines.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import AllowedCPUs, Host
from launcher.host.tree import Tree, read_cpus, read_integer

_CPU = "sys/devices/system/cpu"
_IRQ = "proc/irq"
_INTERRUPTS = "proc/interrupts"
# What vfio-pci calls the interrupts of a device that a guest has (drivers/vfio/pci/vfio_pci_intrs.c).
_OF_GUESTS = re.compile(r"\bvfio-(?:intx|msix?)(?:\[\d+\])?\(([0-9a-f]{4}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-7])\)", re.ASCII)
_RT_RUNTIME = "proc/sys/kernel/sched_rt_runtime_us"
_HALT_POLL = "sys/module/kvm/parameters/halt_poll_ns"
_RELEASE = "proc/sys/kernel/osrelease"
_MOST_CPUS = 128
_MOST_INTERRUPTS = 1024
# Waking from a deeper state is felt by a guest that answers in tens of microseconds.
_LATENCY_US = 50
_VERSION = re.compile(r"(\d{1,4})\.(\d{1,4})", re.ASCII)
_KEEPS_PINS = (6, 2)


def advise(tree: Tree, host: Host, allowed: AllowedCPUs) -> tuple[str, ...]:
    """Return one line for each thing that will hurt guests on the allowed CPUs; none where the node is clean."""
    cpus = allowed.cpus & host.online
    return (
        *_interrupts(tree, host, cpus),
        *_device_interrupts(tree, cpus),
        *_governors(tree, cpus),
        *_idle_states(tree, cpus),
        *_siblings(host, cpus),
        *_realtime(tree),
        *_halt_polling(tree),
        *_quota(allowed, cpus),
        *_huge_pages(host, cpus),
        *_kernel(tree),
        *_offline(host),
    )


def _number(tree: Tree, path: str) -> int | None:
    try:
        return read_integer(tree, path)
    except HostError:
        return None


def _list(tree: Tree, path: str) -> CPUSet:
    try:
        return read_cpus(tree, path) or CPUSet()
    except HostError:
        return CPUSet()


def _text(tree: Tree, path: str) -> str:
    try:
        return (tree.read(path) or "").strip()
    except HostError:
        return ""


def _first(cpus: CPUSet) -> Iterator[int]:
    return islice(cpus, _MOST_CPUS)


def _interrupts(tree: Tree, host: Host, cpus: CPUSet) -> Iterator[str]:
    """Name the interrupts that may run on these CPUs, where there are others for them to run on."""
    numbers = [name for name in tree.list(_IRQ) if name.isdecimal()][:_MOST_INTERRUPTS]
    landing = {number: _list(tree, f"{_IRQ}/{number}/smp_affinity_list") & cpus for number in numbers}
    there = [number for number, where in landing.items() if where]
    if there and cpus != host.online:
        hit = CPUSet.of(cpu for number in there for cpu in landing[number])
        more = f" and {len(there) - 5} more" if len(there) > 5 else ""
        yield (
            f"interrupts {', '.join(there[:5])}{more} may run on CPUs {hit}: keep them off (irqbalance's "
            f"IRQBALANCE_BANNED_CPULIST={cpus}, or /{_IRQ}/N/smp_affinity_list) [kernel: core-api/irq/irq-affinity]"
        )


def _device_interrupts(tree: Tree, cpus: CPUSet) -> Iterator[str]:
    """Name the guests' devices of the host whose interrupts have run on these CPUs, and how often."""
    rows = _text(tree, _INTERRUPTS).splitlines()
    columns = [int(word[3:]) for word in rows[0].split() if word[3:].isdecimal()] if rows else []
    ran: dict[str, dict[int, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows[1:]:
        match = _OF_GUESTS.search(row)
        counts = row.partition(":")[2].split()[: len(columns)]
        for cpu, count in zip(columns, counts, strict=False):
            if match and cpu in cpus and count.isdecimal() and int(count):
                ran[match[1]][cpu] += int(count)
    for device, by_cpu in sorted(ran.items()):
        yield (
            f"interrupts of {device}, a guest's device, have run {sum(by_cpu.values())} times on CPUs "
            f"{CPUSet.of(by_cpu)}: have them on a housekeeping CPU (/{_IRQ}/N/smp_affinity_list of its rows in "
            f"/{_INTERRUPTS}) [kernel: driver-api/vfio]"
        )


def _governors(tree: Tree, cpus: CPUSet) -> Iterator[str]:
    found: dict[str, list[int]] = defaultdict(list)
    for cpu in _first(cpus):
        governor = _text(tree, f"{_CPU}/cpu{cpu}/cpufreq/scaling_governor")
        if governor not in ("", "performance"):
            found[governor[:40]].append(cpu)
    for governor, slow in sorted(found.items()):
        listed = CPUSet.of(slow)
        yield (
            f"CPUs {listed} have the frequency governor {governor!r}: cpupower -c {listed} frequency-set -g "
            "performance [kernel: admin-guide/pm/cpufreq]"
        )


def _idle_states(tree: Tree, cpus: CPUSet) -> Iterator[str]:
    """Name the CPUs that may sleep so deeply that it takes long to wake."""
    slowest: dict[int, int] = {}
    for cpu in _first(cpus):
        folder = f"{_CPU}/cpu{cpu}/cpuidle"
        for state in tree.list(folder):
            latency = _number(tree, f"{folder}/{state}/latency") or 0
            if latency > _LATENCY_US and _number(tree, f"{folder}/{state}/disable") == 0:
                slowest[cpu] = max(latency, slowest.get(cpu, 0))
    if slowest:
        yield (
            f"CPUs {CPUSet.of(slowest)} may sleep in states that take up to {max(slowest.values())} us to leave: "
            f"cpupower -c {CPUSet.of(slowest)} idle-set -D {_LATENCY_US} [kernel: admin-guide/pm/cpuidle]"
        )


def _siblings(host: Host, cpus: CPUSet) -> Iterator[str]:
    cores: dict[int, CPUSet] = defaultdict(CPUSet)
    for cpu in host.cpus:
        cores[cpu.core] |= CPUSet.of((cpu.cpu,))
    shared = [core for core in cores.values() if core & cpus and core - cpus]
    if shared:
        inside = CPUSet.of(cpu for core in shared for cpu in core & cpus)
        outside = CPUSet.of(cpu for core in shared for cpu in core - cpus)
        yield (
            f"CPUs {inside} share their cores with CPUs {outside}, which are outside the cpuset and may run anything: "
            "give whole cores (the kubelet's full-pcpus-only) [kubernetes: CPU management policies]"
        )
    quiet = host.isolated
    halves = [core for core in cores.values() if core & quiet and core - quiet]
    if halves:
        awake = CPUSet.of(cpu for core in halves for cpu in core - quiet)
        asleep = CPUSet.of(cpu for core in halves for cpu in core & quiet)
        yield (
            f"CPUs {asleep} are isolated, and their siblings {awake} "
            "are not: isolate whole cores (isolcpus=) [kernel: admin-guide/kernel-parameters]"
        )


def _realtime(tree: Tree) -> Iterator[str]:
    runtime = _number(tree, _RT_RUNTIME)
    if runtime is not None and runtime >= 0:
        yield (
            f"sched_rt_runtime_us is {runtime}: a realtime vCPU that is always busy stands still for the rest of each "
            "period: sysctl kernel.sched_rt_runtime_us=-1 [kernel: scheduler/sched-rt-group]"
        )


def _halt_polling(tree: Tree) -> Iterator[str]:
    polling = _number(tree, _HALT_POLL)
    if polling:
        yield (
            f"kvm polls for {polling} ns before a vCPU that halts goes to sleep, at its core's other thread's cost: "
            f"echo 0 > /{_HALT_POLL} [kernel: virt/kvm/halt-polling]"
        )


def _quota(allowed: AllowedCPUs, cpus: CPUSet) -> Iterator[str]:
    quota = allowed.bounds.quota
    if quota is not None and quota.cpus < len(cpus):
        yield (
            f"{quota.source} allows time for {quota.cpus:g} of the cpuset's {len(cpus)} CPUs: take the quota away (the "
            "kubelet's cpuCFSQuota: false) [kernel: scheduler/sched-bwc]"
        )


def _huge_pages(host: Host, cpus: CPUSet) -> Iterator[str]:
    """Name the sizes of which other nodes have free pages, and the cpuset's none."""
    near = {cpu.node for cpu in host.cpus if cpu.cpu in cpus}
    free: dict[int, dict[int, int]] = defaultdict(dict)
    for node in host.nodes:
        for pages in node.huge_pages:
            free[pages.size_bytes][node.node] = pages.free
    for size, by_node in sorted(free.items()):
        elsewhere = [node for node, count in by_node.items() if count and node not in near]
        if elsewhere and not any(by_node.get(node) for node in near):
            mebibytes = f"{size >> 20}Mi" if size >> 20 else f"{size >> 10}Ki"
            yield (
                f"huge pages of {mebibytes} are free on nodes {CPUSet.of(elsewhere)} only, and the cpuset's CPUs are "
                f"on nodes {CPUSet.of(node for node in near if node >= 0)}: reserve them there "
                "(/sys/devices/system/node/nodeN/hugepages) [kernel: admin-guide/mm/hugetlbpage]"
            )


def _kernel(tree: Tree) -> Iterator[str]:
    match = _VERSION.match(_text(tree, _RELEASE))
    if match is not None and (int(match[1]), int(match[2])) < _KEEPS_PINS:
        yield (
            f"Linux {match[0]} forgets every pin when a cpuset is rewritten, as the kubelet does: the launcher pins "
            "again at once; Linux 6.2 and newer keep them [kernel: sched: Always preserve the user requested cpumask]"
        )


def _offline(host: Host) -> Iterator[str]:
    if host.offline:
        yield (
            f"CPUs {host.offline} are offline: the kubelet may hand out CPUs that it has reserved where siblings are "
            "missing: switch SMT off in the firmware, or the CPUs on [kubernetes: static CPU manager]"
        )
