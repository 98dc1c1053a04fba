"""The state file of the kubelet's CPU manager: its policy, and the CPUs that containers have to themselves.

Source: pkg/kubelet/cm/cpumanager/state, checkpoint.go. Four versions of the file are about, and none says which it is:

* v1: `policyName`, `defaultCpuSet`, and `entries` that map a container's id to its CPUs
* v2: `entries` map a pod's UID and a container's name to CPUs
* v3: besides, `podEntries` map a pod's UID to the CPUs that its containers share
* v4: what v2 has, for kubelets that know no more, and in the field `data` all of it as JSON text that counts alone,
  with `baselines`, the CPUs that containers had when they were admitted (1.37)

A file with fields beyond these is of a newer form: what is known of it is read, and the fields are told.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from msgspec import Struct

from launcher.cpuset import CPUSet

# The file grows by some 100 bytes for each container with CPUs of its own.
MAX_STATE_BYTES = 4 << 20
_FIELDS_OF_DATA = ("policyName", "defaultCpuSet", "entries", "podEntries", "baselines")
_FIELDS = ("policyName", "defaultCpuSet", "entries", "podEntries", "checksum", "data", "dataChecksum")


class CPUManagerState(Struct, frozen=True, kw_only=True):
    """What the file says: policy, shared pool, and the exclusive CPUs of each container, in the file's order.

    `pods` are the CPUs of pods that have some as a whole, `unknown` the fields of a newer form than is known here.
    """

    policy: str
    shared_pool: CPUSet
    assignments: tuple[CPUSet, ...] = ()
    pods: tuple[CPUSet, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def in_use(self) -> CPUSet:
        """All CPUs that are not in the shared pool because somebody has them."""
        in_use = CPUSet()
        for cpus in self.assignments + self.pods:
            in_use |= cpus
        return in_use - self.shared_pool

    @property
    def doubt(self) -> str | None:
        """What is to be said of a file of a newer form, None of one whose form is known."""
        if not self.unknown:
            return None
        fields = ", ".join(repr(field[:40]) for field in self.unknown[:5])
        more = f" and {len(self.unknown) - 5} more" if len(self.unknown) > 5 else ""
        return (
            f"a newer form of the file than is known here, with {fields}{more}: read were its policy, the shared pool "
            "and who has which CPUs"
        )


def parse_state(text: str) -> CPUManagerState:
    """Read the state file's text, of any version; raises ValueError that says in a sentence what is wrong with it.

    The checksum is not looked at: it covers Go's own print of the structure, which differs between kubelets.
    """
    document = _mapping(text, "the file")
    unknown = [field for field in document if field not in _FIELDS]
    if "data" in document:
        document = _mapping(_text(document, "data"), "its data")
        unknown += [f"data.{field}" for field in document if field not in _FIELDS_OF_DATA]
    return CPUManagerState(
        policy=_text(document, "policyName"),
        shared_pool=_cpus("defaultCpuSet", _text(document, "defaultCpuSet")),
        assignments=tuple(_assignments(document.get("entries"))),
        pods=tuple(_pods(document.get("podEntries"))),
        unknown=tuple(unknown),
    )


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


def _pods(entries: object) -> Iterator[CPUSet]:
    if entries is None:
        return
    if not isinstance(entries, dict):
        raise _unlike("podEntries", entries, "a mapping")
    for pod, entry in entries.items():
        cpulist = entry.get("cpuSet", "") if isinstance(entry, dict) else entry
        yield _cpus(f"podEntries of {pod[:64]!r}", cpulist)


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
