"""Writes plain values as YAML that kubectl and this program read back as the same values."""

from __future__ import annotations

import yaml

from launcher.vmi.manifest import Value
from launcher.vmi.yamltree import plain_scalar


class _Dumper(yaml.SafeDumper):
    """PyYAML quotes what YAML 1.1 would not read as text; kubectl reads some more as numbers and booleans."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's own signature
        """Write a value again where it stands twice: an alias is harder to read."""
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=_style(text))


def _style(text: str) -> str | None:
    """Return lines as lines, words as they are, and what a reader might take otherwise in quotes, escaped."""
    if not text.replace("\n", "").isprintable():
        return '"'
    if "\n" in text:
        return "|"
    return None if plain_scalar(text) == text else '"'


_Dumper.add_representer(str, _text)


def to_yaml(value: Value) -> str:
    """Return the value as one YAML document in block style, keys in their order, long lines left whole."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, indent=2)
