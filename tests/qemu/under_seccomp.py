"""Run a command under the default seccomp profile of a container runtime: under_seccomp.py RUNTIME COMMAND...

RUNTIME is containerd, docker or crio, with "+nice" behind it where the container has SYS_NICE, or the file of a profile
as runtimes take it (the OCI runtime specification's "Seccomp"). What each of the three refuses to a
container without other capabilities is written down here as lists of what is refused, where the profiles list
what is allowed: read off containerd's contrib/seccomp, moby's profiles and containers/common's as CRI-O changes it, and
loaded with libseccomp, which QEMU brings along.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import sys
from pathlib import Path
from typing import Any

# Refused by every one of them without a further capability. clone3 is told apart below.
_ALL = """
    _sysctl acct add_key bpf chroot clock_settime delete_module finit_module init_module io_uring_enter
    io_uring_register io_uring_setup ioperm iopl kcmp kexec_file_load kexec_load lookup_dcookie migrate_pages move_pages
    nfsservctl open_by_handle_at perf_event_open process_madvise quotactl quotactl_fd request_key
    set_mempolicy_home_node setdomainname sethostname setns settimeofday swapoff swapon sysfs unshare uselib
    userfaultfd ustat vhangup
"""
# Docker's and containerd's are of one stock.
_DOCKER = """
    fanotify_init fsconfig fsmount fsopen fspick keyctl mount mount_setattr move_mount open_tree pidfd_getfd pivot_root
    reboot syslog umount2
"""
_CRIO = "io_pgetevents vmsplice"
_MEMORY = "get_mempolicy mbind set_mempolicy"
_NAMESPACES = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
_AF_ALG, _AF_VSOCK = 38, 40

_ALLOW = 0x7FFF0000
_NO_NEW_PRIVILEGES = 3
_ARCHITECTURES = {"SCMP_ARCH_X86_64": 0xC000003E, "SCMP_ARCH_AARCH64": 0xC00000B7}
_COMPARISONS = {"NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7}
_EQUAL, _MASKED_EQUAL = _COMPARISONS["EQ"], _COMPARISONS["MASKED_EQ"]
_EXISTS = -errno.EEXIST


class _Comparison(ctypes.Structure):
    _fields_ = (("arg", ctypes.c_uint), ("op", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64))


class _Filter:
    """A filter that does one thing with what it is told nothing of: by default it lets it through."""

    def __init__(self, otherwise: int = _ALLOW) -> None:
        self._library = ctypes.CDLL("libseccomp.so.2")
        self._library.seccomp_init.restype = ctypes.c_void_p
        self._context = ctypes.c_void_p(self._library.seccomp_init(ctypes.c_uint32(otherwise)))
        if os.geteuid() == 0:
            # no_new_privs is a setting of its own, with which root's helpers would lose more than the filter takes.
            self._library.seccomp_attr_set(self._context, _NO_NEW_PRIVILEGES, ctypes.c_uint32(0))

    def refuse(self, name: str, error: int = errno.EPERM, compare: _Comparison | None = None) -> None:
        """Refuse a system call; one that libseccomp has no name for yet is refused by nobody."""
        self.add(name, _refusal(error), () if compare is None else (compare,))

    def add(self, name: str, action: int, comparisons: tuple[_Comparison, ...] = ()) -> None:
        """Do this with a system call whose arguments are so."""
        number = self._library.seccomp_syscall_resolve_name(name.encode())
        array = (_Comparison * max(1, len(comparisons)))(*comparisons)
        result = self._library.seccomp_rule_add_array(
            self._context, ctypes.c_uint32(action), number, len(comparisons), array
        )
        if result:
            raise OSError(-result, f"seccomp: {name}: {os.strerror(-result)}")

    def add_architecture(self, number: int) -> None:
        """Filter the calls of programs of this architecture, too."""
        result = self._library.seccomp_arch_add(self._context, ctypes.c_uint32(number))
        if result not in (0, _EXISTS):
            raise OSError(-result, f"seccomp: architecture {number:#x}: {os.strerror(-result)}")

    def load(self) -> None:
        """Put this process, and what it starts, under the filter."""
        result = self._library.seccomp_load(self._context)
        if result:
            raise OSError(-result, f"seccomp: {os.strerror(-result)}")


def refused_by(runtime: str, *, nice: bool) -> set[str]:
    """Return the calls that the runtime's profile refuses whatever their arguments are; clone3 is told apart."""
    is_crio = runtime == "crio"
    return set(f"{_ALL} {_CRIO if is_crio else _DOCKER} {'' if is_crio or nice else _MEMORY}".split())


def _refusal(error: int) -> int:
    return 0x00050000 | error


def confine_to_profile(path: Path) -> None:
    """Put this process under the profile of a file."""
    document: dict[str, Any] = json.loads(path.read_text())
    profile = _Filter(_action(document["defaultAction"], document["defaultErrnoRet"]))
    for architecture in document["architectures"]:
        profile.add_architecture(_ARCHITECTURES[architecture])
    for rule in document["syscalls"]:
        comparisons = tuple(
            _Comparison(
                arg["index"], _COMPARISONS[arg["op"].removeprefix("SCMP_CMP_")], arg["value"], arg.get("valueTwo", 0)
            )
            for arg in rule.get("args", [])
        )
        for name in rule["names"]:
            profile.add(name, _action(rule["action"], rule.get("errnoRet", errno.EPERM)), comparisons)
    profile.load()


def _action(name: str, error: int) -> int:
    return {"SCMP_ACT_ALLOW": _ALLOW, "SCMP_ACT_ERRNO": _refusal(error)}[name]


def confine(runtime: str, *, nice: bool) -> None:
    """Put this process under the runtime's default profile."""
    profile = _Filter()
    is_crio = runtime == "crio"
    for name in sorted(refused_by(runtime, nice=nice)):
        profile.refuse(name, errno.ENOSYS if is_crio and name.startswith("io_uring") else errno.EPERM)
    if not is_crio:
        profile.refuse("clone3", errno.ENOSYS)
        for flag in _NAMESPACES:
            profile.refuse("clone", compare=_Comparison(0, _MASKED_EQUAL, flag, flag))
        for family in (_AF_ALG, _AF_VSOCK):
            profile.refuse("socket", compare=_Comparison(0, _EQUAL, family, 0))
    profile.load()


if __name__ == "__main__":
    name, _, capability = sys.argv[1].partition("+")
    if "/" in name:
        confine_to_profile(Path(name))
    else:
        confine(name, nice=capability == "nice")
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - that is what it is for
