"""Image discs that come in container images: mounted by the kubelet, or copied out by a sidecar each."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from launcher.pod.options import PodOptions
from launcher.pod.part import Part, Tree, joined
from launcher.pod.resources import helper_resources
from launcher.pod.scratch import TOOLS_MEBIBYTES
from launcher.pod.security import container_security
from launcher.storage.layout import KUBEVIRT_MOUNTS
from launcher.vmi.manifest import Value
from launcher.vmi.schema import KernelBootContainer, VirtualMachineInstance
from launcher.vmi.schema_storage import ContainerDiskSource

Source: TypeAlias = ContainerDiskSource | KernelBootContainer

_FOLDER = KUBEVIRT_MOUNTS.container_disks
_TOOLS = "/var/run/kubevirt/tools"
_VOLUME = "container-disks"
_TOOLS_VOLUME = "tools"
# A container disk's image holds the disc and nothing else, so the copying needs a program that brings everything along.
_BUSYBOX = f"{_TOOLS}/busybox"
# KubeVirt's figures for its init containers and for the sidecars of guests with dedicated CPUs.
_COPY_TOOLS = helper_resources("10m", "40M")
_SERVE = helper_resources("200m", "64M")
# Until a disc is copied the launcher is not started; an hour is 18 GB at 5 MB/s.
_PATIENCE_S = 3600

# Of all discs' images the only file in this folder is meant, unless the manifest names one.
_DISC_FOLDER = "/disk/"
# Arguments: busybox, then pairs of a file, or the folder that holds nothing else, and where it is to be. A copy is
# renamed into place, so that a file which is there is whole. The shell stays, and ends when told to (process 1 has to
# ask).
SCRIPT = """\
set -eu
trap 'exit 0' TERM
busybox=$0
copy() {
    source=$1 target=$2
    case $source in */)
        set -- "$source"*
        [ $# -eq 1 ] && [ -f "$1" ] || { echo "wanted one file in $source, found: $*" >&2; exit 1; }
        source=$1
    esac
    "$busybox" mkdir -p "${target%/*}"
    "$busybox" cp "$source" "$target.part"
    "$busybox" mv "$target.part" "$target"
}
while [ $# -ge 2 ]; do
    copy "$1" "$2"
    shift 2
done
"$busybox" sleep infinity &
wait
"""


def container_images(vmi: VirtualMachineInstance, options: PodOptions, copies_mebibytes: int) -> Part:
    """Return what brings each container disk to where the launcher looks for it, by its place, and the kernel.

    That is a volume of the image itself, where the cluster has those, else a sidecar for each, the folder that they
    share with the launcher, and their tool.
    """
    disks = tuple(
        (index, volume.container_disk)
        for index, volume in enumerate(vmi.spec.volumes)
        if volume.container_disk is not None
    )
    kernel = _kernel_of(vmi)
    if options.image_volumes:
        parts = (
            _mounted(f"disk-{index}", f"{KUBEVIRT_MOUNTS.image_volumes}/disk_{index}", one) for index, one in disks
        )
        return joined((*parts, *(_mounted("kernel-boot", KUBEVIRT_MOUNTS.kernel_boot, one) for one in kernel)))
    if not disks and not kernel:
        return Part()
    served = (_served_disk(index, source) for index, source in disks)
    folders = (*((_FOLDER,) if disks else ()), *((KUBEVIRT_MOUNTS.kernel_boot,) if kernel else ()))
    return joined((_shared(options, copies_mebibytes, folders), *served, *map(_served_kernel, kernel)))


def _kernel_of(vmi: VirtualMachineInstance) -> tuple[KernelBootContainer, ...]:
    """Return where the kernel lies in an image; nothing where it lies on the node, or there is none."""
    boot = vmi.spec.domain.firmware.kernel_boot
    container = None if boot is None else boot.container
    return () if container is None or not container.image else (container,)


def _mounted(name: str, path: str, source: Source) -> Part:
    """Return the image as a volume (Kubernetes 1.33 and later, KEP-4639)."""
    return Part(
        volumes=({"name": name, "image": {"reference": source.image, **_pull_policy(source, "pullPolicy")}},),
        mounts=({"name": name, "mountPath": path, "readOnly": True},),
        pull_secrets=_pull_secrets(source),
    )


def _pull_policy(source: Source, key: str) -> Tree:
    return {} if source.image_pull_policy is None else {key: source.image_pull_policy}


def _pull_secrets(source: Source) -> tuple[Tree, ...]:
    return () if source.image_pull_secret is None else ({"name": source.image_pull_secret},)


def _shared(options: PodOptions, copies_mebibytes: int, folders: Iterable[str]) -> Part:
    """Return the folder of the copies, wherever the launcher has it, and the init container that brings their tool.

    That is busybox, of the launcher's image.
    """
    copy: Tree = {
        "name": "copy-tools",
        **options.image_of_launcher,
        "command": ["cp", "/usr/bin/busybox", _BUSYBOX],
        "resources": _COPY_TOOLS.value,
        "securityContext": container_security(),
        "volumeMounts": [{"name": _TOOLS_VOLUME, "mountPath": _TOOLS}],
    }
    return Part(
        volumes=(
            {"name": _VOLUME, "emptyDir": {"sizeLimit": f"{copies_mebibytes}Mi"}},
            {"name": _TOOLS_VOLUME, "emptyDir": {"sizeLimit": f"{TOOLS_MEBIBYTES}Mi"}},
        ),
        mounts=tuple({"name": _VOLUME, "mountPath": folder, "readOnly": True} for folder in folders),
        init_containers=(copy,),
    )


def _served_disk(index: int, source: ContainerDiskSource) -> Part:
    """Return the sidecar of one disc."""
    copies = (source.path or _DISC_FOLDER, f"{_FOLDER}/disk_{index}.img")
    return _served(f"container-disk-{index}", source, copies, _FOLDER)


def _served_kernel(source: KernelBootContainer) -> Part:
    """Return the sidecar of the kernel, which is copied under its own name in the image."""
    folder = KUBEVIRT_MOUNTS.kernel_boot
    files = (path for path in (source.kernel_path, source.initrd_path) if path)
    copies = tuple(word for path in files for word in (path, f"{folder}/{path.lstrip('/')}"))
    return _served("kernel-boot", source, copies, folder)


def _served(name: str, source: Source, copies: tuple[str, ...], folder: str) -> Part:
    """Return a sidecar that makes these copies: an init container that goes on (Kubernetes 1.29 and later)."""
    mounts: list[Value] = [
        {"name": _VOLUME, "mountPath": folder},
        {"name": _TOOLS_VOLUME, "mountPath": _TOOLS, "readOnly": True},
    ]
    sidecar: Tree = {
        "name": name,
        "image": source.image,
        **_pull_policy(source, "imagePullPolicy"),
        "restartPolicy": "Always",
        "command": [_BUSYBOX, "sh", "-c", SCRIPT, _BUSYBOX, *copies],
        "resources": _SERVE.value,
        "securityContext": container_security(),
        "startupProbe": {
            "exec": {"command": [_BUSYBOX, "test", "-e", copies[-1]]},
            "periodSeconds": 1,
            "failureThreshold": _PATIENCE_S,
        },
        "volumeMounts": mounts,
    }
    return Part(init_containers=(sidecar,), pull_secrets=_pull_secrets(source))
