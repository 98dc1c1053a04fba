"""The Debian releases that a node comes in, and where this machine's apt has the packages of each."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.errors import NodeError


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One release: its number, the name that apt knows it by, and its Python."""

    number: str
    codename: str
    python: str


RELEASES = (
    Release(number="12", codename="bookworm", python="3.11"),
    Release(number="13", codename="trixie", python="3.13"),
)


def release_numbered(number: str | None) -> Release:
    """Return a release by its number; without one that of this machine."""
    wanted = own_number() if number is None else number
    for release in RELEASES:
        if release.number == wanted:
            return release
    raise NodeError(
        f"a node is Debian {' or '.join(release.number for release in RELEASES)}, not {wanted}: --debian says which"
    )


def own_number() -> str:
    """Return the number of this machine's release; what it is where it is no Debian."""
    found = platform.freedesktop_os_release()
    return found.get("VERSION_ID", "none") if found.get("ID") == "debian" else found.get("PRETTY_NAME", "none")


def own_codename() -> str:
    """Return the name that this machine's apt knows its release by."""
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    if codename is None:
        raise NodeError("/etc/os-release names no VERSION_CODENAME: the node is made of a Debian machine's packages")
    return codename


def write_sources(release: Release, root: Path, own: str, folder: Path) -> tuple[Path, ...]:
    """Return files with apt's sources for a release (sources.list(5)), those of this machine's apt where it is its own.

    For another release they are written into `folder`: the same archives of Debian's, with the other release's suites.
    """
    files = apt_sources(root)
    if release.codename == own:
        return files
    written = []
    for file in files:
        text = (_other_stanzas if file.suffix == ".sources" else _other_lines)(file.read_text(), own, release.codename)
        if text:
            written.append(folder / file.name)
            written[-1].write_text(text)
    if not written:
        raise NodeError(f"this machine's apt has no sources of {own} that could be {release.codename}'s")
    return tuple(written)


def apt_sources(root: Path) -> tuple[Path, ...]:
    """Return the files in which apt's sources are written (sources.list(5))."""
    folder = root / "etc/apt"
    listed = sorted((*folder.glob("sources.list.d/*.list"), *folder.glob("sources.list.d/*.sources")))
    files = (folder / "sources.list", *listed)
    found = tuple(file for file in files if file.exists() and file.read_text().strip())
    if not found:
        raise NodeError("this machine's apt has no sources: the node is made of Debian's packages")
    return found


def _other_lines(text: str, own: str, other: str) -> str:
    """Return the lines that name Debian's own suites, with those of another release."""
    line = re.compile(rf"^(deb\s+(?:\[[^\]]*\]\s+)?\S+\s+){own}((?:-updates|-security)?\s(?:.*\s)?main(?:\s.*)?)$")
    found = (line.match(one.strip()) for one in text.splitlines())
    return "".join(f"{match[1]}{other}{match[2]}\n" for match in found if match)


def _other_stanzas(text: str, own: str, other: str) -> str:
    """Return the stanzas that name Debian's own suites, with those of another release."""
    suites = re.compile(rf"^(Suites:(?:\s+{own}(?:-updates|-security)?)+)\s*$", re.MULTILINE)
    stanzas = (
        stanza for stanza in re.split(r"\n\s*\n", text) if re.search(r"^Components:.*\bmain\b", stanza, re.MULTILINE)
    )
    kept = (stanza.strip() for stanza in stanzas if suites.search(stanza))
    return "\n".join(suites.sub(lambda match: re.sub(rf"\b{own}\b", other, match[1]), stanza) + "\n" for stanza in kept)
