"""Turns a document into the schema's structures, strictly, and tells every fault of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import UnionType
from typing import Annotated, Generic, Literal, TypeVar, Union, get_args, get_origin

from msgspec import Meta, Struct, field, structs

from launcher.errors import Fault
from launcher.quantity import Quantity, parse_quantity
from launcher.vmi.fieldpath import child, item, show, without_indices
from launcher.vmi.manifest import Value

S_co = TypeVar("S_co", bound=Struct, covariant=True)

_SCALARS: dict[object, str] = {bool: "true or false", int: "an integer", str: "text"}
# A manifest with more faults is not a manifest; describing each of 50,000 would take minutes.
MAX_FAULTS = 100

# Fields that are pointers in KubeVirt's API: empty text is a value there, and none that is known.
_POINTERS = ("errorPolicy", "ioThreadsPolicy", "memLock", "rebootPolicy", "runStrategy", "startStrategy", "timezone")

# What stands for a value that could not be decoded.
_FAULTY = object()


class Decoded(Struct, Generic[S_co], frozen=True, kw_only=True):
    """A document as a structure, its faults in the document's order, and the paths whose value nobody can know.

    `value` is None where a required field is at fault, or where there are MAX_FAULTS faults. Indices are left out of
    `doubtful`: "disks[].name". A field that is not supported puts no other in doubt; a misspelt one the one it means.
    """

    value: S_co | None
    faults: tuple[Fault, ...] = ()
    doubtful: frozenset[str] = frozenset()


class _Decoding(Struct):
    """The faults found so far, and the fields of the structures met so far by their names in the document."""

    faults: list[Fault] = field(default_factory=list)
    doubtful: set[str] = field(default_factory=set)
    fields: dict[type[Struct], dict[str, structs.FieldInfo]] = field(default_factory=dict)
    root: type[Struct] | None = None

    def refuse(self, path: str, message: str) -> object:
        """Note a fault, up to MAX_FAULTS; returns the mark that stands for the value."""
        self.report(path, message)
        self.doubt(path)
        return _FAULTY

    def report(self, path: str, message: str) -> None:
        """Note a fault that leaves the rest of the document as clear as before."""
        if not self.is_full:
            self.faults.append(Fault(path, message))

    def doubt(self, path: str) -> None:
        """Note that the value at this path is not known."""
        self.doubtful.add(without_indices(path))

    @property
    def is_full(self) -> bool:
        """Whether no further fault is noted."""
        return len(self.faults) >= MAX_FAULTS

    def fields_of(self, struct: type[Struct]) -> dict[str, structs.FieldInfo]:
        """Return the structure's fields by their names in the document."""
        if struct not in self.fields:
            self.fields[struct] = {info.encode_name: info for info in structs.fields(struct)}
        return self.fields[struct]


def decode(root: Value, wanted: type[S_co]) -> Decoded[S_co]:
    """Decode the document; a field at fault is as absent, so that rules can still look at the rest.

    null is as absent, and as annotation or label empty, as it is to Kubernetes; a quantity may be a number or text.
    """
    decoding = _Decoding(root=wanted)
    value = _struct(decoding, root, wanted, "")
    if decoding.is_full:
        return Decoded(
            value=None, faults=(*decoding.faults, Fault("", f"{MAX_FAULTS} faults, perhaps more; mend these first"))
        )
    return Decoded(
        value=value if isinstance(value, wanted) else None,
        faults=tuple(decoding.faults),
        doubtful=frozenset(decoding.doubtful),
    )


def _value(decoding: _Decoding, value: Value, wanted: object, path: str) -> object:
    """Decode a value that is not null to a type that the schema uses."""
    origin = get_origin(wanted)
    if origin in (Union, UnionType):
        (inner,) = (option for option in get_args(wanted) if option is not type(None))
        return _value(decoding, value, inner, path)
    if origin is Annotated:
        return _bounded(decoding, value, wanted, path)
    if origin is Literal:
        return _choice(decoding, value, get_args(wanted), path)
    if origin is tuple:
        return _items(decoding, value, get_args(wanted)[0], path)
    if origin is dict:
        return _mapping(decoding, value, get_args(wanted)[1], path)
    return _plain(decoding, value, wanted, path)


def _plain(decoding: _Decoding, value: Value, wanted: object, path: str) -> object:
    if wanted is object:
        return value
    if wanted is Quantity:
        return _quantity(decoding, value, path)
    if isinstance(wanted, type) and issubclass(wanted, StrEnum):
        return _enum(decoding, value, wanted, path)
    if isinstance(wanted, type) and issubclass(wanted, Struct):
        return _struct(decoding, value, wanted, path)
    if type(value) is wanted:
        return value
    quoted = "; put it in quotes" if wanted is str and isinstance(value, bool | int | float) else ""
    return decoding.refuse(path, f"{show(value)} is not {_SCALARS[wanted]}{quoted}")


def _bounded(decoding: _Decoding, value: Value, wanted: object, path: str) -> object:
    inner, meta = get_args(wanted)
    if not isinstance(meta, Meta) or type(value) is not inner or not isinstance(value, int):
        return decoding.refuse(path, f"{show(value)} is not {getattr(meta, 'description', 'an integer')}")
    if meta.ge is not None and value < meta.ge:
        return decoding.refuse(path, f"{value} is not {meta.description}")
    if meta.le is not None and value > meta.le:
        return decoding.refuse(path, f"{value} is more than {meta.le:.0f}")
    return value


