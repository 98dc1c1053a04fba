"""Field paths such as `spec.domain.devices.disks[2].name`, and values as a message shows them."""

from __future__ import annotations

import re

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}", re.ASCII)
_INDEX = re.compile(r"\[\d+\]", re.ASCII)
_SHOWN_LENGTH = 60


def child(path: str, key: str) -> str:
    """Return the path of a key below `path`; what is not a short plain word is quoted: annotations['a.b/c']."""
    if not _PLAIN_KEY.fullmatch(key):
        return f"{path}[{show(key)}]"
    return f"{path}.{key}" if path else key


def item(path: str, index: int) -> str:
    """Return the path of a list's item, counted from 0."""
    return f"{path}[{index}]"


def parent(path: str) -> str:
    """Return the path with its last step cut off; "" for the document and for its fields."""
    return path[: max(path.rfind("."), path.rfind("["), 0)]


def without_indices(path: str) -> str:
    """Return the path with every index left out: "disks[].name"."""
    return _INDEX.sub("[]", path)


def are_related(path: str, other: str) -> bool:
    """Tell whether one of these paths is the other or lies below it."""
    short, long = sorted((path, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def show(value: object) -> str:
    """Return a value as one short printable line: text quoted and escaped, a mapping or a list by its kind."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str() if len(value) > _SHOWN_LENGTH:
            return f"{value[: _SHOWN_LENGTH - 3]!r}..."
        case _:
            return repr(value)
