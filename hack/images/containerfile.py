"""The Containerfile, read as far as this project's goes: what is added to an empty image, and the image's settings."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from hack.images.errors import ImageError

Settings = dict[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """The archives that make up the layers, in order, and the image's `config` (OCI image-spec, config.md)."""

    archives: tuple[str, ...]
    settings: Settings


def parse_containerfile(text: str) -> Recipe:
    """Return the recipe; raises ImageError for an instruction that is not known here, with its line."""
    archives: list[str] = []
    settings: Settings = {}
    for number, name, rest in _instructions(text):
        try:
            _follow(name, rest, archives, settings)
        except (ValueError, KeyError):
            raise ImageError(f"Containerfile, line {number}: cannot take {name} {rest[:60]!r}") from None
    return Recipe(archives=tuple(archives), settings=settings)


def _instructions(text: str) -> Iterator[tuple[int, str, str]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line and not line.startswith("#"):
            name, _space, rest = line.partition(" ")
            yield number, name, rest


def _follow(name: str, rest: str, archives: list[str], settings: Settings) -> None:
    """Take up one instruction; raises ValueError or KeyError where it is another than those used here."""
    match name:
        case "FROM" if rest == "scratch":
            pass
        case "ADD":
            archive, _target = rest.split(" ")
            archives.append(archive)
        case "ENV":
            settings["Env"] = shlex.split(rest)
        case "LABEL":
            settings["Labels"] = dict(word.split("=", 1) for word in shlex.split(rest))
        case "VOLUME":
            settings["Volumes"] = {rest: {}}
        case "ENTRYPOINT" | "CMD":
            settings[name.capitalize()] = _words(rest)
        case _:
            settings[_TEXTS[name]] = rest


# The instructions whose one word is taken as it is.
_TEXTS = {"USER": "User", "WORKDIR": "WorkingDir", "STOPSIGNAL": "StopSignal"}


def _words(text: str) -> list[str]:
    words = json.loads(text)
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(text)
    return words
