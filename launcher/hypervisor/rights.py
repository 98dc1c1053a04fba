"""What a container may be denied that libvirt and QEMU need, tried before they do; each lack with its cure.

Container runtimes filter system calls (seccomp). containerd's and Docker's default profiles refuse those that say where
memory lies unless the container has SYS_NICE, theirs and CRI-O's refuse new user namespaces without SYS_ADMIN, and a
site's own may refuse anything: so what is needed is tried, never looked up. No try changes anything.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
from collections.abc import Callable, Iterable
from contextlib import suppress

from launcher.errors import HypervisorError
from launcher.hypervisor.root import hugetlbfs_mounts
from launcher.quantity import Quantity

_CLONE_NEWUSER = 0x10000000  # include/uapi/linux/sched.h
# The numbers of mbind, set_mempolicy and get_mempolicy (arch/*/include/…/unistd*.h).
_MEMORY_CALLS = {
    "x86_64": (237, 238, 239),
    "aarch64": (235, 237, 236),
    "ppc64le": (259, 261, 260),
    "s390x": (268, 270, 269),
}
_NO_SUCH_MODE = -1
_DENIED = (errno.EPERM, errno.EACCES, errno.ENOSYS)
_MIB = 1 << 20

_MEMORY_CURE = (
    "give the container the capability SYS_NICE (a Pod's capabilities.add, podman's --cap-add; the process itself need "
    "not hold it), or a seccomp profile that allows get_mempolicy, mbind and set_mempolicy"
)
_NAMESPACE_CURE = (
    "give the container a seccomp profile that allows unshare with CLONE_NEWUSER (and a node whose "
    "user.max_user_namespaces is not 0), or the interface slirp: {}, which needs none"
)
_LOCK_CURE = (
    "raise the container runtime's limit (LimitMEMLOCK=infinity in its service, podman's --ulimit memlock=-1), or give "
    "the container the capability SYS_RESOURCE"
)


def check_memory_policy(machine: str) -> None:
    """Raise HypervisorError where this process, and so QEMU, may not say on which nodes memory is to lie.

    `machine` is the kernel's word for the architecture; on one whose numbers are not known here nothing is tried.
    """
    numbers = _MEMORY_CALLS.get(machine)
    if numbers is None:
        return
    bind, set_policy, get_policy = numbers
    # An empty range, and a mode that there is none of: nothing comes of either.
    tries = (("get_mempolicy", get_policy, 0), ("mbind", bind, 0), ("set_mempolicy", set_policy, _NO_SUCH_MODE))
    for name, number, argument in tries:
        denial = _denial(number, argument)
        if denial is not None:
            raise HypervisorError(
                f"numa.guestMappingPassthrough: the guest's memory cannot be bound to nodes ({name}: "
                f"{os.strerror(denial)}): {_MEMORY_CURE}"
            )


def _denial(number: int, argument: int) -> int | None:
    """Make the system call and return the error that denies it; None where it is let through, whatever it says."""
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = (ctypes.c_long(value) for value in (number, argument, 0, 0, 0, 0, 0))
    if libc.syscall(*arguments) == 0:
        return None
    return ctypes.get_errno() if ctypes.get_errno() in _DENIED else None


def check_user_namespace(interface: str) -> None:
    """Raise HypervisorError where passt could not make its user namespace; call in a process of one thread.

    A process that has several threads, or that is in a namespace, is no witness: a child of its own tries.
    """
    child = os.fork()
    if child == 0:
        denied = 1
        with suppress(BaseException):
            denied = ctypes.CDLL(None).unshare(_CLONE_NEWUSER)
        os._exit(0 if denied == 0 else 1)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise HypervisorError(f"interface {interface}: passt may not make its user namespace here: {_NAMESPACE_CURE}")


def check_locked_memory() -> None:
    """Raise HypervisorError where libvirt could not lift the limit of locked memory from QEMU, as realtime needs it.

    The limit is lifted for a moment: root of a user namespace may not do so in spite of its capabilities.
    """
    before = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    if before[1] == resource.RLIM_INFINITY:
        return
    try:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (before[0], resource.RLIM_INFINITY))
    except (ValueError, OSError):
        raise HypervisorError(
            f"realtime: all of QEMU's memory is to be locked, and it may lock {before[1] // _MIB} MiB "
            f"(RLIMIT_MEMLOCK): {_LOCK_CURE}"
        ) from None
    resource.setrlimit(resource.RLIMIT_MEMLOCK, before)


def check_huge_page_mount(
    page_bytes: int,
    mounts: str,
    *,
    page_bytes_of: Callable[[str], int] = lambda folder: os.statvfs(folder).f_bsize,
    may_write: Callable[[str], bool] = lambda folder: os.access(folder, os.W_OK),
) -> None:
    """Raise HypervisorError where no hugetlbfs of pages of this size is mounted on which this user may write.

    `mounts` is the text of /proc/self/mounts.
    """
    size = Quantity.of_units(page_bytes, binary=True)
    folders = list(_of_size(hugetlbfs_mounts(mounts), page_bytes, page_bytes_of))
    if not folders:
        raise HypervisorError(
            f"no hugetlbfs with pages of {size} is mounted here, which QEMU's memory is to come from: mount one (a "
            f"Pod's emptyDir of medium HugePages-{size}; mount -t hugetlbfs -o pagesize={page_bytes >> 10}K none DIR)"
        )
    if not any(map(may_write, folders)):
        raise HypervisorError(
            f"hugetlbfs {', '.join(folders)}: user {os.geteuid()} may not write there, and QEMU's memory is to come "
            "from it: make it writable (a Pod's fsGroup, mount's options uid= and mode=)"
        )


def _of_size(folders: Iterable[str], page_bytes: int, page_bytes_of: Callable[[str], int]) -> Iterable[str]:
    for folder in folders:
        with suppress(OSError):
            if page_bytes_of(folder) == page_bytes:
                yield folder
