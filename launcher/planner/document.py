"""The pinning as JSON: what `plan --format json` prints and what the domain's metadata records."""

from __future__ import annotations

import json
from typing import TypeVar, cast, get_args

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
        raise _wrong(read, "a JSON object")
    # A record of a launcher that knew of neither of these has no such key.
    document = {"shared_vcpus": {}, "vhost": ""} | read
    iothreads, shared = _by_id(document, "iothreads", "an IOThread"), _by_id(document, "shared_vcpus", "a vCPU")
    return replace(
        _struct(Pinning, document | {"iothreads": [], "shared": []}),
        iothreads=tuple(IOThreadPin(iothread=number, cpus=cpus) for number, cpus in iothreads),
        shared=tuple(SharedPin(vcpu=number, cpus=cpus) for number, cpus in shared),
    )


def _by_id(document: object, key: str, what: str) -> list[tuple[int, CPUSet]]:
    """Read an object whose keys are ids, each with its CPUs."""
    pins = _member(document, key, dict)
    wrong = next((number for number in pins if not (number.isascii() and number.isdigit())), None)
    if wrong is not None:
        raise ValueError(f"{key}: {wrong!r} is not {what} id")
    return [(int(number), _member(pins, number, CPUSet)) for number in pins]


def _struct(struct: type[S], value: object) -> S:
    """Read an object with the fields of a struct."""
    return struct(**{field.name: _member(value, field.name, field.type) for field in fields(struct)})


def _member(document: object, key: str, kind: type[T]) -> T:
    """Read a member of this type; an error names the way to it."""
    if not isinstance(document, dict) or key not in document:
        raise ValueError(f"{key}: missing")
    try:
        return cast("T", _read(document[key], kind))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _read(value: object, kind: type[object]) -> object:
    parts = get_args(kind)
    if type(None) in parts:
        return None if value is None else _read(value, parts[0])
    if parts == (int, int):
        return _pair(value)
    if parts:
        return tuple(_read(entry, parts[0]) for entry in _plainly(value, list))
    if kind is CPUSet:
        return CPUSet.parse(_plainly(value, str))
    if kind is Proof:
        return _proof(value)
    return _struct(kind, value) if issubclass(kind, Struct) else _plainly(value, kind)


def _plainly(value: object, kind: type[T]) -> T:
    # True is an int, too.
    if not isinstance(value, kind) or type(value) is not kind:
        raise _wrong(value, _IN_WORDS[kind])
    return value


def _wrong(value: object, wanted: str) -> ValueError:
    return ValueError(f"{str(value)[:80]!r} is not {wanted}")


def _pair(value: object) -> tuple[int, int]:
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int for part in value):
        return value[0], value[1]
    raise ValueError(f"entry {str(value)[:80]!r} is not a pair of cell and distance")


def _proof(value: object) -> Proof:
    if _member(value, "optimal", bool):
        return Proof(optimal=True)
    return Proof(optimal=False, term=_member(value, "term", str), at_most_off_by=_member(value, "at_most_off_by", int))
