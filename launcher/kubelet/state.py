"""The state file of the kubelet's CPU manager: its policy, and the CPUs that containers have to themselves.

Source: pkg/kubelet/cm/cpumanager/state, checkpoint.go. Four versions of the file are about, and none says which it is:

* v1: `policyName`, `defaultCpuSet`, and `entries` that map a container's id to its CPUs
* v2: `entries` map a pod's UID and a container's name to CPUs
* v3: besides, `podEntries` map a pod's UID to the CPUs that its containers share
* v4: all of this as JSON text in the field `data`
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from msgspec import Struct

from launcher.cpuset import CPUSet

# The file grows by some 100 bytes for each container with CPUs of its own.
MAX_STATE_BYTES = 4 << 20


class CPUManagerState(Struct, frozen=True, kw_only=True):
    """What the file says: policy, shared pool, and the exclusive CPUs of each container, in the file's order."""

    policy: str
    shared_pool: CPUSet
    assignments: tuple[CPUSet, ...] = ()


def parse_state(text: str) -> CPUManagerState:
    """Read the state file's text, of any version; raises ValueError that says in a sentence what is wrong with it.

    The checksum is not looked at: it covers Go's own print of the structure, which differs between kubelets.
    """
    document = _mapping(text, "the file")
    if "data" in document:
        document = _mapping(_text(document, "data"), "its data")
    return CPUManagerState(
        policy=_text(document, "policyName"),
        shared_pool=_cpus("defaultCpuSet", _text(document, "defaultCpuSet")),
        assignments=tuple(_assignments(document.get("entries"))),
    )


def kubelet_assignments(text: str) -> tuple[CPUSet, ...]:
    """Return the CPUs that the kubelet gave to one container alone, container by container; raises as parse_state.

    A pod's own CPUs (`podEntries`) are not among them: its containers share those.
    """
    return parse_state(text).assignments


def _mapping(text: str, what: str) -> Mapping[str, object]:
    if not text.strip():
        raise ValueError(f"{what} is empty")
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{what} is not JSON, or a part of it only: {error.msg} at character {error.pos}") from error
    except ValueError as error:
        # Python reads no more than 4300 of them.
        raise ValueError(f"{what} holds a number of too many digits") from error
    except RecursionError as error:
        raise ValueError(f"{what} is nested too deeply") from error
    if not isinstance(document, dict):
        raise _unlike(what, document, "a mapping")
    return document


def _text(document: Mapping[str, object], key: str) -> str:
    if key not in document:
        raise ValueError(f"{key} is missing: not a state file of the CPU manager, or a part of one")
    value = document[key]
    if not isinstance(value, str):
        raise _unlike(key, value, "text")
    return value


def _assignments(entries: object) -> Iterator[CPUSet]:
    if entries is None:
        return
    if not isinstance(entries, dict):
        raise _unlike("entries", entries, "a mapping")
    for owner, value in entries.items():
        # In version 1 the owner is a container, later it is a pod.
        containers = value.items() if isinstance(value, dict) else [(owner, value)]
        for container, cpulist in containers:
            yield _cpus(f"entries of {container[:64]!r}", cpulist)


def _cpus(where: str, cpulist: object) -> CPUSet:
    if not isinstance(cpulist, str):
        raise _unlike(where, cpulist, "a cpulist")
    try:
        return CPUSet.parse(cpulist)
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _unlike(what: str, value: object, wanted: str) -> ValueError:
    text = json.dumps(value)
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return ValueError(f"{what}: found {shown}, wanted {wanted}")
