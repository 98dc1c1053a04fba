"""The pinning as JSON: what `plan --format json` prints and what the domain's metadata records."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec.structs import asdict

from launcher.cpuset import CPUSet
from launcher.planner.model import Cell, IOThreadPin, Pinning, Proof, Reason, Score, SharedPin, VCPUPin

T = TypeVar("T")

_PIN_FIELDS = VCPUPin.__struct_fields__
_SCORE_FIELDS = Score.__struct_fields__


def to_json(pinning: Pinning) -> str:
    """Write the pinning as one line of JSON; the keys and their order are stable (DESIGN, "The command line")."""
    return json.dumps(
        {
            "vcpus": [asdict(pin) for pin in pinning.vcpus],
            "emulator": str(pinning.emulator),
            "iothreads": {str(pin.iothread): str(pin.cpus) for pin in pinning.iothreads},
            "cells": [_cell_document(cell) for cell in pinning.cells],
            "spare": str(pinning.spare),
            "warnings": list(pinning.warnings),
            "reasons": [asdict(reason) for reason in pinning.reasons],
            "cpuset": str(pinning.cpuset),
            "source": pinning.source,
            "housekeeping": str(pinning.housekeeping),
            "score": None if pinning.score is None else asdict(pinning.score),
            "proof": _proof_document(pinning.proof),
            "degraded": pinning.degraded,
            "vhost": str(pinning.vhost),
            "shared_vcpus": {str(pin.vcpu): str(pin.cpus) for pin in pinning.shared},
        }
    )


def from_json(text: str) -> Pinning:
    """Read back what `to_json` wrote, without loss; raises ValueError that names the key which is wrong."""
    try:
        document = json.loads(text)
    except RecursionError as error:
        raise ValueError("the pinning is nested too deeply") from error
    if not isinstance(document, dict):
        raise _wrong("pinning", document, "a JSON object")
    return Pinning(
        cpuset=_cpus(document, "cpuset"),
        source=_text(document, "source"),
        vcpus=_each(document, "vcpus", _vcpu_pin),
        emulator=_cpus(document, "emulator"),
        iothreads=_iothreads(document),
        cells=_each(document, "cells", _cell),
        housekeeping=_cpus(document, "housekeeping"),
        spare=_cpus(document, "spare"),
        score=_score(document),
        proof=_proof(document),
        degraded=_flag(document, "degraded"),
        warnings=_each(document, "warnings", _line),
        reasons=_each(document, "reasons", _reason),
        shared=_shared(document),
        # Likewise.
        vhost=_cpus(document, "vhost") if "vhost" in document else CPUSet(),
    )


def _cell_document(cell: Cell) -> dict[str, object]:
    return {
        "cell": cell.cell,
        "node": cell.node,
        "vcpus": str(cell.vcpus),
        "memory_bytes": cell.memory_bytes,
        "distances": [list(pair) for pair in cell.distances],
    }


def _member(document: object, key: str) -> object:
    if not isinstance(document, Mapping) or key not in document:
        raise ValueError(f"{key}: missing")
    value: object = document[key]
    return value


def _wrong(key: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"{key}: {str(value)[:80]!r} is not {wanted}")


def _text(document: object, key: str) -> str:
    value = _member(document, key)
    if not isinstance(value, str):
        raise _wrong(key, value, "a text")
    return value


def _number(document: object, key: str) -> int:
    value = _member(document, key)
    if not isinstance(value, int) or isinstance(value, bool):
        raise _wrong(key, value, "a whole number")
    return value


def _flag(document: object, key: str) -> bool:
    value = _member(document, key)
    if not isinstance(value, bool):
        raise _wrong(key, value, "true or false")
    return value


def _cpus(document: object, key: str) -> CPUSet:
    text = _text(document, key)
    try:
        return CPUSet.parse(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _each(document: object, key: str, read: Callable[[object], T]) -> tuple[T, ...]:
    value = _member(document, key)
    if not isinstance(value, list):
        raise _wrong(key, value, "a list")
    try:
        return tuple(read(entry) for entry in value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _line(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong("entry", value, "a text")
    return value


def _vcpu_pin(value: object) -> VCPUPin:
    numbers = {key: _number(value, key) for key in _PIN_FIELDS}
    return VCPUPin(**numbers)


def _iothreads(document: object) -> tuple[IOThreadPin, ...]:
    value = _member(document, "iothreads")
    if not isinstance(value, Mapping):
        raise _wrong("iothreads", value, "an object")
    return tuple(IOThreadPin(iothread=_identifier(key), cpus=_cpus(value, key)) for key in value)


def _shared(document: Mapping[str, object]) -> tuple[SharedPin, ...]:
    """Read the vCPUs that share; a record of a launcher that knew of none has no such key."""
    value = document.get("shared_vcpus", {})
    if not isinstance(value, Mapping):
        raise _wrong("shared_vcpus", value, "an object")
    return tuple(SharedPin(vcpu=_identifier(key, "shared_vcpus"), cpus=_cpus(value, key)) for key in value)


def _identifier(key: str, where: str = "iothreads") -> int:
    if not (key.isascii() and key.isdigit()):
        raise ValueError(f"{where}: {key!r} is not {'an IOThread' if where == 'iothreads' else 'a vCPU'} id")
    return int(key)


def _cell(value: object) -> Cell:
    return Cell(
        cell=_number(value, "cell"),
        node=_number(value, "node"),
        vcpus=_cpus(value, "vcpus"),
        memory_bytes=_number(value, "memory_bytes"),
        distances=_each(value, "distances", _pair),
    )


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value):
        return value[0], value[1]
    raise _wrong("entry", value, "a pair of cell and distance")


def _score(document: object) -> Score | None:
    value = _member(document, "score")
    if value is None:
        return None
    terms = {key: _number(value, key) for key in _SCORE_FIELDS}
    return Score(**terms)


def _proof_document(proof: Proof | None) -> dict[str, object] | None:
    if proof is None:
        return None
    return {"optimal": True} if proof.optimal else asdict(proof)


def _proof(document: object) -> Proof | None:
    value = _member(document, "proof")
    if value is None:
        return None
    if _flag(value, "optimal"):
        return Proof(optimal=True)
    return Proof(optimal=False, term=_text(value, "term"), at_most_off_by=_number(value, "at_most_off_by"))


def _reason(value: object) -> Reason:
    return Reason(thread=_text(value, "thread"), text=_text(value, "text"))
