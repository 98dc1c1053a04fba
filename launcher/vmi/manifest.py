"""A manifest as plain values, before any schema: what the reader gives and decoding takes."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"

# The namespace of an object that names none.
DEFAULT_NAMESPACE = "default"


class Choice(Struct, frozen=True, kw_only=True):
    """What a person says beside a manifest: which machine of it, and the files of its instancetype and preference."""

    name: str | None = None
    instancetype: str | None = None
    preference: str | None = None


class Companion(Struct, frozen=True, kw_only=True):
    """An object that came with the machine, which may name it; `given_as` is the option whose file it is of."""

    source: str
    root: dict[str, Value]
    given_as: str = ""

    @property
    def kind(self) -> str:
        """Its kind, such as Secret; "" where it has none."""
        return text_at(self.root, "kind")

    @property
    def name(self) -> str:
        """Its name, "" where it has none."""
        return name_of(self.root)

    @property
    def namespace(self) -> str:
        """The namespace that it names; "" where it names none."""
        return text_at(self.root, "metadata", "namespace")


class Document(Struct, frozen=True, kw_only=True):
    """One manifest and where it was read; `root` is its top-level mapping, `companions` what came with it."""

    source: str
    root: dict[str, Value]
    companions: tuple[Companion, ...] = ()


def mapping_at(value: Value, *keys: str) -> dict[str, Value]:
    """Return the mapping below these keys; an empty one where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def text_at(root: Value, *keys: str) -> str:
    """Return the text below these keys; "" where there is none."""
    *above, last = keys
    value = mapping_at(root, *above).get(last)
    return value if isinstance(value, str) else ""


def name_of(root: Value) -> str:
    """Return the name of an object: the one that it has, else the one that stands for its generateName."""
    return text_at(root, "metadata", "name") or generated_name(text_at(root, "metadata", "generateName"))


def generated_name(prefix: str) -> str:
    """Return the name that stands for a generateName: without the dash that it ends with.

    The API server would add five characters that nobody knows before; this name is the same at each start, so that the
    guest is found again.
    """
    return prefix.rstrip("-.")
