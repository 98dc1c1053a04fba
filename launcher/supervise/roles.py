"""The roles of QEMU's threads, and a thread as it was observed; values only."""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct

from launcher.cpuset import CPUSet

# QEMU names its threads with `-name debug-threads=on`, which libvirt always gives. The kernel cuts names at 15 bytes
# (TASK_COMM_LEN), which leaves room for "CPU 9999/KVM".
_VCPU = re.compile(r"CPU (\d+)/(?:KVM|TCG)", re.ASCII)
# vhost_worker_create in the kernel's drivers/vhost/vhost.c: named for QEMU's first thread, whichever device's it is.
_VHOST = re.compile(r"vhost-\d+", re.ASCII)
_IOTHREAD = re.compile(r"IO iothread(\d+)", re.ASCII)


class ThreadKind(StrEnum):
    """What a thread of QEMU is for."""

    VCPU = "vcpu"
    IOTHREAD = "iothread"
    EMULATOR = "emulator"
    WORKER = "worker"
    VHOST = "vhost"


class Role(Struct, frozen=True, kw_only=True, order=True):
    """What one thread is for; `number` is the vCPU's or IOThread's, None for the others."""

    kind: ThreadKind
    number: int | None = None

    def __str__(self) -> str:
        return self.kind.value if self.number is None else f"{self.kind.value} {self.number}"


class ObservedThread(Struct, frozen=True, kw_only=True):
    """One thread of QEMU at one moment: its kernel id and name, its role, and the CPUs that the kernel allows it."""

    tid: int
    name: str
    role: Role
    cpus: CPUSet


def classify(name: str, *, main: bool) -> Role:
    """Return the role of a thread by its kernel name.

    Everything that is neither a vCPU nor an IOThread belongs with the emulator, vhost's unless CPUs are reserved for
    them: `main` is QEMU's first thread, the others (mon_iothread, call_rcu, workers, kvm-nx-lpage-re) are workers, for
    libvirt pins only the first.
    """
    if main:
        return Role(kind=ThreadKind.EMULATOR)
    if match := _VCPU.fullmatch(name):
        return Role(kind=ThreadKind.VCPU, number=int(match[1]))
    if match := _IOTHREAD.fullmatch(name):
        return Role(kind=ThreadKind.IOTHREAD, number=int(match[1]))
    return Role(kind=ThreadKind.VHOST if _VHOST.fullmatch(name) else ThreadKind.WORKER)
