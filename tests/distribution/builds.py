"""What is given away, built of the checkout as it stands: the sdist, a wheel of it, and a wheel of the tree itself."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.qemu.guests import CHECKOUT

# As pip calls it (PEP 517), with the setuptools of this environment: nothing is fetched.
_BUILD = "import sys; from setuptools import build_meta; getattr(build_meta, sys.argv[1])(sys.argv[2])"


@dataclass(frozen=True, slots=True, kw_only=True)
class Builds:
    """The three files."""

    sdist: Path
    wheel: Path
    wheel_of_sdist: Path


def build_all(folder: Path) -> Builds:
    """Build the three in the folder, of a copy of the checkout: setuptools takes what an earlier build left."""
    tree = folder / "tree"
    for name in _checkout_files():
        target = tree / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(CHECKOUT / name, target, follow_symlinks=False)
    sdist = _build("build_sdist", tree, folder / "sdist")
    subprocess.run(["tar", "-xf", sdist, "-C", folder], check=True)
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    return Builds(
        sdist=sdist,
        wheel=_build("build_wheel", tree, folder / "wheel"),
        wheel_of_sdist=_build("build_wheel", unpacked, folder / "wheel-of-sdist"),
    )


def contents(wheel: Path) -> dict[str, bytes]:
    """Return every file of a wheel but RECORD, which lists the others."""
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith(".dist-info/RECORD")}


def _checkout_files() -> list[str]:
    git = ["git", "-c", f"safe.directory={CHECKOUT}", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(git, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    names = set(filter(None, listed.split("\0")))
    return sorted(name for name in names if (CHECKOUT / name).exists())


def _build(what: str, tree: Path, out: Path) -> Path:
    out.mkdir()
    command = [sys.executable, "-c", _BUILD, what, str(out)]
    ended = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    (built,) = out.iterdir()
    return built
