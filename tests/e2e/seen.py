"""What the kernel of the node says of one guest that runs, in the words of DESIGN's table of roles."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable
from pathlib import Path

from msgspec import Struct

from tests.e2e.containers import Container, Group, wait_until
from tests.e2e.guests import Case
from tests.e2e.kernel import Mapping, Thread, cpus_in, memory_of, siblings_of, threads_of, threads_of_node

_VCPU = re.compile(r"CPU (\d+)/(?:KVM|TCG)")
_IO_THREAD = re.compile(r"IO iothread(\d+)")
_CELLS_MEMORY = re.compile(r"ram-node(\d+)")
_CELL = re.compile(r"node,nodeid=(\d+),cpus=([\d-]+)((?:,cpus=[\d-]+)*)")
# Between two looks at who runs where.
_BETWEEN_S = 2.0


class Seen(Struct, frozen=True, kw_only=True):
    """What was seen: QEMU's threads, all of the container (`ours`), the rest (`outside`), those that `ran` just now.

    `before` is what the neighbours' cpusets said when the guest's container began.
    """

    case: Case
    container: Container
    neighbours: tuple[Group, ...]
    before: tuple[dict[str, str], ...]
    cpuset: frozenset[int]
    qemu: tuple[Thread, ...]
    ours: tuple[Thread, ...]
    outside: tuple[Thread, ...]
    ran: tuple[Thread, ...]
    memory: tuple[Mapping, ...]
    cells: dict[int, frozenset[int]]

    @property
    def vcpus(self) -> dict[int, Thread]:
        """The threads of the vCPUs, by the number in their names."""
        return _numbered(self.qemu, _VCPU)

    @property
    def io_threads(self) -> dict[int, Thread]:
        """The IOThreads, by the number in their names."""
        return _numbered(self.qemu, _IO_THREAD)

    @property
    def emulator(self) -> tuple[Thread, ...]:
        """QEMU's own threads: its main loop and all workers."""
        others = {thread.tid for thread in (*self.vcpus.values(), *self.io_threads.values())}
        return tuple(thread for thread in self.qemu if thread.tid not in others)

    @property
    def cells_memory(self) -> dict[int, Mapping]:
        """The memory of each of the guest's NUMA nodes, by the number in its file's name."""
        matches = ((_CELLS_MEMORY.search(mapping.file), mapping) for mapping in self.memory)
        return {int(match[1]): mapping for match, mapping in matches if match}

    @property
    def vcpu_cpus(self) -> frozenset[int]:
        """The CPUs on which a vCPU may run."""
        return _union(self.vcpus.values())

    @property
    def others_cpus(self) -> frozenset[int]:
        """The container's CPUs without those of vCPUs and pool, on cores without a vCPU if there are any; else all."""
        pool = _union(self.io_threads.values()) if self.case.roles.pool else frozenset[int]()
        left = self.cpuset - self.vcpu_cpus - pool
        apart = frozenset(cpu for cpu in left if siblings_of(cpu).isdisjoint(self.vcpu_cpus))
        return left if self.case.roles.isolated else apart or left or self.cpuset


def look(case: Case, container: Container, neighbours: tuple[Group, ...], before: tuple[dict[str, str], ...]) -> Seen:
    """Ask the kernel, twice, to tell those who run from those who are only there."""
    qemu, pids = container.qemu_pid(), container.group.pids
    wait_until(lambda: not _newborn(qemu), "every thread that QEMU has made of late has been given its CPUs")
    earlier = {thread.tid: thread.switches for thread in threads_of_node()}
    time.sleep(_BETWEEN_S)
    later = threads_of_node()
    return Seen(
        case=case,
        container=container,
        neighbours=neighbours,
        before=before,
        cpuset=container.group.cpus,
        qemu=threads_of(qemu),
        ours=tuple(thread for thread in later if thread.pid in pids),
        outside=tuple(thread for thread in later if thread.pid not in pids),
        ran=tuple(thread for thread in later if thread.switches != earlier.get(thread.tid)),
        memory=memory_of(qemu),
        cells=_cells_of(qemu),
    )


def _newborn(qemu: int) -> tuple[Thread, ...]:
    """Return QEMU's workers that have other CPUs than its main thread: the launcher gives them theirs when it looks.

    A thread begins with the CPUs of the one that made it, such as those of an IOThread that had to read a disk.
    """
    threads = threads_of(qemu)
    allowed = {thread.allowed for thread in threads if thread.tid == qemu}
    own = (_VCPU, _IO_THREAD)
    workers = (thread for thread in threads if not any(name.fullmatch(thread.name) for name in own))
    return tuple(thread for thread in workers if thread.allowed not in allowed)


def _numbered(threads: tuple[Thread, ...], name: re.Pattern[str]) -> dict[int, Thread]:
    matches = ((name.fullmatch(thread.name), thread) for thread in threads)
    return {int(match[1]): thread for match, thread in matches if match}


def _union(threads: Iterable[Thread]) -> frozenset[int]:
    return frozenset(cpu for thread in threads for cpu in thread.allowed)


def _cells_of(qemu: int) -> dict[int, frozenset[int]]:
    """Return the vCPUs of each NUMA node that the guest sees, by the command line of the process that runs it."""
    words = Path(f"/proc/{qemu}/cmdline").read_text().split("\0")
    matches = filter(None, map(_CELL.match, words))
    return {int(cell[1]): cpus_in(f"{cell[2]}{cell[3]}".replace("cpus=", "")) for cell in matches}
