"""State files of the kubelet's CPU manager, one of each version, as kubelets write them."""

from __future__ import annotations

import json

V1 = {
    "policyName": "static",
    "defaultCpuSet": "0-1,6-7",
    "entries": {"1f3c": "2-3", "88aa": "4,5"},
    "checksum": 2655485041,
}
V2 = {
    "policyName": "static",
    "defaultCpuSet": "0-1,6-7",
    "entries": {"8a1c": {"copy": "2", "compute": "2-3"}, "77f0": {"app": "4-5"}},
    "checksum": 1552716370,
}
V3 = {**V2, "podEntries": {"8a1c": {"cpuSet": "2-3"}}, "checksum": 99}
V4 = {
    **V2,
    "data": json.dumps(
        {key: value for key, value in V3.items() if key != "checksum"}
        | {"baselines": {"8a1c": {"compute": {"baseline": "2-3"}}}}
    ),
    "dataChecksum": 7,
}
# A form that no kubelet has written yet: fields beyond those that are known, outside and inside.
V5 = {**V4, "epoch": 3, "data": json.dumps({**json.loads(str(V4["data"])), "leases": {}})}
NONE = {"policyName": "none", "defaultCpuSet": "", "checksum": 1353318690}
# Before Kubernetes 1.11 there was no checksum.
OLDEST = {"policyName": "none", "defaultCpuSet": "0-7"}
