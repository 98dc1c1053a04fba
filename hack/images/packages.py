"""The launcher and the Python packages that it imports, as layers."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.images.errors import ImageError
from hack.images.layers import EPOCH, Entry, folder_entries, write_layer

_CHECKOUT = Path(__file__).parents[2]
_VENV = _CHECKOUT / ".venv"
_LOCKED = _CHECKOUT / "hack/locked/run.txt"
_BUILD = _CHECKOUT / "hack/locked/build.txt"
# Nothing of the environment and no folder of the caller's decides which modules are loaded (-I).
_PROGRAM = b"""#!/usr/bin/python3 -I
from launcher.entry import command

command()
"""


def dependencies_key() -> str:
    """Return what tells one set of dependencies from another: what is locked, what builds it, and its Python."""
    return hashlib.sha256(_site().encode() + _BUILD.read_bytes() + _LOCKED.read_bytes()).hexdigest()


def write_dependencies(path: Path) -> None:
    """Write the layer of what the launcher imports, as it is locked, which is what the virtual environment has."""
    with TemporaryDirectory(dir=path.parent) as folder:
        wheels, site = Path(folder, "wheels"), Path(folder, "site")
        _wheel(wheels, "--require-hashes", "--requirement", str(_LOCKED))
        _install(wheels, site)
        write_layer(path, folder_entries(site, _site()))


def write_launcher(path: Path) -> None:
    """Write the layer of the launcher, installed from its own wheel, its program, and folders for mounts."""
    with TemporaryDirectory(dir=path.parent) as folder:
        wheels, site, source = Path(folder, "wheels"), Path(folder, "site"), Path(folder, "source")
        # A copy: what setuptools left in the checkout at an earlier build would go into the wheel, too.
        for file in _sources():
            copy = source / file.relative_to(_CHECKOUT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, copy)
        _wheel(wheels, "--no-deps", str(source))
        _install(wheels, site)
        program = Entry(path="usr/local/bin/virt-launcher", mode=0o755, data=_PROGRAM)
        write_layer(path, (Entry(path="dev", mode=0o755), program, *folder_entries(site, _site())))


def launcher_key() -> str:
    """Return what tells one launcher from another: every file that goes into its wheel, and how that is done."""
    text = hashlib.sha256(_site().encode())
    for path in (*_sources(), Path(__file__)):
        text.update(f"{path.relative_to(_CHECKOUT)}\0".encode() + path.read_bytes())
    return text.hexdigest()


def _sources() -> tuple[Path, ...]:
    """Return the files of the checkout that a wheel is made of."""
    tops = (_CHECKOUT / "launcher", _CHECKOUT / "launcher/templates")
    # What lies below a link is found from the link only, whatever Python's release.
    found = {path for top in tops for path in top.rglob("*")}
    files = sorted(path for path in found if path.is_file() and "__pycache__" not in path.parts)
    return (*files, *(_CHECKOUT / name for name in ("setup.cfg", "pyproject.toml", "README.md")))


def _site() -> str:
    """Return where Debian's Python, of the same version as the environment's, looks for what was installed by hand."""
    found = sorted(_VENV.glob("lib/python3.*"))
    if not found:
        raise ImageError(f"{_VENV} is not there: `make venv` makes it")
    return f"usr/local/lib/{found[0].name}/dist-packages"


def _wheel(wheels: Path, *what: str) -> None:
    """Make wheels; what builds them is the environment's, which is locked, and not what is newest today."""
    _pip("wheel", "--no-build-isolation", "--wheel-dir", str(wheels), *what)


def _install(wheels: Path, site: Path) -> None:
    """Unpack the wheels, without what is of this machine, and compile them to byte code that names its final place."""
    _pip("install", "--no-deps", "--no-index", "--no-compile", "--target", str(site), *map(str, wheels.glob("*.whl")))
    shutil.rmtree(site / "bin", ignore_errors=True)
    for stray in (*site.glob("*.dist-info/direct_url.json"), *site.glob("*.dist-info/RECORD")):
        stray.unlink()
    compiling = ("-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash")
    _python(*compiling, "-s", str(site), "-p", f"/{_site()}", str(site))


def _pip(*arguments: str) -> str:
    return _python("-m", "pip", "--quiet", "--disable-pip-version-check", *arguments)


def _python(*arguments: str) -> str:
    """Run the virtual environment's Python and return its output; raises ImageError with what it was to do."""
    environment = {**os.environ, "PYTHONHASHSEED": "0", "SOURCE_DATE_EPOCH": str(EPOCH)}
    environment.pop("PYTHONPATH", None)
    result = subprocess.run(
        [_VENV / "bin/python", *arguments], check=False, stdout=subprocess.PIPE, env=environment, text=True
    )
    if result.returncode != 0:
        raise ImageError(f"python {' '.join(arguments)[:80]} failed (status {result.returncode}); its reason is above")
    return result.stdout
