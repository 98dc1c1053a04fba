"""The Debian release of a node: chosen by its number, its packages from this machine's own archives."""

from __future__ import annotations

from pathlib import Path

import pytest

from hack.nodes.errors import NodeError
from hack.nodes.release import RELEASES, release_numbered, write_sources
from hack.nodes.wheels import wanted_lines
from tests.qemu.guests import CHECKOUT

BOOKWORM, TRIXIE = RELEASES

STANZAS = """\
Types: deb
# a comment
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.test/debian-security
Suites: bookworm-security
Components: main contrib

Types: deb
URIs: http://other.test/bookworm
Suites: bookworm-pgdg
Components: main

Types: deb
URIs: http://other.test/docker
Suites: bookworm
Components: stable
"""

LINES = """\
deb http://mirror.test/debian bookworm main
deb [signed-by=/k.gpg arch=amd64] http://mirror.test/bookworm bookworm-updates contrib main # why
deb-src http://mirror.test/debian bookworm main
deb http://mirror.test/debian-security bookworm-security main
deb http://other.test/sdk cloud-sdk-bookworm main
deb http://other.test/docker bookworm stable
#deb http://mirror.test/debian bookworm main
"""


def machine(root: Path, files: dict[str, str]) -> Path:
    """Write a machine's apt sources."""
    for name, text in files.items():
        path = root / "etc/apt" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_a_release_is_known_by_its_number() -> None:
    assert [release_numbered(number).codename for number in ("12", "13")] == ["bookworm", "trixie"]


def test_another_release_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(NodeError, match=r"^a node is Debian 12 or 13, not 11: --debian says which$"):
        release_numbered("11")


def test_the_machines_own_release_has_all_of_its_sources(tmp_path: Path) -> None:
    root = machine(
        tmp_path, {"sources.list": LINES, "sources.list.d/debian.sources": STANZAS, "sources.list.d/x.bak": "?"}
    )
    found = write_sources(BOOKWORM, root, "bookworm", tmp_path)
    assert found == (root / "etc/apt/sources.list", root / "etc/apt/sources.list.d/debian.sources")


def test_another_release_has_debians_own_archives_with_its_suites(tmp_path: Path) -> None:
    root = machine(tmp_path, {"sources.list": LINES, "sources.list.d/debian.sources": STANZAS})
    lines, stanzas = write_sources(TRIXIE, root, "bookworm", tmp_path)
    assert lines.read_text().splitlines() == [
        "deb http://mirror.test/debian trixie main",
        "deb [signed-by=/k.gpg arch=amd64] http://mirror.test/bookworm trixie-updates contrib main # why",
        "deb http://mirror.test/debian-security trixie-security main",
    ]
    assert [stanza.splitlines() for stanza in stanzas.read_text().split("\n\n")] == [
        [
            *("Types: deb", "# a comment", "URIs: http://mirror.test/debian", "Suites: trixie trixie-updates"),
            *("Components: main", "Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg"),
        ],
        [
            "Types: deb",
            "URIs: http://mirror.test/debian-security",
            "Suites: trixie-security",
            "Components: main contrib",
        ],
    ]


def test_a_machine_without_archives_of_debians_is_told(tmp_path: Path) -> None:
    root = machine(tmp_path, {"sources.list": "deb http://other.test/debian sid main\n"})
    with pytest.raises(NodeError, match=r"^this machine's apt has no sources of bookworm that could be trixie's$"):
        write_sources(TRIXIE, root, "bookworm", tmp_path)


def test_a_node_has_what_is_locked_but_for_what_checks_code_and_what_debian_has() -> None:
    wanted = wanted_lines((CHECKOUT / "hack/locked/development.txt").read_text())
    names = {line.partition("==")[0] for line in wanted.splitlines() if "==" in line}
    assert {"lxml", "msgspec", "psutil", "pytest", "pytest-timeout", "pyyaml", "rich"} <= names
    assert names.isdisjoint({"mypy", "ruff", "libvirt-python", "setuptools", "types-psutil", "lxml-stubs"})
    assert wanted.count("--hash=sha256:") > len(names)
