"""The devices that KubeVirt adds to a machine before a preference says what they are like.

Source: KubeVirt's SetDefaultVolumeDisk (pkg/util), AutoAttachInputDevice (pkg/virt-controller/watch/vm) and
SetDefaultNetworkInterface (pkg/network/vmispec).
"""

from __future__ import annotations

from launcher.instancetype.target import Target, copied

_DEVICES = ("domain", "devices")


def add_devices(target: Target, unused_volumes: frozenset[str], *, has_card: bool) -> None:
    """Add a disk for each volume without one, and the input that is attached by itself.

    The interface that is attached by itself is added where the preference `has_card`, a model for it.
    """
    _add_disks(target, unused_volumes)
    if target.get(*_DEVICES, "autoattachInputDevice") is True and not target.get(*_DEVICES, "inputs"):
        target.set([{"name": "default-0"}], *_DEVICES, "inputs")
    if has_card:
        _add_interface(target)


def _add_disks(target: Target, unused_volumes: frozenset[str]) -> None:
    devices = (*target.items(*_DEVICES, "disks"), *target.items(*_DEVICES, "filesystems"))
    used = {one.get("name") for one in devices}
    volumes = (one for one in target.items("volumes") if one.get("memoryDump") is None)
    missing = [one["name"] for one in volumes if one.get("name") and one["name"] not in used]
    disks = target.get(*_DEVICES, "disks") or []
    if missing and isinstance(disks, list):
        more = [{"name": copied(name)} for name in missing if name not in unused_volumes]
        target.set([*disks, *more], *_DEVICES, "disks")


def _add_interface(target: Target) -> None:
    is_wanted = target.get(*_DEVICES, "autoattachPodInterface") is not False
    if is_wanted and not target.get("networks") and not target.get(*_DEVICES, "interfaces"):
        target.set([{"name": "default", "bridge": {}}], *_DEVICES, "interfaces")
        target.set([{"name": "default", "pod": {}}], "networks")
