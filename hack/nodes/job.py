"""One run of a node: what it is to do, and the disc that tells it, with the checkout as it stands."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.commands import CHECKOUT, run
from hack.nodes.discs import compile_folder, make_disc
from hack.nodes.machine import Disc
from hack.nodes.root import CACHE, GUEST
from hack.nodes.shapes import Shape

_STAGE = CACHE / "checkout"
_GUEST_FILES = ("vmlinuz", "initramfs", "stamp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one node is to do: a command within a limit, or, without a limit, what a person at its console wants."""

    shape: Shape
    command: tuple[str, ...]
    limit_s: int | None
    discs: tuple[Disc, ...] = ()


def make_job(job: Job, disc: Path) -> None:
    """Make the disc of one run: its settings, its command, the node's init, and the checkout as it stands now."""
    _stage_checkout()
    with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
        folder = Path(work) / "job"
        shutil.copytree(_STAGE, folder / "checkout", copy_function=os.link, symlinks=True)
        (folder / "job").write_text(job_text(job))
        (folder / "command").write_text(shlex.join(job.command) + "\n")
        shutil.copy(CHECKOUT / "hack/node-init", folder / "init")
        make_disc(folder, disc, "1G")


def job_text(job: Job) -> str:
    """Return the settings of a run as the node's init reads them: a shell's assignments."""
    settings = {
        "SHAPE": job.shape.name,
        "LIMIT": "none" if job.limit_s is None else str(job.limit_s),
        "MODULES": " ".join(job.shape.modules),
        "OFFLINE": " ".join(str(cpu) for cpu in sorted(job.shape.offline_cpus)),
        "DISCS": " ".join(disc.name for disc in job.discs),
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def _stage_checkout() -> None:
    """Bring the staged copy up to date: what git knows or would take, as it stands, the demo guest, and byte code."""
    _STAGE.mkdir(parents=True, exist_ok=True)
    wanted = tuple(_checkout_files())
    for path in wanted:
        _update(CHECKOUT / path, _STAGE / path)
    for staged in tuple(path for path in _STAGE.rglob("*") if not path.is_dir() and "__pycache__" not in path.parts):
        if staged.relative_to(_STAGE) not in wanted:
            staged.unlink()
    compile_folder(_STAGE)


def _checkout_files() -> Iterator[Path]:
    # git refuses the checkout of another user, unless it is told otherwise: root may well run this.
    git = ("git", "-c", f"safe.directory={CHECKOUT}")
    listed = run(*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
    for name in sorted(set(filter(None, listed.split("\0")))):
        if (CHECKOUT / name).is_file():
            yield Path(name)
    yield from (GUEST.relative_to(CHECKOUT) / name for name in ("vmlinuz", "initramfs", "stamp"))


def _update(source: Path, target: Path) -> None:
    """Copy a file, where it is another one than the copy, by size and time."""
    now = source.stat()
    if target.exists() and (target.stat().st_size, target.stat().st_mtime_ns) == (now.st_size, now.st_mtime_ns):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # A copy that is linked elsewhere stays as it is there.
    target.unlink(missing_ok=True)
    shutil.copy2(source, target)
