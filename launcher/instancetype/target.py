"""The machine that an instancetype and a preference are applied to: a copy of its plain values, changed in place.

Null is as absent. Where something else stands than what belongs there nothing is written: decoding tells of it.
"""

from __future__ import annotations

from msgspec import Struct

from launcher.vmi.fieldpath import child
from launcher.vmi.manifest import Value, mapping_at


class Target(Struct, kw_only=True):
    """A machine's spec and metadata of its instance; `path` is the spec's, `metadata_path` the metadata's."""

    spec: dict[str, Value]
    metadata: dict[str, Value]
    path: str
    metadata_path: str

    def path_of(self, *keys: str) -> str:
        """Return the path in the manifest of a field below the spec."""
        path = self.path
        for key in keys:
            path = child(path, key)
        return path

    def get(self, *keys: str) -> Value:
        """Return the value below the spec; None where there is none."""
        *above, last = keys
        return mapping_at(self.spec, *above).get(last)

    def has(self, *keys: str) -> bool:
        """Tell whether there is a value below the spec, whatever it is."""
        return self.get(*keys) is not None

    def set(self, value: Value, *keys: str) -> None:
        """Write a value below the spec, with the mappings on the way to it."""
        *above, last = keys
        place = below(self.spec, *above)
        if place is not None:
            place[last] = copied(value)

    def prefer(self, value: Value, *keys: str) -> None:
        """Write a value below the spec where there is none."""
        if value is not None and not self.has(*keys):
            self.set(value, *keys)

    def items(self, *keys: str) -> list[dict[str, Value]]:
        """Return the mappings of a list below the spec."""
        listed = self.get(*keys)
        return [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []


def below(place: dict[str, Value], *keys: str) -> dict[str, Value] | None:
    """Return the mapping below these keys, made where it is not there; None where something else is there."""
    for key in keys:
        if place.get(key) is None:
            place[key] = {}
        inner = place[key]
        if not isinstance(inner, dict):
            return None
        place = inner
    return place


def copied(value: Value) -> Value:
    """Return a copy in which nothing is shared: what YAML says once for two places is two values here."""
    if isinstance(value, dict):
        return {key: copied(inner) for key, inner in value.items()}
    return [copied(inner) for inner in value] if isinstance(value, list) else value
