"""The files of cloud-init's discs.

Source: cloud-init's documentation of the data sources NoCloud and ConfigDrive, and KubeVirt's pkg/cloud-init.
"""

from __future__ import annotations

import json

from launcher.storage.discs import Files
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import CloudInitKind

LABELS = {CloudInitKind.NO_CLOUD: "cidata", CloudInitKind.CONFIG_DRIVE: "config-2"}
_LATEST = "openstack/latest"


def cloud_init_files(kind: CloudInitKind, guest: Guest, user_data: bytes, network_data: bytes) -> Files:
    """Return the files of a disc; network data that is empty has no file, for cloud-init makes its own then.

    The instance id is the firmware's UUID where there is one, else name and namespace: cloud-init takes a guest with
    another id for a new one, so it must not change from start to start.
    """
    instance = f"{guest.name}.{guest.namespace}"
    if kind is CloudInitKind.NO_CLOUD:
        meta, user, network = "meta-data", "user-data", "network-config"
        meta_data = {"instance-id": guest.uuid or instance, "local-hostname": guest.name}
    else:
        meta, user, network = (f"{_LATEST}/{name}" for name in ("meta_data.json", "user_data", "network_data.json"))
        meta_data = {"instance_id": instance, "hostname": guest.name, "uuid": guest.uuid or instance}
    files = [(meta, json.dumps(meta_data).encode()), (user, user_data)]
    if network_data:
        files.append((network, network_data))
    return tuple(sorted(files))
