"""A manifest as plain values, before any schema: what the reader gives and decoding takes."""

from __future__ import annotations

from typing import TypeAlias

from msgspec import Struct

Value: TypeAlias = "bool | int | float | str | list[Value] | dict[str, Value] | None"


class Document(Struct, frozen=True, kw_only=True):
    """One manifest and where it was read; `root` is its top-level mapping."""

    source: str
    root: dict[str, Value]
