"""One run of a node: what it is to do, and the disc that tells it, with the checkout as it stands."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.beside import ALONE, BeginBeside, Beside
from hack.nodes.commands import CHECKOUT, run
from hack.nodes.discs import compile_folder, make_disc
from hack.nodes.machine import Disc
from hack.nodes.release import Release
from hack.nodes.root import CACHE, GUEST
from hack.nodes.shapes import Shape

_STAGE = CACHE / "checkout"
_GUEST_FILES = ("vmlinuz", "initramfs", "stamp")


def _nothing(_folder: Path) -> AbstractContextManager[Beside]:
    return nullcontext(ALONE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What one node is to do: a command within a limit, or, without a limit, what a person at its console wants.

    `before` is a program of the checkout that is run first, within the same limit; `beside` begins what the node needs
    on this machine.
    """

    shape: Shape
    release: Release
    command: tuple[str, ...]
    limit_s: int | None
    discs: tuple[Disc, ...] = ()
    before: str = ""
    beside: BeginBeside = _nothing


def make_job(job: Job, python: tuple[str, ...], disc: Path) -> None:
    """Make the disc of one run: its settings, its command, the node's init, and the checkout as it stands now."""
    _stage_checkout()
    compile_folder(_STAGE, python)
    with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
        folder = Path(work) / "job"
        shutil.copytree(_STAGE, folder / "checkout", copy_function=os.link, symlinks=True)
        (folder / "job").write_text(job_text(job))
        (folder / "command").write_text(command_text(job))
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
        "BEFORE": job.before,
    }
    return "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())


def command_text(job: Job) -> str:
    """Return the shell's command line of a run."""
    before = f"{shlex.quote(job.before)} && " if job.before else ""
    return f"{before}{shlex.join(job.command)}\n"


def _stage_checkout() -> None:
    """Bring the staged copy up to date: what git knows or would take, as it stands, and the demo guest."""
    _STAGE.mkdir(parents=True, exist_ok=True)
    wanted = tuple(_checkout_files())
    for path in wanted:
        _update(CHECKOUT / path, _STAGE / path)
    for staged in tuple(_STAGE.rglob("*")):
        is_folder = staged.is_dir() and not staged.is_symlink()
        if not is_folder and "__pycache__" not in staged.parts and staged.relative_to(_STAGE) not in wanted:
            staged.unlink()


def _checkout_files() -> Iterator[Path]:
    # git refuses the checkout of another user, unless it is told otherwise: root may well run this.
    git = ("git", "-c", f"safe.directory={CHECKOUT}")
    listed = run(*git, "ls-files", "-z", "--cached", "--others", "--exclude-standard").decode()
    for name in sorted(set(filter(None, listed.split("\0")))):
        # A link to a folder is one of git's files, too.
        if (CHECKOUT / name).is_file() or (CHECKOUT / name).is_symlink():
            yield Path(name)
    yield from (GUEST.relative_to(CHECKOUT) / name for name in ("vmlinuz", "initramfs", "stamp"))


def _update(source: Path, target: Path) -> None:
    """Copy a file, or a link as a link, where it is another one than the copy, by size and time."""
    if os.path.lexists(target) and _look(target) == _look(source):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    # A copy that is linked elsewhere stays as it is there.
    target.unlink(missing_ok=True)
    shutil.copy2(source, target, follow_symlinks=False)


def _look(path: Path) -> tuple[int, int, int]:
    found = path.lstat()
    return found.st_mode, found.st_size, found.st_mtime_ns
