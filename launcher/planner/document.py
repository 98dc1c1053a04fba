"""The pinning as JSON: what `plan --format json` prints and what the domain's metadata records."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from msgspec import Struct
from msgspec.structs import asdict, fields

from launcher.cpuset import CPUSet
from launcher.planner.model import Cell, IOThreadPin, Pinning, Proof, Reason, Score, SharedPin, VCPUPin

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

_IN_WORDS = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


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
        source=_value(document, "source", str),
        vcpus=_each(document, "vcpus", partial(_struct, VCPUPin)),
        emulator=_cpus(document, "emulator"),
        iothreads=tuple(
            IOThreadPin(iothread=number, cpus=cpus) for number, cpus in _by_id(document, "iothreads", "an IOThread")
        ),
        cells=_each(document, "cells", _cell),
        housekeeping=_cpus(document, "housekeeping"),
        spare=_cpus(document, "spare"),
        score=None if _member(document, "score") is None else _struct(Score, document["score"]),
        proof=None if _member(document, "proof") is None else _proof(document["proof"]),
        degraded=_value(document, "degraded", bool),
        warnings=_each(document, "warnings", _line),
        reasons=_each(document, "reasons", partial(_struct, Reason)),
        # A record of a launcher that knew of neither of these has no such key.
        shared=tuple(
            SharedPin(vcpu=number, cpus=cpus)
            for number, cpus in _by_id({"shared_vcpus": {}} | document, "shared_vcpus", "a vCPU")
        ),
        vhost=_cpus({"vhost": ""} | document, "vhost"),
    )


def _cell_document(cell: Cell) -> dict[str, object]:
    return {
        "cell": cell.cell,
        "node": cell.node,
        "vcpus": str(cell.vcpus),
        "memory_bytes": cell.memory_bytes,
        "distances": [list(pair) for pair in cell.distances],
    }


def _proof_document(proof: Proof | None) -> dict[str, object] | None:
    if proof is None:
        return None
    return {"optimal": True} if proof.optimal else asdict(proof)


def _member(document: object, key: str) -> object:
    if not isinstance(document, dict) or key not in document:
        raise ValueError(f"{key}: missing")
    value: object = document[key]
    return value


def _wrong(key: str, value: object, wanted: str) -> ValueError:
    return ValueError(f"{key}: {str(value)[:80]!r} is not {wanted}")


def _value(document: object, key: str, kind: type[T]) -> T:
    value = _member(document, key)
    # True is an int, too.
    if not isinstance(value, kind) or type(value) is not kind:
        raise _wrong(key, value, _IN_WORDS[kind])
    return value


def _cpus(document: object, key: str) -> CPUSet:
    text = _value(document, key, str)
    try:
        return CPUSet.parse(text)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _each(document: object, key: str, read: Callable[[object], T]) -> tuple[T, ...]:
    entries = _value(document, key, list)
    try:
        return tuple(read(entry) for entry in entries)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _by_id(document: object, key: str, what: str) -> list[tuple[int, CPUSet]]:
    """Read an object whose keys are ids, each with its CPUs."""
    pins = _value(document, key, dict)
    wrong = next((number for number in pins if not (number.isascii() and number.isdigit())), None)
    if wrong is not None:
        raise ValueError(f"{key}: {wrong!r} is not {what} id")
    return [(int(number), _cpus(pins, number)) for number in pins]


def _struct(struct: type[S], value: object) -> S:
    """Read a value that is its fields, each of a plain type."""
    return struct(**{field.name: _value(value, field.name, field.type) for field in fields(struct)})


def _line(value: object) -> str:
    return _value({"entry": value}, "entry", str)


def _cell(value: object) -> Cell:
    return Cell(
        cell=_value(value, "cell", int),
        node=_value(value, "node", int),
        vcpus=_cpus(value, "vcpus"),
        memory_bytes=_value(value, "memory_bytes", int),
        distances=_each(value, "distances", _pair),
    )


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value):
        return value[0], value[1]
    raise _wrong("entry", value, "a pair of cell and distance")


def _proof(value: object) -> Proof:
    if _value(value, "optimal", bool):
        return Proof(optimal=True)
    return Proof(optimal=False, term=_value(value, "term", str), at_most_off_by=_value(value, "at_most_off_by", int))
