"""What the Pod Security Standards would refuse of a launcher's Pod, and why it is there.

Source: Kubernetes, "Pod Security Standards" (v1.36), the rules that a Pod of this program can break; all others it
keeps by what it is made of (security.py). A namespace says by its label which of them is enforced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from typing import cast

from msgspec import Struct

from launcher.pod.part import Tree
from launcher.vmi.manifest import Value

# "Capabilities", of baseline: what may be added. Of these restricted takes NET_BIND_SERVICE alone.
_BASELINE_CAPABILITIES = frozenset(
    {"AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"}
    | {"SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"}
)
_RESTRICTED_CAPABILITIES = frozenset({"NET_BIND_SERVICE"})
# "Volume Types", of restricted; image volumes are newer than the page and are refused by no code of it.
_VOLUMES = frozenset(
    [
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    ]
)


class Standard(StrEnum):
    """The two standards that refuse anything; what refuses at baseline does so at restricted, too."""

    BASELINE = "baseline"
    RESTRICTED = "restricted"


class Refusal(Struct, frozen=True, kw_only=True):
    """One field of the Pod that a standard does not take."""

    standard: Standard
    path: str
    found: str


def refusals_of(pod: Tree) -> Iterator[Refusal]:
    """Yield what each standard refuses of this Pod, the weaker standard where both do."""
    spec = cast("Mapping[str, list[Mapping[str, Value]]]", pod["spec"])
    for volume in spec["volumes"]:
        yield from _of_volume(volume)
    for field in ("initContainers", "containers"):
        for container in spec.get(field, []):
            yield from _of_container(container)


def _of_volume(volume: Mapping[str, Value]) -> Iterator[Refusal]:
    for kind in volume:
        if kind != "name" and kind not in _VOLUMES:
            standard = Standard.BASELINE if kind == "hostPath" else Standard.RESTRICTED
            source = volume[kind]
            where = f" {source['path']}" if kind == "hostPath" and isinstance(source, dict) else ""
            yield Refusal(standard=standard, path=f"volume {volume['name']}", found=f"{kind}{where}")


def _of_container(container: Mapping[str, Value]) -> Iterator[Refusal]:
    security = cast("Mapping[str, Mapping[str, list[str]]]", container["securityContext"])
    for capability in security["capabilities"].get("add", []):
        if capability not in _RESTRICTED_CAPABILITIES:
            known = capability in _BASELINE_CAPABILITIES
            yield Refusal(
                standard=Standard.RESTRICTED if known else Standard.BASELINE,
                path=f"container {container['name']}",
                found=f"the capability {capability}",
            )


def standards_in_words(refusals: Iterable[Refusal]) -> Iterator[str]:
    """Yield a line for each standard: that it takes the Pod, or each thing for which it does not."""
    found = tuple(refusals)
    for standard in (Standard.RESTRICTED, Standard.BASELINE):
        against = [one for one in found if standard is Standard.RESTRICTED or one.standard is Standard.BASELINE]
        yield f"Pod Security Standard {standard}: {'takes this Pod' if not against else 'refuses it for'}"
        yield from (f"{'':10}  {one.path}: {one.found}" for one in against)


def warnings_of(refusals: Iterable[Refusal]) -> Iterator[str]:
    """Yield a sentence where a namespace that enforces a standard would refuse the Pod."""
    found = tuple(refusals)
    if not found:
        return
    is_baseline = any(one.standard is Standard.BASELINE for one in found)
    standards = "baseline and restricted refuse" if is_baseline else "restricted refuses"
    reasons = ", ".join(f"{one.found} ({one.path})" for one in found)
    yield f"the Pod Security Standard{'s' if is_baseline else ''} {standards} this Pod for {reasons}"
