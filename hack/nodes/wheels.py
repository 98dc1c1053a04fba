"""The node's /usr/local as a disc: what is locked, as it is for the node's Python, and virt-launcher as a command."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hack.nodes.commands import CHECKOUT, digest, remove_others, run
from hack.nodes.discs import compile_folder, make_disc
from hack.nodes.errors import NodeError
from hack.nodes.release import Release
from hack.nodes.root import CACHE

_LOCKED = CHECKOUT / "hack/locked/development.txt"
_VENV = CHECKOUT / ".venv"
# Tools that check code, and the planner's judge with what it draws in: no test runs them on a node, and they are most
# of it. libvirt's binding there is Debian's.
_UNWANTED = re.compile(
    r"(mypy|mypy-extensions|librt|ast-serialize|ruff|setuptools|types-.*|.*-stubs|libvirt-python"
    r"|ortools|numpy|pandas|protobuf|absl-py|immutabledict|python-dateutil|six|tzdata|pytz)=="
)
# What wheels for Linux may be made for: every C library from 2014's (PEP 600) to that of Debian 12.
_PLATFORMS = ("manylinux2014_x86_64", *(f"manylinux_2_{minor}_x86_64" for minor in range(17, 37)))
_COMMAND = """#!/usr/bin/python3
import sys

from launcher.entry import command

sys.exit(command())
"""
# Where the checkout lies on the node.
NODE_CHECKOUT = "/node/checkout"


def build_site(release: Release, python: tuple[str, ...]) -> Path:
    """Return the disc that is the node's /usr/local, made anew where other packages are locked."""
    disc = CACHE / f"site-{release.number}-{digest(_LOCKED.read_bytes(), Path(__file__).read_bytes())}.ext4"
    if not disc.exists():
        with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
            _lay_out_site(release, Path(work) / "site", python)
            make_disc(Path(work) / "site", Path(work) / "disc", "256M")
            (Path(work) / "disc").rename(disc)
        remove_others(disc, CACHE.glob(f"site-{release.number}-*"))
    return disc


def wanted_lines(locked: str) -> str:
    """Return what a node needs of a lock: each package with its hashes, without those that nothing runs there."""
    packages = re.split(r"\n(?=\S)", locked)
    return "".join(f"{package}\n" for package in packages if not _UNWANTED.match(package))


def _lay_out_site(release: Release, site: Path, python: tuple[str, ...]) -> None:
    target = site / f"lib/python{release.python}/dist-packages"
    _install(release, target)
    (target / "checkout.pth").write_text(f"{NODE_CHECKOUT}\n")
    (site / "bin").mkdir()
    command = site / "bin/virt-launcher"
    command.write_text(_COMMAND)
    command.chmod(0o755)
    compile_folder(target, python)


def _install(release: Release, target: Path) -> None:
    """Unpack the wheels for the node's Python, whatever this machine's is; nothing is built."""
    pip = _VENV / "bin/pip"
    if not pip.exists():
        raise NodeError(f"{_VENV} is not there: `make venv` makes it")
    target.parent.mkdir(parents=True)
    requirements = target.parent / "requirements"
    requirements.write_text(wanted_lines(_LOCKED.read_text()))
    platforms = (f"--platform={platform}" for platform in _PLATFORMS)
    run(
        *(pip, "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--require-hashes"),
        *("--only-binary=:all:", f"--python-version={release.python}", "--implementation=cp", *platforms),
        *("--requirement", requirements, "--target", target),
    )
    requirements.unlink()
