"""Image discs that come in container images: mounted by the kubelet, or copied out by a sidecar each."""

from __future__ import annotations

from collections.abc import Iterable

from launcher.pod.options import PodOptions
from launcher.pod.part import Part, Tree, joined
from launcher.pod.resources import helper_resources
from launcher.pod.security import container_security
from launcher.storage.layout import KUBEVIRT_MOUNTS
from launcher.vmi.manifest import Value
from launcher.vmi.schema_storage import ContainerDiskSource, Volume

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
# Arguments: busybox, the disc's file or the folder that holds nothing else, and where it is to be. The copy is renamed
# into place, so that a file which is there is whole. The shell stays, and ends when told to (process 1 has to ask).
SCRIPT = """\
set -eu
trap 'exit 0' TERM
busybox=$0 source=$1 target=$2
case $source in */)
    set -- "$source"*
    [ $# -eq 1 ] && [ -f "$1" ] || { echo "wanted one file in $source, found: $*" >&2; exit 1; }
    source=$1
esac
"$busybox" cp "$source" "$target.part"
"$busybox" mv "$target.part" "$target"
"$busybox" sleep infinity &
wait
"""


def container_disks(volumes: Iterable[Volume], options: PodOptions) -> Part:
    """Return what brings each container disk to where the launcher looks for it, by its place among the volumes.

    That is a volume of the image itself, where the cluster has those, else a sidecar for each, the folder that they
    share with the launcher, and their tool.
    """
    found = tuple(
        (index, volume.container_disk) for index, volume in enumerate(volumes) if volume.container_disk is not None
    )
    if options.image_volumes:
        return joined(_mounted(index, source) for index, source in found)
    return joined((_shared(options), *(_served(index, source) for index, source in found))) if found else Part()


def _mounted(index: int, source: ContainerDiskSource) -> Part:
    """Return the image as a volume (Kubernetes 1.33 and later, KEP-4639)."""
    name = f"disk-{index}"
    return Part(
        volumes=({"name": name, "image": {"reference": source.image, **_pull_policy(source, "pullPolicy")}},),
        mounts=({"name": name, "mountPath": f"{KUBEVIRT_MOUNTS.image_volumes}/disk_{index}", "readOnly": True},),
        pull_secrets=_pull_secrets(source),
    )


def _pull_policy(source: ContainerDiskSource, key: str) -> Tree:
    return {} if source.image_pull_policy is None else {key: source.image_pull_policy}


def _pull_secrets(source: ContainerDiskSource) -> tuple[Tree, ...]:
    return () if source.image_pull_secret is None else ({"name": source.image_pull_secret},)


def _shared(options: PodOptions) -> Part:
    """Return the folder of the discs, and the init container that brings busybox from the launcher's image."""
    copy: Tree = {
        "name": "copy-tools",
        "image": options.image,
        "command": ["cp", "/usr/bin/busybox", _BUSYBOX],
        "resources": _COPY_TOOLS.value,
        "securityContext": container_security(),
        "volumeMounts": [{"name": _TOOLS_VOLUME, "mountPath": _TOOLS}],
    }
    return Part(
        volumes=({"name": _VOLUME, "emptyDir": {}}, {"name": _TOOLS_VOLUME, "emptyDir": {}}),
        mounts=({"name": _VOLUME, "mountPath": _FOLDER, "readOnly": True},),
        init_containers=(copy,),
    )


def _served(index: int, source: ContainerDiskSource) -> Part:
    """Return the sidecar of one disc: an init container that goes on (Kubernetes 1.29 and later)."""
    target = f"{_FOLDER}/disk_{index}.img"
    mounts: list[Value] = [
        {"name": _VOLUME, "mountPath": _FOLDER},
        {"name": _TOOLS_VOLUME, "mountPath": _TOOLS, "readOnly": True},
    ]
    sidecar: Tree = {
        "name": f"container-disk-{index}",
        "image": source.image,
        **_pull_policy(source, "imagePullPolicy"),
        "restartPolicy": "Always",
        "command": [_BUSYBOX, "sh", "-c", SCRIPT, _BUSYBOX, source.path or _DISC_FOLDER, target],
        "resources": _SERVE.value,
        "securityContext": container_security(),
        "startupProbe": {
            "exec": {"command": [_BUSYBOX, "test", "-e", target]},
            "periodSeconds": 1,
            "failureThreshold": _PATIENCE_S,
        },
        "volumeMounts": mounts,
    }
    return Part(init_containers=(sidecar,), pull_secrets=_pull_secrets(source))
