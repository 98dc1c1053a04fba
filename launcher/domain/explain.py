"""Says in the domain XML which of its lines are KubeVirt's defaults, and by which rule: as comments, before each."""

from __future__ import annotations

from collections.abc import Iterator

from lxml import etree
from msgspec import Struct

from launcher.domain.xml import Element, parser
from launcher.vmi.manifest import Value, mapping_at


class Default(Struct, frozen=True, kw_only=True):
    """A line that is there by a rule unless the manifest has one of these fields, below `spec` of the instance.

    `[]` stands for the item of the list that has the device's name. `source` is KubeVirt's file.
    """

    path: str
    unless: tuple[str, ...] = ()
    rule: str
    source: str


_DEVICES = "domain.devices"
_CARD, _DISK = f"{_DEVICES}.interfaces[]", f"{_DEVICES}.disks[]"
_HYPERV = "domain.features.hyperv"
_SYSTEM = "sysinfo/system/entry"

DEFAULTS = (
    Default(path="uuid", unless=("domain.firmware.uuid",), rule="version 5 of the name", source="watch/vm/firmware.go"),
    Default(
        path="memory", unless=("domain.memory.guest",),
        rule="requests.memory, limits.memory, or one huge page", source="defaults.go",
    ),
    Default(
        path="vcpu", unless=("domain.cpu.sockets", "domain.cpu.cores", "domain.cpu.threads"),
        rule="limits.cpu or requests.cpu as sockets, rounded up, else one", source="defaults.go",
    ),
    Default(
        path="cpu", unless=("domain.cpu.model",),
        rule="host-model, on arm64 host-passthrough", source="defaults.go",
    ),
    Default(
        path="cpu/feature[@name='mpx']", unless=("domain.cpu.features[mpx]",),
        rule="disabled in every named model", source="compute/cpu.go",
    ),
    Default(
        path=f"{_SYSTEM}[@name='serial']", unless=("domain.firmware.serial",),
        rule="a VirtualMachine has one, here the UUID of its name", source="vm-mutator.go",
    ),
    Default(
        path=f"{_SYSTEM}[@name='manufacturer']",
        rule="KubeVirt's words, the template's here", source="compute/sysinfo.go",
    ),
    Default(
        path="os/type", unless=("domain.machine.type",), rule="q35, on arm64 virt", source="virt-config"
    ),
    Default(path="features/vmport", rule="off always", source="compute/hypervisor_features.go"),
    Default(path="features/kvm/hint-dedicated", rule="on for dedicated CPUs", source="vcpu/vcpu.go"),
    Default(path="features/pmu", rule="off for realtime", source="vcpu/vcpu.go"),
    Default(
        path="features/hyperv/vapic", unless=(f"{_HYPERV}.vapic",), rule="evmcs needs it", source="defaults/hyperv.go"
    ),
    Default(
        path="features/hyperv/vpindex", unless=(f"{_HYPERV}.vpindex",),
        rule="synic, tlbflush and ipi need it", source="defaults/hyperv.go",
    ),
    Default(
        path="features/hyperv/synic", unless=(f"{_HYPERV}.synic",),
        rule="synictimer needs it", source="defaults/hyperv.go",
    ),
    Default(
        path="devices/interface", unless=(f"{_DEVICES}.interfaces",),
        rule="a card on the Pod's network unless autoattachPodInterface is false", source="network/vmispec/defaults.go",
    ),
    Default(
        path="devices/interface/model", unless=(f"{_CARD}.model",), rule="virtio", source="network/configurator.go"
    ),
    Default(
        path="devices/interface/rom", unless=(f"{_CARD}.bootOrder",),
        rule="no boot ROM without a bootOrder", source="network/configurator.go",
    ),
    Default(
        path="devices/disk", unless=(_DISK,), rule="a volume without a disk gets one", source="util.go"
    ),
    Default(
        path="devices/disk/target", unless=(f"{_DISK}.disk.bus", f"{_DISK}.cdrom.bus", f"{_DISK}.lun.bus"),
        rule="sata (a lun scsi), on arm64 virtio", source="defaults/amd64.go",
    ),
    Default(
        path="devices/disk/driver", unless=(f"{_DISK}.cache",),
        rule="cache none where the image can be read past the host's cache", source="storage/disk.go",
    ),
    Default(
        path="devices/serial", unless=(f"{_DEVICES}.autoattachSerialConsole",),
        rule="a console unless autoattachSerialConsole is false", source="compute/console.go",
    ),
    Default(
        path="devices/channel/target[@name='org.qemu.guest_agent.0']",
        rule="every guest has one", source="compute/channels.go",
    ),
    Default(
        path="devices/graphics", unless=(f"{_DEVICES}.autoattachGraphicsDevice",),
        rule="VNC unless autoattachGraphicsDevice is false", source="compute/graphics.go",
    ),
    Default(
        path="devices/video", unless=(f"{_DEVICES}.video.type",),
        rule="vga with 16 MiB, behind UEFI bochs, on arm64 virtio", source="compute/graphics.go",
    ),
    Default(
        path="devices/watchdog", unless=(f"{_DEVICES}.watchdog.i6300esb.action",),
        rule="i6300esb, which resets", source="defaults/amd64.go",
    ),
    Default(path="devices/tpm", rule="tpm-tis, tpm-crb where it is persistent", source="compute/tpm.go"),
    Default(
        path="devices/memballoon", unless=(f"{_DEVICES}.autoattachMemBalloon",),
        rule="virtio, statistics every 10 s, free pages reported unless CPUs or pages are the guest's own",
        source="compute/balloon.go",
    ),
    Default(
        path="iothreads", unless=("domain.ioThreadsPolicy",),
        rule="a disk with dedicatedIOThread, and one for the others", source="iothreads.go",
    ),
)  # fmt: skip


def explained(xml: str, manifest: Value) -> str:
    """Return the domain with a comment before each line that is a default for this manifest, a VM's or an instance's.

    A template's own lines are not told.
    """
    domain = etree.fromstring(xml, parser())
    spec = mapping_at(manifest, "spec", "template", "spec") or mapping_at(manifest, "spec")
    for default in DEFAULTS:
        for element in domain.findall(default.path):
            if not any(_is_given(spec, field, _name_of(element)) for field in default.unless):
                element.addprevious(etree.Comment(f" default: {default.rule} ({default.source}) "))
    return etree.tostring(domain, pretty_print=True, encoding="unicode")


def _name_of(element: Element) -> str:
    """Return the manifest's name of the device that this is, or is a part of; "" where it has none."""
    for place in (element, element.getparent()):
        alias = None if place is None else place.find("alias")
        if alias is not None:
            return str(alias.get("name", "")).removeprefix("ua-")
    return ""


def _is_given(spec: Value, field: str, name: str) -> bool:
    values: list[Value] = [spec]
    for step in field.split("."):
        values = [below for value in values for below in _below(value, step, name)]
    return any(value is not None and value != "" for value in values)


def _below(value: Value, step: str, name: str) -> Iterator[Value]:
    """Yield what is below a value by this step; of a list the items that have the name."""
    key, _, wanted = step.removesuffix("]").partition("[")
    found = value.get(key) if isinstance(value, dict) else None
    if not step.endswith("]"):
        yield found
    elif isinstance(found, list):
        yield from (one for one in found if isinstance(one, dict) and one.get("name") == (wanted or name))
