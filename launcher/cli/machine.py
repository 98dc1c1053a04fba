"""What a verb works on: this machine or a described one, and the CPUs that may be used there."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from msgspec.structs import replace

from launcher.cli.here import native_arch, own_affinity, owned, this_machine
from launcher.cpuset import CPUSet
from launcher.errors import TemplateError, UsageError
from launcher.files import read_file
from launcher.host.bounds import read_allowed
from launcher.host.cgroup import check_allowed, read_affinity
from launcher.host.model import AllowedCPUs, Host
from launcher.host.nodes import with_available_memory
from launcher.host.owners import read_owners, told_variables
from launcher.host.sysfs import read_host
from launcher.host.tree import Tree
from launcher.storage.layout import KUBEVIRT_MOUNTS, Mounts, absolute_paths, mounts_below
from launcher.vmi.guest import Guest
from launcher.vmi.manifest import Choice, Document

# A template has some hundred lines; what is larger than any manifest is none.
_MAX_TEMPLATE_BYTES = 1 << 20


def load(vmi: str, choice: Choice) -> Guest:
    """Load the guest that a manifest asks for, its relative file names taken from the current folder."""
    from launcher.vmi.document import read_document  # noqa: PLC0415 - `run` has it done in a process of its own

    return loaded(read_document(vmi, choice))


def loaded(document: Document) -> Guest:
    """Return the guest that this manifest asks for, as `load` does."""
    from launcher.vmi.load import admitted  # noqa: PLC0415 - likewise

    guest = admitted(document, arch=native_arch()).guest
    return absolute_paths(guest, os.getcwd())  # noqa: PTH109 - paths stay text


def read_this_host() -> Host:
    """Read this machine, with what of its nodes' memory is to be had now."""
    tree = this_machine()
    host = read_host(tree, native_arch())
    return replace(host, nodes=with_available_memory(tree, host.nodes))


def described_host(text: str) -> tuple[Host, AllowedCPUs]:
    """Read a captured host from a file, or a synthetic one from hwloc's notation.

    Raises UsageError where it is neither.
    """
    path = Path(text)
    if path.exists():
        from launcher.host.capture import read_capture  # noqa: PLC0415 - used only here, and start-up time counts

        return host_in(read_capture(path))
    if ":" not in text:
        raise UsageError(f"--host {text}: no such file, and no shape such as 'node:2 core:4 pu:2' either")
    from launcher.host.synthetic import parse_synthetic  # noqa: PLC0415 - used only here, and start-up time counts

    host = parse_synthetic(text)
    return host, AllowedCPUs(cpus=host.online, source=f"synthetic host {text!r}")


def host_in(tree: Tree) -> tuple[Host, AllowedCPUs]:
    """Read the host of a capture, and the CPUs that the process which captured it might use, and whose they were."""
    host = read_host(tree, native_arch())
    affinity = read_affinity(tree)
    allowed = read_allowed(tree, host.online if affinity is None else affinity)
    return host, replace(allowed, owners=read_owners(told_variables(tree)))


def is_host_described(options: Namespace) -> bool:
    """Tell whether the options name a host, or the CPUs of a container (--host, --cpuset, --kubelet)."""
    return options.host is not None or options.cpuset is not None or is_kubelet_simulated(options)


def is_kubelet_simulated(options: Namespace) -> bool:
    """Tell whether the CPUs are those that a kubelet would give (--kubelet, --kubelet-state)."""
    return options.kubelet is not None or options.kubelet_state is not None


def host_of(options: Namespace, guest: Guest | None = None) -> tuple[Host, AllowedCPUs]:
    """Return the host that the options name and the CPUs that may be used on it (--host, --cpuset, --kubelet)."""
    if options.host is None:
        host = read_this_host()
        allowed = read_allowed(this_machine(), own_affinity())
    else:
        host, allowed = described_host(options.host)
    check_cpuset_options(options)
    if options.cpuset is not None:
        cpus = _parse_cpuset(options.cpuset)
        return host, owned(AllowedCPUs(cpus=cpus, source="--cpuset", bounds=allowed.bounds))
    if is_kubelet_simulated(options) and guest is not None:
        return host, _kubelet_cpuset(options, guest, host)
    check_allowed(allowed, host)
    # What this machine's environment says is about this machine.
    return host, owned(allowed) if options.host is None else allowed


def _parse_cpuset(text: str) -> CPUSet:
    try:
        return CPUSet.parse(text)
    except ValueError as error:
        raise UsageError(f"--cpuset: {error}") from error


def check_cpuset_options(options: Namespace) -> None:
    """Raise UsageError where the CPUs of the container are said in two ways."""
    if options.cpuset is not None and is_kubelet_simulated(options):
        name = "--kubelet" if options.kubelet is not None else "--kubelet-state"
        raise UsageError(f"--cpuset and {name} exclude each other: both say which CPUs the container has")


def _kubelet_cpuset(options: Namespace, guest: Guest, host: Host) -> AllowedCPUs:
    from launcher.cli.kubelet import kubelet_options  # noqa: PLC0415 - only here, and start-up time counts
    from launcher.kubelet.admission import container_cpuset  # noqa: PLC0415 - likewise
    from launcher.kubelet.requests import pod_of  # noqa: PLC0415 - likewise

    kubelet = kubelet_options(options)
    if guest.host_devices and not kubelet.device_nodes:
        from launcher.cli.devices import nodes_by_resource  # noqa: PLC0415 - few guests have any

        kubelet = replace(kubelet, device_nodes=nodes_by_resource(options, guest))
    return container_cpuset(pod_of(guest), host, kubelet)


def mounts_at(volumes: str | None) -> Mounts:
    """Return where the Pod's volumes are mounted: below the folder asked for, else where KubeVirt has them."""
    return KUBEVIRT_MOUNTS if volumes is None else mounts_below(str(Path(volumes).absolute()))


def read_template(template: str | None, arch: str) -> tuple[bytes, str]:
    """Return the bytes of the site's domain template, or of the launcher's own, and its file; raises TemplateError."""
    path = Path(template) if template is not None else _own_template(arch)
    try:
        return read_file(str(path), most_bytes=_MAX_TEMPLATE_BYTES), str(path)
    except ValueError as error:
        raise TemplateError(f"{path}: {error}; wanted a domain template") from error


def _own_template(arch: str) -> Path:
    """Find the template that comes with the launcher."""
    path = Path(__file__).parent.parent / "templates/domain" / f"{arch}.xml"
    if path.exists():
        return path
    raise TemplateError(f"no domain template for the architecture {arch}: give one with --template")
