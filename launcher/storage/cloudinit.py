"""The files of cloud-init's discs.

Source: cloud-init's documentation of the data sources NoCloud and ConfigDrive, and KubeVirt's pkg/cloud-init.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from launcher.storage.discs import Files
from launcher.storage.tags import METADATA, room_for_tags
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import CloudInitKind

LABELS = {CloudInitKind.NO_CLOUD: "cidata", CloudInitKind.CONFIG_DRIVE: "config-2"}
_LATEST = "openstack/latest"


def cloud_init_files(
    kind: CloudInitKind, guest: Guest, user_data: bytes, network_data: bytes, keys: Sequence[str] = ()
) -> Files:
    """Return the files of a disc; network data that is empty has no file, for cloud-init makes its own then.

    The instance id is the firmware's UUID where there is one, else name and namespace: cloud-init takes a guest with
    another id for a new one, so it must not change from start to start. The keys are for the guest's first user.
    """
    instance, host = f"{guest.name}.{guest.namespace}", guest.hostname or guest.name
    if kind is CloudInitKind.NO_CLOUD:
        meta, user, network = "meta-data", "user-data", "network-config"
        meta_data: dict[str, object] = {"instance-id": guest.uuid or instance, "local-hostname": host}
    else:
        meta, user, network = METADATA, f"{_LATEST}/user_data", f"{_LATEST}/network_data.json"
        meta_data = {"instance_id": instance, "hostname": host, "uuid": guest.uuid or instance}
    if keys:
        numbered = {str(number): key for number, key in enumerate(keys)}
        meta_data["public-keys" if kind is CloudInitKind.NO_CLOUD else "public_keys"] = numbered
    room = room_for_tags(guest) if kind is CloudInitKind.CONFIG_DRIVE else 0
    files = [(meta, json.dumps(meta_data).encode() + b" " * room), (user, user_data)]
    if network_data:
        files.append((network, network_data))
    return tuple(sorted(files))
