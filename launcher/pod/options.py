"""What the person who makes a Pod may choose, beside the manifest of the guest."""

from __future__ import annotations

import re

from msgspec import Struct

from launcher.errors import UsageError

# KubeVirt's resource of /dev/kvm; its device plugin, and others, hand the device to the containers that request one.
KVM_RESOURCE = "devices.kubevirt.io/kvm"
# KubeVirt's default spec.configuration.developerConfiguration.cpuAllocationRatio.
VCPUS_PER_CPU = 10

_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)
# No shell and no YAML is at risk; a name that no registry takes is a mistake all the same.
_IMAGE = re.compile(r"[\w.:/@-]{1,512}", re.ASCII)


class PodOptions(Struct, frozen=True, kw_only=True):
    """The choices; raises UsageError that names the one that cannot be.

    `kvm_resource` is None for a guest that is emulated. `cache_folder` is a folder of the node, writable for user 107,
    in which libvirt keeps what it learnt of QEMU; None keeps it as long as the Pod. `block_volumes` are the volumes
    whose claims are block devices, which only the cluster knows. With `image_volumes` the kubelet mounts container
    disks, else sidecars copy them. Relative paths of the manifest start at `folder`.
    """

    image: str
    kvm_resource: str | None = KVM_RESOURCE
    vcpus_per_cpu: int = VCPUS_PER_CPU
    cache_folder: str | None = None
    block_volumes: frozenset[str] = frozenset()
    image_volumes: bool = False
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

    @property
    def is_emulated(self) -> bool:
        """Whether the guest's CPUs are emulated for want of a KVM device."""
        return self.kvm_resource is None


def _is_plain_folder(path: str) -> bool:
    return path.startswith("/") and path != "/" and path.isprintable() and ".." not in path.split("/")
