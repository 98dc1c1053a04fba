"""What KubeVirt's webhooks write into a manifest before they look at it: a network card, and a disk for each volume.

Defaults that no rule looks at are filled in where the guest is built (build.py).
"""

from __future__ import annotations

from msgspec.structs import replace

from launcher.vmi.rules import label_fault
from launcher.vmi.schema import Devices, VirtualMachineInstance, VirtualMachineInstanceSpec
from launcher.vmi.schema_machine import Interface, InterfaceBridge, Network, PodNetwork
from launcher.vmi.schema_storage import Disk
from launcher.vmi.volume_rules import unused_volumes

_DEFAULT = "default"


def with_defaults(vmi: VirtualMachineInstance) -> VirtualMachineInstance:
    """Return the instance with what its manifest leaves to KubeVirt."""
    spec = _with_card(vmi.spec)
    unused = unused_volumes(vmi.metadata.annotations)
    return replace(vmi, spec=replace(spec, domain=replace(spec.domain, devices=_with_disks(spec, unused))))


def _with_card(spec: VirtualMachineInstanceSpec) -> VirtualMachineInstanceSpec:
    """Connect a guest of which nothing is said to the pod network. Source: pkg/network/vmispec/defaults.go."""
    devices = spec.domain.devices
    if devices.autoattach_pod_interface is False or devices.interfaces or spec.networks:
        return spec
    devices = replace(devices, interfaces=(Interface(name=_DEFAULT, bridge=InterfaceBridge()),))
    networks = (Network(name=_DEFAULT, pod=PodNetwork()),)
    return replace(spec, networks=networks, domain=replace(spec.domain, devices=devices))


def _with_disks(spec: VirtualMachineInstanceSpec, unused: frozenset[str]) -> Devices:
    """Give each volume that has no disk one behind the others. Source: SetDefaultVolumeDisk (pkg/util/util.go)."""
    devices = spec.domain.devices
    named = {disk.name for disk in devices.disks} | {shared.name for shared in devices.filesystems} | unused
    named |= {volume.name for volume in spec.volumes if volume.memory_dump is not None}
    # A name that is none is told of the volume, where it is.
    lacking = dict.fromkeys(volume.name for volume in spec.volumes if label_fault(volume.name) is None)
    more = tuple(Disk(name=name) for name in lacking if name not in named)
    return replace(devices, disks=(*devices.disks, *more)) if more else devices
