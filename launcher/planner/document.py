"""The pinning as JSON: what `plan --format json` prints and what the domain's metadata records."""

from __future__ import annotations

import json
from typing import TypeVar, get_args

from msgspec import Struct
from msgspec.structs import asdict, fields, replace

from launcher.cpuset import CPUSet
from launcher.planner.model import IOThreadPin, Pinning, Proof, SharedPin

T = TypeVar("T")
S = TypeVar("S", bound=Struct)

# The keys in their order; each is a field of the pinning, but that "shared_vcpus" are its `shared`.
_KEYS = (
    *("vcpus", "emulator", "iothreads", "cells", "spare", "warnings", "reasons", "cpuset", "source", "housekeeping"),
    *("score", "proof", "degraded", "vhost", "shared_vcpus"),
)
_IN_WORDS: dict[type[object], str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def to_json(pinning: Pinning) -> str:
    """Write the pinning as one line of JSON; the keys and their order are stable (DESIGN, "The command line")."""
    document = {name: _plain(value) for name, value in asdict(pinning).items()}
    document["iothreads"] = {str(pin.iothread): str(pin.cpus) for pin in pinning.iothreads}
    document["shared_vcpus"] = {str(pin.vcpu): str(pin.cpus) for pin in pinning.shared}
    return json.dumps({key: document[key] for key in _KEYS})


def _plain(value: object) -> object:
    match value:
        case CPUSet():
            return str(value)
        case Proof(optimal=True):
            return {"optimal": True}
        case Struct():
            return {name: _plain(part) for name, part in asdict(value).items()}
        case tuple():
            return [_plain(part) for part in value]
    return value


def from_json(text: str) -> Pinning:
    """Read back what `to_json` wrote, without loss; raises ValueError that names the key which is wrong."""
    try:
        read = json.loads(text)
    except RecursionError as error:
        raise ValueError("the pinning is nested too deeply") from error
    if not isinstance(read, dict):
        raise _wrong("pinning", read, "a JSON object")
    # A record of a launcher that knew of neither of these has no such key.
    document = {"shared_vcpus": {}, "vhost": ""} | read
    iothreads, shared = _by_id(document, "iothreads", "an IOThread"), _by_id(document, "shared_vcpus", "a vCPU")
    return replace(
        _struct(Pinning, document | {"iothreads": [], "shared": []}),
        iothreads=tuple(IOThreadPin(iothread=number, cpus=cpus) for number, cpus in iothreads),
        shared=tuple(SharedPin(vcpu=number, cpus=cpus) for number, cpus in shared),
    )


def _struct(struct: type[S], value: object) -> S:
    """Read an object with the fields of a struct."""
    return struct(**{field.name: _field(value, field.name, field.type) for field in fields(struct)})


def _field(document: object, key: str, kind: type[object]) -> object:
    """Read a member of this type."""
    value, parts = _member(document, key), get_args(kind)
    if type(None) in parts:
        return None if value is None else _field(document, key, parts[0])
    if parts == (int, int):
        return _pair(value)
    if parts:
        return _each(document, key, parts[0])
    if kind is CPUSet:
        return _cpus(document, key)
    if kind is Proof:
        return _proof(value)
    return _struct(kind, value) if issubclass(kind, Struct) else _value(document, key, kind)


def _each(document: object, key: str, kind: type[object]) -> tuple[object, ...]:
    entries = _value(document, key, list)
    try:
        return tuple(_field({"entry": entry}, "entry", kind) for entry in entries)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


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


def _by_id(document: object, key: str, what: str) -> list[tuple[int, CPUSet]]:
    """Read an object whose keys are ids, each with its CPUs."""
    pins = _value(document, key, dict)
    wrong = next((number for number in pins if not (number.isascii() and number.isdigit())), None)
    if wrong is not None:
        raise ValueError(f"{key}: {wrong!r} is not {what} id")
    return [(int(number), _cpus(pins, number)) for number in pins]


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value):
        return value[0], value[1]
    raise _wrong("entry", value, "a pair of cell and distance")


def _proof(value: object) -> Proof:
    if _value(value, "optimal", bool):
        return Proof(optimal=True)
    return Proof(optimal=False, term=_value(value, "term", str), at_most_off_by=_value(value, "at_most_off_by", int))
