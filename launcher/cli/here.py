"""Where this process runs: its machine, the CPUs that it may use there, and how guests run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.domain.parts import VirtType
from launcher.errors import HypervisorError
from launcher.host.model import AllowedCPUs
from launcher.host.owners import read_owners
from launcher.host.tree import FolderTree

if TYPE_CHECKING:
    from argparse import Namespace

_KVM = "/dev/kvm"


def native_arch() -> str:
    """Return this machine's architecture in the kernel's word, such as x86_64."""
    return os.uname().machine


def this_machine() -> FolderTree:
    """Return the reader of this machine's files."""
    return FolderTree(Path("/"))


def own_affinity() -> CPUSet:
    """Return the CPUs that this process may run on, says the scheduler."""
    return CPUSet.of(os.sched_getaffinity(0))


def owned(allowed: AllowedCPUs) -> AllowedCPUs:
    """Add what the environment says of whose these CPUs are (CRI-O's variables, and those of claims)."""
    return replace(allowed, owners=read_owners(os.environ))


def virt_type_of(options: Namespace) -> VirtType:
    """Return how the guest's CPUs run: as asked for, or KVM where its device can be opened."""
    if options.virt_type != "auto":
        return VirtType(options.virt_type)
    if getattr(options, "host", None) is not None:
        return VirtType.KVM
    return VirtType.KVM if os.access(_KVM, os.R_OK | os.W_OK) else VirtType.QEMU


def check_kvm(virt_type: VirtType) -> None:
    """Raise HypervisorError where KVM is wanted and its device cannot be opened."""
    if virt_type is VirtType.KVM and not os.access(_KVM, os.R_OK | os.W_OK):
        state = "not readable and writable for this user" if Path(_KVM).exists() else "not there"
        raise HypervisorError(f"{_KVM} is {state}; give the container the device, or use --virt-type qemu")
