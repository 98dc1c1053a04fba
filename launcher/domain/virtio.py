"""virtio devices that speak the old protocol beside the new one (useVirtioTransitional)."""

from __future__ import annotations

from launcher.domain.xml import Element, add

_TRANSITIONAL = "virtio-transitional"


def make_transitional(devices: Element) -> None:
    """Change the model of every device that KubeVirt makes transitional; libvirt finds them a bus that is not PCIe.

    Source: KubeVirt's converter, TransitionalModelType and where its answer goes.
    """
    for disk in devices.iterfind("disk/target[@bus='virtio']/.."):
        disk.set("model", _TRANSITIONAL)
    for model in devices.iterfind("interface/model[@type='virtio']"):
        model.set("type", _TRANSITIONAL)
    for path in ("memballoon[@model='virtio']", "rng[@model='virtio']", "controller[@model='virtio-scsi']"):
        for device in devices.iterfind(path):
            device.set("model", _TRANSITIONAL)
    if devices.find("controller[@type='virtio-serial']") is None:
        add(devices, "controller", type="virtio-serial", index=0, model=_TRANSITIONAL)
