"""The admission rules of the host's devices: GPUs, host devices, and the resource claims they come by.

Source: KubeVirt's pkg/dra/admitter and vmi-create-admitter.go. A name becomes libvirt's alias of the device, which has
fewer characters than KubeVirt lets through (formatdomain, "User-defined device aliases").
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from launcher.errors import Fault
from launcher.vmi.fieldpath import item, show
from launcher.vmi.rules import Rule, Subject, faults_at, label_fault, repeated, subdomain_fault
from launcher.vmi.schema_devices import GPU, HostDevice, VirtualMachineInstanceResourceClaim

_DEVICES = "spec.domain.devices"
_GPUS = f"{_DEVICES}.gpus"
_HOST_DEVICES = f"{_DEVICES}.hostDevices"
_CLAIMS = "spec.resourceClaims"
_ALIAS = re.compile(r"[A-Za-z0-9_-]{1,63}", re.ASCII)
# A resource of a device plugin: a DNS subdomain, a slash, a qualified name (Kubernetes, extended resources).
_RESOURCE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", re.ASCII)


def _assigned(subject: Subject) -> Iterator[Fault]:
    for where, entries in _lists(subject):
        yield from _name_faults(where, entries)
        for index, entry in enumerate(entries):
            yield from _source_faults(item(where, index), entry)
    yield from _mixed_gpus(subject.vmi.spec.domain.devices.gpus)
    yield from _shared_requests(subject)


def _lists(subject: Subject) -> tuple[tuple[str, Sequence[GPU | HostDevice]], ...]:
    devices = subject.vmi.spec.domain.devices
    return ((_GPUS, devices.gpus), (_HOST_DEVICES, devices.host_devices))


def _name_faults(where: str, entries: Sequence[GPU | HostDevice]) -> Iterator[Fault]:
    names = [entry.name for entry in entries]
    for index, name in enumerate(names):
        if not _ALIAS.fullmatch(name):
            yield Fault(f"{item(where, index)}.name", f"{show(name)} is not 1 to 63 of A-Z, a-z, 0-9, _ and -")
    for index, first in repeated(names):
        yield Fault(f"{item(where, index)}.name", f"{show(names[index])} is the name of {item(where, first)}, too")


def _source_faults(path: str, entry: GPU | HostDevice) -> Iterator[Fault]:
    claims = bool(entry.claim_name or entry.request_name)
    if entry.device_name and claims:
        yield Fault(path, "has both deviceName and a claim; wanted a device plugin's resource or a claim's request")
    elif not entry.device_name and not claims:
        yield Fault(path, "has neither deviceName, a device plugin's resource, nor claimName and requestName")
    elif claims and not (entry.claim_name and entry.request_name):
        missing = "requestName" if entry.claim_name else "claimName"
        yield Fault(f"{path}.{missing}", "missing; a claim's request is named by claimName and requestName")
    if entry.device_name and not _RESOURCE.fullmatch(entry.device_name):
        message = f"{show(entry.device_name)} is not a device plugin's resource; wanted domain/name, such as"
        yield Fault(f"{path}.deviceName", f"{message} nvidia.com/GA102GL_A10")


def _mixed_gpus(gpus: Sequence[GPU]) -> Iterator[Fault]:
    if any(gpu.device_name for gpu in gpus) and any(gpu.claim_name and not gpu.device_name for gpu in gpus):
        yield Fault(_GPUS, "some come from a device plugin and some from a claim; KubeVirt takes one kind at a time")


def _shared_requests(subject: Subject) -> Iterator[Fault]:
    entries = [
        (item(where, index), (entry.claim_name, entry.request_name))
        for where, listed in _lists(subject)
        for index, entry in enumerate(listed)
        if entry.claim_name and entry.request_name and not entry.device_name
    ]
    for index, first in repeated([pair for _, pair in entries]):
        path, (claim, request) = entries[index]
        yield Fault(path, f"request {show(request)} of claim {show(claim)} is {entries[first][0]}'s, too")


def _screens(subject: Subject) -> Iterator[Fault]:
    devices = subject.vmi.spec.domain.devices
    if devices.autoattach_graphics_device is not False:
        return
    for index, gpu in enumerate(devices.gpus):
        display = gpu.virtual_gpu_options and gpu.virtual_gpu_options.display
        if display and display.enabled:
            path = f"{item(_GPUS, index)}.virtualGPUOptions.display"
            yield Fault(path, f"has no effect with {_DEVICES}.autoattachGraphicsDevice: false")


def _claims(subject: Subject) -> Iterator[Fault]:
    claims = subject.vmi.spec.resource_claims
    names = [claim.name for claim in claims]
    for index, claim in enumerate(claims):
        path = item(_CLAIMS, index)
        yield from faults_at(f"{path}.name", label_fault(claim.name))
        yield from _object_faults(path, claim)
    for index, first in repeated(names):
        yield Fault(f"{item(_CLAIMS, index)}.name", f"{show(names[index])} is the name of {item(_CLAIMS, first)}, too")


def _object_faults(path: str, claim: VirtualMachineInstanceResourceClaim) -> Iterator[Fault]:
    named = {
        "resourceClaimName": claim.resource_claim_name,
        "resourceClaimTemplateName": claim.resource_claim_template_name,
    }
    given = {field: name for field, name in named.items() if name is not None}
    if len(given) != 1:
        found = " and ".join(named) if given else " nor ".join(named)
        yield Fault(path, f"has {'both' if given else 'neither'} {found}; wanted one of them")
    for field, name in given.items():
        yield from faults_at(f"{path}.{field}", subdomain_fault(name))


def _claims_used(subject: Subject) -> Iterator[Fault]:
    known = {claim.name for claim in subject.vmi.spec.resource_claims}
    for where, entries in _lists(subject):
        for index, entry in enumerate(entries):
            if entry.claim_name and entry.claim_name not in known:
                yield Fault(f"{item(where, index)}.claimName", f"{show(entry.claim_name)} is not in {_CLAIMS}")


ASSIGNED_RULES = (
    Rule(reads=(_GPUS, _HOST_DEVICES), check=_assigned),
    Rule(reads=(_GPUS, f"{_DEVICES}.autoattachGraphicsDevice"), check=_screens),
    Rule(reads=(_CLAIMS,), check=_claims),
    Rule(reads=(_GPUS, _HOST_DEVICES, _CLAIMS), check=_claims_used),
)
