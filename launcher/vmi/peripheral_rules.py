"""The admission rules of the devices beside disks and network cards.

Source: KubeVirt's admission webhook, vmi-create-admitter.go and pkg/virt-api/webhooks/arm64.go.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import item, show
from launcher.vmi.guest_machine import PanicModel, VideoModel
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, repeated

_DEVICES = "spec.domain.devices"
_INPUTS = f"{_DEVICES}.inputs"
_PANICS = f"{_DEVICES}.panicDevices"
_ARM_VIDEOS = (VideoModel.VIRTIO, VideoModel.RAMFB)


def _names(subject: Subject) -> Iterator[Fault]:
    devices = subject.vmi.spec.domain.devices
    if devices.watchdog is not None:
        yield from faults_at(f"{_DEVICES}.watchdog.name", label_fault(devices.watchdog.name))
    if devices.sound is not None:
        yield from faults_at(f"{_DEVICES}.sound.name", label_fault(devices.sound.name))
    names = [one.name for one in devices.inputs]
    for index, name in enumerate(names):
        yield from faults_at(f"{item(_INPUTS, index)}.name", label_fault(name))
    for index, first in repeated(names):
        yield Fault(f"{item(_INPUTS, index)}.name", f"{show(names[index])} is the name of {item(_INPUTS, first)}, too")


def _watchdog(subject: Subject) -> Iterator[Fault]:
    watchdog = subject.vmi.spec.domain.devices.watchdog
    if watchdog is not None and subject.arch == "aarch64":
        yield Fault(f"{_DEVICES}.watchdog", "arm64 guests have no watchdog")


def _video(subject: Subject) -> Iterator[Fault]:
    devices = subject.vmi.spec.domain.devices
    if devices.video is None:
        return
    if devices.autoattach_graphics_device is False:
        yield Fault(f"{_DEVICES}.video", f"has no effect with {_DEVICES}.autoattachGraphicsDevice: false")
    if subject.arch == "aarch64" and devices.video.type not in _ARM_VIDEOS:
        yield Fault(f"{_DEVICES}.video.type", f"arm64 guests have no {devices.video.type}; wanted virtio or ramfb")


def _panics(subject: Subject) -> Iterator[Fault]:
    panics = subject.vmi.spec.domain.devices.panic_devices
    if panics and subject.arch == "aarch64":
        yield Fault(_PANICS, "arm64 guests have neither an isa nor a hyperv panic device")
    models = [panic.model or PanicModel.ISA for panic in panics]
    for index, first in repeated(models):
        yield Fault(item(_PANICS, index), f"is {models[index]}, and so is {item(_PANICS, first)}")


PERIPHERAL_RULES = (
    Rule(
        reads=(f"{_DEVICES}.watchdog.name", f"{_DEVICES}.sound.name", f"{_INPUTS}[].name"),
        check=_names,
    ),
    Rule(reads=(f"{_DEVICES}.watchdog", "spec.architecture"), check=_watchdog),
    Rule(
        reads=(f"{_DEVICES}.video", f"{_DEVICES}.autoattachGraphicsDevice", "spec.architecture"),
        check=_video,
    ),
    Rule(reads=(_PANICS, "spec.architecture"), check=_panics),
)
