"""What to do about a field of KubeVirt that this program does not act on, and where a field belongs that is elsewhere.

Loaded only for a manifest that is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from msgspec import Struct, structs

from launcher.quantity import Quantity

# A field that is in more places than these has no place of its own.
_MOST_PLACES = 3
_TAKE_OUT = "take it out"

_ADVICE = {
    ("DomainSpec", "launchSecurity"): (
        "not supported: encrypted guests need devices of the host (/dev/sev and the like) and firmware that a launcher "
        f"without privilege has not; {_TAKE_OUT}, or run this machine under KubeVirt"
    ),
    ("Devices", "downwardMetrics"): (
        "not supported: nobody writes the host's figures for the guest here; "
        f"{_TAKE_OUT}, and read them from the launcher's /metrics"
    ),
    ("Volume", "downwardMetrics"): (
        "not supported: nobody writes the host's figures for the guest here; "
        "take the volume out, and read them from the launcher's /metrics"
    ),
    ("Devices", "filesystems"): "not supported; give the guest a disk, or a configMap or secret volume as a disc",
    ("VirtualMachineInstanceSpec", "utilityVolumes"): f"not supported: they are for KubeVirt's own work; {_TAKE_OUT}",
    ("VirtualMachineInstanceSpec", "accessCredentials"): (
        "not supported; put keys and passwords into the data of cloudInitNoCloud or cloudInitConfigDrive"
    ),
    ("Watchdog", "diag288"): "not supported: it is of s390x; wanted i6300esb",
    ("Volume", "memoryDump"): "not supported; take the volume out",
    ("Volume", "containerPath"): "not supported; wanted configMap, secret, serviceAccount or containerDisk",
    ("Volume", "sysprep"): "not supported; wanted a configMap or secret volume with the answer file on a CD-ROM",
}


def advice_for(struct: str, key: str) -> str:
    """Return what to do about a field that KubeVirt's structure of this name has, and this program does not act on."""
    return _ADVICE.get(
        (struct, key), f"not supported: virt-launcher does not act on this field of KubeVirt; {_TAKE_OUT}"
    )


def places_of(root: type[Struct], key: str) -> tuple[str, ...]:
    """Return the paths at which the schema has a field of this name, or none where there are too many to be a help."""
    found = tuple(dict.fromkeys(path for path in _paths(root, "") if path.rpartition(".")[2].lower() == key.lower()))
    return found if len(found) <= _MOST_PLACES else ()


def _paths(struct: type[Struct], path: str) -> Iterator[str]:
    for info in structs.fields(struct):
        inner_path = f"{path}.{info.encode_name}" if path else info.encode_name
        yield inner_path
        is_list = any(part is Ellipsis for part in _parts(info.type))
        for inner in _structs(info.type):
            yield from _paths(inner, f"{inner_path}[]" if is_list else inner_path)


def _parts(wanted: object) -> Iterator[object]:
    yield wanted
    for inner in get_args(wanted):
        yield from _parts(inner)


def _structs(wanted: object) -> Iterator[type[Struct]]:
    for part in _parts(wanted):
        if isinstance(part, type) and issubclass(part, Struct) and part is not Quantity:
            yield part
