"""What a verb works on: this machine or a described one, the CPUs that may be used there, and how guests run."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from launcher.cli.places import root_of as root_of  # noqa: PLC0414 - also looked for here
from launcher.cpuset import CPUSet
from launcher.domain.blueprint import ConsolePaths, VirtType
from launcher.domain.names import domain_name
from launcher.errors import HypervisorError, TemplateError, UsageError
from launcher.files import read_file
from launcher.host.capture import read_capture
from launcher.host.cgroup import check_allowed, read_affinity, read_allowed_cpus
from launcher.host.model import AllowedCPUs, Host
from launcher.host.sysfs import read_host
from launcher.host.tree import FolderTree, Tree
from launcher.storage.layout import KUBEVIRT_MOUNTS, Mounts, absolute_paths, mounts_below
from launcher.vmi.guest import Guest

_KVM = "/dev/kvm"
# A template has some hundred lines; what is larger than any manifest is none.
_MAX_TEMPLATE_BYTES = 1 << 20


def load(vmi: str) -> Guest:
    """Load the guest that a manifest asks for, its relative file names taken from the current folder."""
    from launcher.vmi.load import load_guest  # noqa: PLC0415 - `run` has it done in a process of its own

    return absolute_paths(load_guest(vmi, arch=native_arch()), os.getcwd())  # noqa: PTH109 - paths stay text


def native_arch() -> str:
    """Return this machine's architecture in the kernel's word, such as x86_64."""
    return os.uname().machine


def this_machine() -> Tree:
    """Return the reader of this machine's files."""
    return FolderTree(Path("/"))


def own_affinity() -> CPUSet:
    """Return the CPUs that this process may run on, says the scheduler."""
    return CPUSet.of(os.sched_getaffinity(0))


def described_host(text: str) -> tuple[Host, AllowedCPUs]:
    """Read a captured host from a file, or a synthetic one from hwloc's notation.

    Raises UsageError where it is neither.
    """
    path = Path(text)
    if path.exists():
        return host_in(read_capture(path))
    if ":" not in text:
        raise UsageError(f"--host {text}: no such file, and no shape such as 'node:2 core:4 pu:2' either")
    from launcher.host.synthetic import parse_synthetic  # noqa: PLC0415 - used only here, and start-up time counts

    host = parse_synthetic(text)
    return host, AllowedCPUs(cpus=host.online, source=f"synthetic host {text!r}")


def host_in(tree: Tree) -> tuple[Host, AllowedCPUs]:
    """Read the host of a capture, and the CPUs that the process which captured it might use."""
    host = read_host(tree, native_arch())
    affinity = read_affinity(tree)
    allowed = read_allowed_cpus(tree, host.online if affinity is None else affinity)
    return host, allowed


def is_host_described(options: Namespace) -> bool:
    """Tell whether the options name a host, or the CPUs of a container (--host, --cpuset, --kubelet)."""
    return any(option is not None for option in (options.host, options.cpuset, options.kubelet))


def host_of(options: Namespace, guest: Guest | None = None) -> tuple[Host, AllowedCPUs]:
    """Return the host that the options name and the CPUs that may be used on it (--host, --cpuset, --kubelet)."""
    if options.host is None:
        host = read_host(this_machine(), native_arch())
        allowed = read_allowed_cpus(this_machine(), own_affinity())
    else:
        host, allowed = described_host(options.host)
    if options.cpuset is not None and options.kubelet is not None:
        raise UsageError("--cpuset and --kubelet exclude each other: both say which CPUs the container has")
    if options.cpuset is not None:
        return host, AllowedCPUs(cpus=_parse_cpuset(options.cpuset), source="--cpuset")
    if options.kubelet is not None and guest is not None:
        return host, _kubelet_cpuset(options.kubelet, guest, host)
    check_allowed(allowed, host)
    return host, allowed


def _parse_cpuset(text: str) -> CPUSet:
    try:
        return CPUSet.parse(text)
    except ValueError as error:
        raise UsageError(f"--cpuset: {error}") from error


def _kubelet_cpuset(text: str, guest: Guest, host: Host) -> AllowedCPUs:
    from launcher.kubelet.admission import container_cpuset  # noqa: PLC0415 - only here, and start-up time counts
    from launcher.kubelet.options import parse_options  # noqa: PLC0415 - likewise
    from launcher.kubelet.requests import pod_of  # noqa: PLC0415 - likewise

    return container_cpuset(pod_of(guest), host, parse_options(text))


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


def console_paths(root: Path, guest: Guest) -> ConsolePaths:
    """Return where the serial console of this guest is: a short name, for a socket's path may have 107 bytes."""
    return ConsolePaths(
        socket=str(root / "run" / "serial0.sock"), log=str(root / "log" / f"{domain_name(guest)}-serial0.log")
    )


def mounts_of(options: Namespace) -> Mounts:
    """Return where the Pod's volumes are mounted: below the folder asked for, else where KubeVirt has them."""
    return KUBEVIRT_MOUNTS if options.volumes is None else mounts_below(str(Path(options.volumes).absolute()))


def read_template(template: str | None, arch: str) -> tuple[bytes, str]:
    """Return the bytes of the site's domain template, or of the launcher's own, and its file; raises TemplateError."""
    path = Path(template) if template is not None else _own_template(arch)
    try:
        return read_file(str(path), most_bytes=_MAX_TEMPLATE_BYTES), str(path)
    except ValueError as error:
        raise TemplateError(f"{path}: {error}; wanted a domain template") from error


def _own_template(arch: str) -> Path:
    """Find the template that comes with the launcher: beside the code once installed, above it in a checkout."""
    package = Path(__file__).parent.parent
    folders = (package / "templates", package.parent / "templates")
    for folder in folders:
        path = folder / "domain" / f"{arch}.xml"
        if path.exists():
            return path
    raise TemplateError(f"no domain template for the architecture {arch}: give one with --template")
