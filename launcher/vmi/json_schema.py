"""The JSON Schema of the manifests that are supported, made from the same structures that decode them.

It says what a field may be, not what fields may stand together: the admission rules are `virt-launcher check`'s. Draft
7, for that is what editors know.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from inspect import getdoc
from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

from msgspec import NODEFAULT, Meta, Struct, structs

from launcher.quantity import Quantity
from launcher.vmi.manifest import Value
from launcher.vmi.schema import VirtualMachine, VirtualMachineInstance

_DRAFT = "http://json-schema.org/draft-07/schema#"
_ROOTS: tuple[type[Struct], ...] = (VirtualMachineInstance, VirtualMachine)
_SCALARS: dict[object, str] = {bool: "boolean", int: "integer", str: "string"}

_QUANTITY: dict[str, Value] = {
    "description": "a Kubernetes quantity such as 4, 500m or 1.5Gi",
    "type": ["string", "number"],
    "pattern": r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]{1,3})?$",
}

Schema = dict[str, Value]


def json_schema() -> Schema:
    """Return the schema of one manifest: a VirtualMachineInstance or a VirtualMachine, by its kind.

    null is not in it, though decoding takes it for absent: nobody writes it on purpose.
    """
    definitions: Schema = {"Quantity": dict(_QUANTITY)}
    for struct in sorted(set(_reached(_ROOTS)), key=lambda struct: struct.__name__):
        if struct.__name__ in definitions:
            raise TypeError(f"two structures of the schema are called {struct.__name__}")
        definitions[struct.__name__] = _struct(struct)
    return {
        "$schema": _DRAFT,
        "title": "KubeVirt manifests that virt-launcher runs",
        "type": "object",
        "required": ["apiVersion", "kind"],
        "properties": {"kind": {"enum": [root.__name__ for root in _ROOTS]}},
        "allOf": [_by_kind(root) for root in _ROOTS],
        "definitions": definitions,
    }


def _by_kind(root: type[Struct]) -> Value:
    """Apply a kind's schema to manifests of that kind only, so that a fault is told once and where it lies."""
    of_this_kind: Schema = {"required": ["kind"], "properties": {"kind": {"const": root.__name__}}}
    return {"if": of_this_kind, "then": _reference(root.__name__)}


def _reference(name: str) -> Schema:
    return {"$ref": f"#/definitions/{name}"}


def _reached(roots: tuple[type[Struct], ...]) -> Iterator[type[Struct]]:
    """Yield these structures and every one that a field of theirs has, each perhaps more than once."""
    for struct in roots:
        yield struct
        for info in structs.fields(struct):
            yield from _reached(tuple(_structs_in(info.type)))


def _structs_in(wanted: object) -> Iterator[type[Struct]]:
    # A quantity is text in a manifest, whatever it is made of here.
    if isinstance(wanted, type) and issubclass(wanted, Struct) and wanted is not Quantity:
        yield wanted
    for inner in get_args(wanted):
        yield from _structs_in(inner)


def _struct(struct: type[Struct]) -> Schema:
    fields = structs.fields(struct)
    required: list[Value] = [info.encode_name for info in fields if info.required]
    schema: Schema = {
        "description": _summary(struct),
        "type": "object",
        "properties": {info.encode_name: _field(info) for info in fields},
        "additionalProperties": False,
    }
    return {**schema, **({"required": required} if required else {})}


def _summary(struct: type[Struct]) -> str:
    """Return the first paragraph of a structure's description, as one line."""
    return " ".join((getdoc(struct) or "").partition("\n\n")[0].split())


def _field(info: structs.FieldInfo) -> Schema:
    schema = _type(info.type)
    default = info.default
    if default is NODEFAULT or "$ref" in schema or not isinstance(default, bool | int | str):
        return schema
    return {**schema, "default": str(default) if isinstance(default, StrEnum) else default}


def _type(wanted: object) -> Schema:
    """Return the schema of a type that the structures use, as decode.py takes values of it."""
    origin, arguments = get_origin(wanted), get_args(wanted)
    if origin in (Union, UnionType):
        (inner,) = (option for option in arguments if option is not type(None))
        return _type(inner)
    if origin is Annotated:
        return _bounded(*arguments)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple:
        return {"type": "array", "items": _type(arguments[0])}
    if origin is dict:
        return {"type": "object", "additionalProperties": _type(arguments[1])}
    return _plain(wanted)


def _plain(wanted: object) -> Schema:
    if wanted is object:
        return {}
    if wanted is Quantity:
        return _reference("Quantity")
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return {"enum": [str(choice) for choice in wanted]}
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        return _reference(wanted.__name__)
    return {"type": _SCALARS[wanted]}


def _bounded(inner: object, meta: object) -> Schema:
    """Return a scalar with its description and bounds."""
    if not isinstance(meta, Meta):
        raise TypeError(f"{meta!r} is not a description of a field")
    found: dict[str, Value] = {
        "description": meta.description, "minimum": _whole(meta.ge), "maximum": _whole(meta.le), "pattern": meta.pattern
    }  # fmt: skip
    return {**_plain(inner), **{name: value for name, value in found.items() if value is not None}}


def _whole(bound: float | None) -> int | None:
    return None if bound is None else int(bound)
