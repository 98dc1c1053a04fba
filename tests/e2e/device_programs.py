"""The programs that say which devices the processes of a control group may use (cgroup v2), and how to be rid of them.

Where podman 4.3 manages control groups without systemd it attaches one to each pod's group that denies every device, so
that none of the pod's containers starts ("mknod /dev/null: Operation not permitted"). A node of Kubernetes' has no such
group, and a host with systemd neither.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

# From include/uapi/linux/bpf.h; the calls are those of bpf(2).
_NR_BPF = 321  # x86-64
_PROG_DETACH, _PROG_GET_FD_BY_ID, _PROG_QUERY = 9, 13, 16
_CGROUP_DEVICE = 6
_MOST = 16


class _Query(ctypes.Structure):
    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("query_flags", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
        ("prog_ids", ctypes.c_uint64),
        ("prog_cnt", ctypes.c_uint32),
    )


class _Id(ctypes.Structure):
    _fields_ = (("prog_id", ctypes.c_uint32), ("next_id", ctypes.c_uint32), ("open_flags", ctypes.c_uint32))


class _Attachment(ctypes.Structure):
    _fields_ = (
        ("target_fd", ctypes.c_uint32),
        ("attach_bpf_fd", ctypes.c_uint32),
        ("attach_type", ctypes.c_uint32),
        ("attach_flags", ctypes.c_uint32),
    )


def detach_device_programs(group: Path) -> int:
    """Detach all that are attached to the group itself, and return how many there were."""
    folder = os.open(group, os.O_RDONLY | os.O_DIRECTORY)
    try:
        found = (ctypes.c_uint32 * _MOST)()
        query = _Query(
            target_fd=folder, attach_type=_CGROUP_DEVICE, prog_ids=ctypes.addressof(found), prog_cnt=len(found)
        )
        _bpf(_PROG_QUERY, query)
        for program in found[: query.prog_cnt]:
            _detach(folder, program)
        return int(query.prog_cnt)
    finally:
        os.close(folder)


def _detach(folder: int, program: int) -> None:
    descriptor = _bpf(_PROG_GET_FD_BY_ID, _Id(prog_id=program))
    try:
        _bpf(_PROG_DETACH, _Attachment(target_fd=folder, attach_bpf_fd=descriptor, attach_type=_CGROUP_DEVICE))
    finally:
        os.close(descriptor)


def _bpf(command: int, attributes: ctypes.Structure) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(_NR_BPF, command, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"bpf({command}): {os.strerror(number)}")
    return result
