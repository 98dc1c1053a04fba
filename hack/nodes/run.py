"""From a job to its end: what it boots from is built, its node is run, and what it left is brought home."""

from __future__ import annotations

import fcntl
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

from hack.nodes.boot import AROUND_S, boot, console_end, killed_in_the_end, killed_when, start_qemu
from hack.nodes.commands import last_lines, run
from hack.nodes.errors import EmulatorAtFault, NodeError
from hack.nodes.folders import remove_forsaken, run_folder
from hack.nodes.initramfs import build_initramfs
from hack.nodes.job import Job, make_job
from hack.nodes.machine import Disc, Kernel, console_arguments, node_arguments
from hack.nodes.release import Release
from hack.nodes.root import CACHE, build_root, python_command
from hack.nodes.wheels import build_site

# The most that a run may bring home; what is not used takes no space.
_RESULTS_BYTES = 1 << 30
# The logs of what runs beside a node, next to those of the parts on it (hack/kubernetes/node-up).
_BESIDE = "kubernetes"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Prepared:
    """What a node boots from, and a folder for this run alone."""

    kernel: Kernel
    discs: tuple[Disc, ...]
    work: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What all nodes of a release boot from, and the words that run its Python here."""

    kernel: Kernel
    discs: tuple[Disc, ...]
    python: tuple[str, ...]


def build(release: Release) -> Built:
    """Return what all nodes of a release boot from, built where it is missing; builds of one checkout wait."""
    with _locked():
        root = build_root(release)
        python = python_command(root)
        site = build_site(release, python)
        return Built(
            kernel=Kernel(image=root.kernel, initramfs=build_initramfs(release, root.modules)),
            discs=(Disc(name="root", file=root.image), Disc(name="site", file=site)),
            python=python,
        )


def run_job(job: Job, results: Path | None) -> int:
    """Run a job to its end and return its command's status; what it left comes to `results`, whatever its end was."""
    with _prepared(job) as prepared:
        try:
            return _run_at_most_twice(job, prepared, results)
        except NodeError:
            print(*console_end(prepared.work), sep="\n", file=sys.stderr)
            raise
        finally:
            if results is not None:
                _keep(prepared.work, results)


def attach_console(job: Job) -> int:
    """Boot a node whose serial console is this terminal, and return once it is switched off."""
    with _prepared(job) as prepared:
        _say(f"{job.shape.name}, Debian {job.release.number}, boots; the end of its shell ends it, Ctrl-A X kills it")
        with job.beside(prepared.work / _BESIDE) as beside, (prepared.work / "qemu").open("wb") as log:
            arguments = console_arguments(job.shape, prepared.kernel, prepared.discs, beside.arguments)
            qemu = start_qemu(arguments, beside, stderr=log)
            with killed_in_the_end(qemu), killed_when(beside.fault, qemu) as lost:
                status = qemu.wait()
        if lost:
            raise NodeError(lost[0])
        if status != 0:
            raise NodeError(f"QEMU ended with status {status}: {last_lines((prepared.work / 'qemu').read_bytes())}")
        return status


def _run_at_most_twice(job: Job, prepared: _Prepared, results: Path | None) -> int:
    try:
        return _run(job, prepared, results)
    except EmulatorAtFault as error:
        _say(f"{error}; once more")
        return _run(job, prepared, results)


def _run(job: Job, prepared: _Prepared, results: Path | None) -> int:
    disc = Disc(name="results", file=_empty_disc(prepared.work), kept=True)
    started_s = time.monotonic()
    _say(f"{job.shape.name}, Debian {job.release.number}, boots")
    with job.beside(prepared.work / _BESIDE) as beside, (prepared.work / "log").open("wb") as log:
        arguments = partial(
            node_arguments, job.shape, prepared.kernel, (*prepared.discs, disc), further=beside.arguments
        )
        limit_s = (job.limit_s or 0) + AROUND_S
        ended = boot(arguments, prepared.work, limit_s, partial(_show, log), beside=beside)
    _say(f"{job.shape.name} ended after {time.monotonic() - started_s:.0f} s, its command with status {ended.status}")
    if not ended.has_results:
        raise NodeError(f"the results did not fit: they may have {_RESULTS_BYTES >> 20} MiB")
    if results is not None:
        _unpack(disc.file, results)
    return ended.status


def _show(log: BinaryIO, text: bytes) -> None:
    log.write(text)
    sys.stdout.buffer.write(text)
    sys.stdout.buffer.flush()


def _say(text: str) -> None:
    print(f"node: {text}", file=sys.stderr, flush=True)


@contextmanager
def _locked() -> Iterator[None]:
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for remains in CACHE.glob("work-*"):
            shutil.rmtree(remains)
        remove_forsaken(CACHE)
        yield


@contextmanager
def _prepared(job: Job) -> Iterator[_Prepared]:
    built = build(job.release)
    with ExitStack() as stack:
        with _locked():
            work = stack.enter_context(run_folder(CACHE))
            make_job(job, built.python, work / "job")
        own = Disc(name="job", file=work / "job")
        yield _Prepared(kernel=built.kernel, discs=(*built.discs, own, *job.discs), work=work)


def _empty_disc(work: Path) -> Path:
    file = work / "results"
    file.touch()
    os.truncate(file, _RESULTS_BYTES)
    return file


def _keep(work: Path, results: Path) -> None:
    results.mkdir(parents=True, exist_ok=True)
    for name in ("log", "console"):
        if (work / name).exists():
            shutil.copyfile(work / name, results / name)
    for log in (work / _BESIDE).glob("*.log"):
        (results / _BESIDE).mkdir(exist_ok=True)
        shutil.copyfile(log, results / _BESIDE / log.name)


def _unpack(disc: Path, results: Path) -> None:
    """Unpack the tar that the node wrote to the disc; tar(1) lets no name lead outside (Python 3.11.2 would)."""
    results.mkdir(parents=True, exist_ok=True)
    run("tar", "--no-same-owner", "-xf", disc, "-C", results.absolute())
