"""What the person who makes a Pod may choose, beside the manifest of the guest."""

from __future__ import annotations

import re
from enum import StrEnum

from msgspec import Struct

from launcher.errors import UsageError
from launcher.pod.part import Tree
from launcher.quantity import parse_quantity

# KubeVirt's resource of /dev/kvm; its device plugin, and others, hand the device to the containers that request one.
KVM_RESOURCE = "devices.kubevirt.io/kvm"
# KubeVirt's default spec.configuration.developerConfiguration.cpuAllocationRatio.
VCPUS_PER_CPU = 10

_LEAST_LAYER = 1 << 20
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
_CLASS = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?", re.ASCII)
# No shell and no YAML is at risk; a name that no registry takes is a mistake all the same.
_OF_THE_NODE = "localhost/"
_IMAGE = re.compile(r"[\w.:/@-]{1,512}", re.ASCII)


class Runtime(StrEnum):
    """The container runtime of the nodes."""

    CRIO = "crio"
    CONTAINERD = "containerd"


class PodOptions(Struct, frozen=True, kw_only=True):
    """The choices; raises UsageError that names the one that cannot be.

    `kvm_resource` is None for a guest that is emulated. `cache_folder` is a folder of the node, written by root
    alone, of what libvirt learnt of QEMU. `block_volumes` are the volumes whose claims are block devices, which only
    the cluster knows. With `image_volumes` the kubelet mounts container disks, else sidecars copy them. `layer_size`
    is what a guest may write over an image that comes without a size, and how large that may be. `seccomp_profile` is a
    profile of the node's own, below the kubelet's folder of them. With `shared_cpus` the node's CRI-O gives the
    container CPUs beside its own (mixed CPUs). `runtime` is the nodes' container runtime where that is known, and
    `runtime_class` the RuntimeClass of the Pod. Relative paths of the manifest start at `folder`.
    """

    image: str
    kvm_resource: str | None = KVM_RESOURCE
    vcpus_per_cpu: int = VCPUS_PER_CPU
    cache_folder: str | None = None
    block_volumes: frozenset[str] = frozenset()
    image_volumes: bool = False
    layer_size: str = "10Gi"
    seccomp_profile: str | None = None
    shared_cpus: bool = False
    runtime: Runtime | None = None
    runtime_class: str | None = None
    folder: str = "/"

    def __post_init__(self) -> None:
        if not _IMAGE.fullmatch(self.image):
            raise UsageError(f"--image: found {self.image[:60]!r}, wanted an image's name such as virt-launcher:1.0")
        if self.kvm_resource is not None and not _RESOURCE.fullmatch(self.kvm_resource):
            raise UsageError(f"--kvm-resource: found {self.kvm_resource[:60]!r}, wanted a name such as {KVM_RESOURCE}")
        if self.vcpus_per_cpu < 1:
            raise UsageError(f"--cpu-allocation-ratio: found {self.vcpus_per_cpu}, wanted 1 or more")
        if self.cache_folder is not None and not _is_plain_folder(self.cache_folder):
            raise UsageError(f"--cache-folder: found {self.cache_folder[:60]!r}, wanted an absolute path without '..'")
        if self.seccomp_profile is not None and not _is_path_below(self.seccomp_profile):
            raise UsageError(
                f"--seccomp-profile: found {self.seccomp_profile[:60]!r}, wanted a path without '..' below the "
                "kubelet's folder of profiles, such as virt-launcher/memory-policy.json"
            )
        if self.runtime_class is not None and not _CLASS.fullmatch(self.runtime_class):
            raise UsageError(f"--runtime-class: found {self.runtime_class[:60]!r}, wanted the name of a RuntimeClass")
        if self.shared_cpus and self.runtime is Runtime.CONTAINERD:
            raise UsageError("--shared-cpus: containerd has no CPUs that containers share by annotation; CRI-O has")
        if not _is_size(self.layer_size):
            raise UsageError(f"--layer-size: found {self.layer_size[:60]!r}, wanted a size from 1Mi on such as 10Gi")

    @property
    def layer_bytes(self) -> int:
        """The size of a layer in bytes."""
        return parse_quantity(self.layer_size).ceil

    @property
    def image_of_launcher(self) -> Tree:
        """The image as a container names it: one that a node was given (localhost/...) is in no registry to pull from.

        With any other policy a kubelet that lacks it would ask the node itself for a registry, and say that it cannot.
        """
        policy: Tree = {"imagePullPolicy": "Never"} if self.image.startswith(_OF_THE_NODE) else {}
        return {"image": self.image, **policy}

    @property
    def is_emulated(self) -> bool:
        """Whether the guest's CPUs are emulated for want of a KVM device."""
        return self.kvm_resource is None


def _is_size(text: str) -> bool:
    try:
        return parse_quantity(text).ceil >= _LEAST_LAYER
    except ValueError:
        return False


def _is_path_below(path: str) -> bool:
    return path != "" and not path.startswith("/") and path.isprintable() and ".." not in path.split("/")


def _is_plain_folder(path: str) -> bool:
    return path.startswith("/") and path != "/" and path.isprintable() and ".." not in path.split("/")
