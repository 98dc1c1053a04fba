"""The node's /usr/local as a disc: the packages of the virtual environment, and virt-launcher as a command."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hack.nodes.commands import CHECKOUT, digest, remove_others
from hack.nodes.discs import compile_folder, make_disc
from hack.nodes.errors import NodeError
from hack.nodes.root import CACHE

_VENV = CHECKOUT / ".venv"
# Tools that check code, and what made the environment: no test runs them, and they are more than half of it.
_UNWANTED = (
    *("mypy*", "*__mypyc*", "ruff*", "pip", "pip-*", "setuptools*", "pkg_resources", "_distutils_hack"),
    *("types_*", "*-stubs", "lxml_stubs*", "*.pth", "__editable__*", "virt_launcher-*"),
)
_COMMAND = """#!/usr/bin/python3
import sys

from launcher.cli import command

sys.exit(command())
"""
# Where the checkout lies on the node.
NODE_CHECKOUT = "/node/checkout"


def build_site() -> Path:
    """Return the disc that is the node's /usr/local, made anew where the virtual environment holds other packages."""
    packages = _site_packages()
    names = "\n".join(sorted(path.name for path in packages.iterdir()))
    disc = CACHE / f"site-{digest(names.encode(), Path(__file__).read_bytes())}.ext4"
    if not disc.exists():
        with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
            _lay_out_site(packages, Path(work) / "site")
            make_disc(Path(work) / "site", Path(work) / "disc", "256M")
            (Path(work) / "disc").rename(disc)
        remove_others(disc, CACHE.glob("site-*"))
    return disc


def _site_packages() -> Path:
    """Return the folder of the environment's packages, which must be those of the node's own Python."""
    found = sorted(_VENV.glob("lib/python3.*/site-packages"))
    if not found:
        raise NodeError(f"{_VENV} has no packages: `make venv` makes it")
    return found[0]


def _lay_out_site(packages: Path, site: Path) -> None:
    target = site / "lib" / packages.parent.name / "dist-packages"
    shutil.copytree(packages, target, ignore=shutil.ignore_patterns(*_UNWANTED), symlinks=True)
    (target / "checkout.pth").write_text(f"{NODE_CHECKOUT}\n")
    (site / "bin").mkdir()
    command = site / "bin/virt-launcher"
    command.write_text(_COMMAND)
    command.chmod(0o755)
    compile_folder(target)