def _choice(decoding: _Decoding, value: Value, choices: tuple[object, ...], path: str) -> object:
    if any(type(value) is type(choice) and value == choice for choice in choices):
        return value
    return decoding.refuse(path, f"{show(value)} is not {' or '.join(_bare(choice) for choice in choices)}")


def _bare(choice: object) -> str:
    return choice if isinstance(choice, str) else show(choice)


def _enum(decoding: _Decoding, value: Value, wanted: type[StrEnum], path: str) -> object:
    for choice in wanted:
        if choice.value == value:
            return choice
    return decoding.refuse(path, f"{show(value)} is not one of {', '.join(wanted)}")


def _quantity(decoding: _Decoding, value: Value, path: str) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return decoding.refuse(path, f"{show(value)} is not a quantity such as 4, 500m or 1.5Gi")
    try:
        return parse_quantity(value)
    except ValueError as error:
        return decoding.refuse(path, str(error))


def _items(decoding: _Decoding, value: Value, wanted: object, path: str) -> object:
    if not isinstance(value, list):
        return decoding.refuse(path, f"{show(value)} is not a list")
    items = [_item(decoding, inner, wanted, item(path, index)) for index, inner in enumerate(value)]
    if _FAULTY in items:
        # What is left would be counted wrongly.
        return ()
    return tuple(items)


def _item(decoding: _Decoding, value: Value, wanted: object, path: str) -> object:
    if value is None:
        return decoding.refuse(path, "null is not an item; leave it out")
    return _value(decoding, value, wanted, path)


def _mapping(decoding: _Decoding, value: Value, wanted: object, path: str) -> object:
    if not isinstance(value, dict):
        return decoding.refuse(path, f"{show(value)} is not a mapping")
    # An annotation or label that is null is there, and empty (apimachinery, NestedNullCoercingStringMap).
    given = {key: "" if inner is None and wanted is str else inner for key, inner in value.items()}
    entries = {
        key: _value(decoding, inner, wanted, child(path, key)) for key, inner in given.items() if inner is not None
    }
    return {key: inner for key, inner in entries.items() if inner is not _FAULTY}


def _struct(decoding: _Decoding, value: Value, wanted: type[Struct], path: str) -> object:
    if not isinstance(value, dict):
        return decoding.refuse(path, f"{show(value)} is not a mapping")
    fields = decoding.fields_of(wanted)
    values = {}
    for key, inner in value.items():
        if key not in fields:
            _refuse_unknown(decoding, wanted, key, inner, path)
        elif inner is not None and not (inner == "" and _may_be_empty(fields[key])):
            decoded = _value(decoding, inner, fields[key].type, child(path, key))
            if decoded is not _FAULTY:
                values[fields[key].name] = decoded
    return _built(decoding, wanted, values, value, path)


def _may_be_empty(info: structs.FieldInfo) -> bool:
    """Tell whether empty text is as absent in this field, as it is to Go, but for pointers."""
    return not info.required and info.encode_name not in _POINTERS and any(map(_is_text, _parts(info.type)))


def _parts(wanted: object) -> tuple[object, ...]:
    return get_args(wanted) if get_origin(wanted) in (Union, UnionType) else (wanted,)


def _is_text(wanted: object) -> bool:
    if get_origin(wanted) is Literal:
        return isinstance(get_args(wanted)[0], str)
    return isinstance(wanted, type) and issubclass(wanted, str)


def _built(
    decoding: _Decoding, wanted: type[Struct], values: Mapping[str, object], document: dict[str, Value], path: str
) -> object:
    """Build the structure unless a required field is missing or at fault."""
    required = [info for info in decoding.fields_of(wanted).values() if info.required and info.name not in values]
    for info in required:
        if document.get(info.encode_name) is None:
            decoding.refuse(child(path, info.encode_name), "missing")
    return _FAULTY if required else wanted(**values)


def _refuse_unknown(decoding: _Decoding, struct: type[Struct], key: str, value: Value, path: str) -> None:
    if decoding.is_full:
        return
    # The names of all of KubeVirt's fields are needed only by a manifest that is wrong.
    from launcher.vmi.kubevirt_fields import is_known, nearest_field  # noqa: PLC0415

    if is_known(struct.__name__, key):
        from launcher.vmi.advice import advice_for  # noqa: PLC0415 - likewise

        # Nothing is asked for by a field of KubeVirt that is null or an empty list: to Go it is as absent.
        if value not in (None, []):
            decoding.report(child(path, key), advice_for(struct.__name__, key))
        return
    supported = tuple(decoding.fields_of(struct))
    nearest = nearest_field(struct.__name__, key, supported)
    is_slip = nearest is not None and nearest.lower() == key.lower()
    if not is_slip and (places := _places_elsewhere(decoding, key)):
        decoding.report(child(path, key), f"no such field here; it belongs at {' or '.join(places)}")
        for place in places:
            decoding.doubt(place)
        return
    if nearest is None:
        decoding.report(child(path, key), f"no such field; {struct.__name__} has {', '.join(supported) or 'none'}")
        return
    decoding.report(child(path, key), f'no such field; did you mean "{nearest}"?')
    decoding.doubt(child(path, nearest))


def _places_elsewhere(decoding: _Decoding, key: str) -> tuple[str, ...]:
    """Return where the document's schema has a field of this name; only for a manifest that is wrong."""
    from launcher.vmi.advice import places_of  # noqa: PLC0415 - likewise

    return () if decoding.root is None else places_of(decoding.root, key)
