"""The right to realtime scheduling: taken up by the launcher where its container has it, and never left to QEMU.

libvirt's embedded driver makes vCPU threads SCHED_FIFO from within this process (sched_setscheduler(2)): by the
capability CAP_SYS_NICE, or by QEMU's own limit for realtime priorities. A user other than root gets the capability from
the file of the interpreter, where it is permitted but not effective, or from the ambient set (capabilities(7)).
"""

from __future__ import annotations

import ctypes
import os
import resource

from launcher.errors import HypervisorError

_CAP_SYS_NICE = 1 << 23  # include/uapi/linux/capability.h
_VERSION_3 = 0x20080522
_PR_GET_DUMPABLE, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 3, 47, 4  # include/uapi/linux/prctl.h

_NEEDED = (
    "realtime: the guest's vCPUs are to be SCHED_FIFO, and this process may not make them so; in a container it needs "
    "the capability SYS_NICE (a Pod's capabilities.add, podman's --cap-add) or --ulimit rtprio=1"
)


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Half(ctypes.Structure):
    """The first or the last 32 capabilities of a thread."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def prepare_capabilities(*, realtime: bool) -> None:
    """Let QEMU inherit no capability, and take up the one that a realtime guest's threads need to be made SCHED_FIFO.

    Call in the thread that starts those which call libvirt: each thread has capabilities of its own, at first those of
    the thread that started it. Raises HypervisorError where realtime scheduling is denied.
    """
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header, halves = _Header(version=_VERSION_3, pid=0), (_Half * 2)()
    libc.capget(ctypes.byref(header), halves)
    halves[0].inheritable = halves[1].inheritable = 0
    if realtime and halves[0].permitted & _CAP_SYS_NICE:
        halves[0].effective |= _CAP_SYS_NICE
    elif realtime and resource.getrlimit(resource.RLIMIT_RTPRIO)[0] == 0:
        raise HypervisorError(_NEEDED)
    libc.capset(ctypes.byref(header), halves)


def drop_capabilities() -> None:
    """Let go of every capability of this thread, where it is not root's: what starts QEMU alone has a use for any.

    QEMU, which has none, may look into a process of its user only where that has none either.
    """
    if os.geteuid() != 0:
        libc = ctypes.CDLL(None)
        header, halves = _Header(version=_VERSION_3, pid=0), (_Half * 2)()
        libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
        libc.capset(ctypes.byref(header), halves)


def may_be_looked_into() -> bool:
    """Tell whether other processes of this user may open what is open here (prctl(2), PR_GET_DUMPABLE)."""
    return bool(ctypes.CDLL(None).prctl(_PR_GET_DUMPABLE, 0, 0, 0, 0) == 1)
