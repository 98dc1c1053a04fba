"""The workshop: a child process that reads the manifest, plans and makes the domain XML for the launcher.

What only the start needs (a YAML reader, the schema, the planner, an XML library: 12 MB) stays out of the process that
watches over the guest for months; reading goes on while libvirt is being opened; and the process that parses text from
outside is not the one that holds the guest.
"""

from __future__ import annotations

import importlib
import os
import pickle
import select
import signal
from collections.abc import Callable
from contextlib import suppress
from typing import Any, BinaryIO

from launcher.cli.ward import PackedGuest
from launcher.errors import GuestDestroyed, LauncherError
from launcher.signals import ignore_signals

# Where each job is found; what a later job needs is loaded while nothing is asked for.
_JOBS = {
    "parse_run": "launcher.cli.arguments",
    "load_guest": "launcher.cli.manifest_jobs",
    "plan_guest": "launcher.cli.plan_jobs",
    "grade_cpus": "launcher.cli.evidence",
    "quota_warnings": "launcher.cli.evidence",
    "make_domain": "launcher.cli.domain_jobs",
    "read_domain": "launcher.cli.domain_jobs",
    "tell_tags": "launcher.cli.tagging",
}
# Jobs before the manifest is read, which may be standard input, and that itself; they start no program.
_READERS = ("parse_run", "load_guest")
# A signal that comes while a job takes long is seen so soon.
STOP_INTERVAL_S = 0.1
_GONE = "the process that reads the manifest is gone"


class WorkshopError(Exception):
    """The child process ended in the middle of a job, or a job had a bug; a bug of the launcher either way."""


class Workshop:
    """A child process that does jobs, one after the other, until it is closed."""

    def __init__(self) -> None:
        """Start the child; call while this process has one thread, for only that one goes into the child."""
        requests_out, requests_in = os.pipe()
        results_out, results_in = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(requests_in)
            os.close(results_out)
            _work_and_exit(requests_out, results_in)
        os.close(requests_out)
        os.close(results_in)
        self._pidfd = os.pidfd_open(self.pid)
        self._requests = open(requests_in, "wb")  # noqa: PTH123, SIM115 - a descriptor, closed by close()
        self._results = open(results_out, "rb")  # noqa: PTH123, SIM115 - likewise

    def begin(self, job: str, *arguments: object) -> None:
        """Hand a job to the child and go on; `finish` returns what came of it, in the same order.

        A packed guest is unpacked there.
        """
        try:
            pickle.dump((job, arguments), self._requests)
            self._requests.flush()
        except BrokenPipeError:
            raise WorkshopError(_GONE) from None

    def finish(self, *, is_stopping: Callable[[], bool] | None = None) -> Any:
        """Wait for the oldest job and return its result; raises the LauncherError that it raised.

        With `is_stopping` the job is the only one under way; raises GuestDestroyed where somebody wants the end.
        """
        if is_stopping is not None:
            self._wait(is_stopping)
        try:
            result, error = pickle.load(self._results)  # noqa: S301 - from our own child
        except EOFError:
            raise WorkshopError(_GONE) from None
        if error is not None:
            raise error
        return result

    def _wait(self, is_stopping: Callable[[], bool]) -> None:
        while not select.select([self._results], [], [], STOP_INTERVAL_S)[0]:
            if is_stopping():
                raise GuestDestroyed("stopped before the guest was started")

    def do(self, job: str, *arguments: object) -> Any:
        """Have a job done and return its result."""
        self.begin(job, *arguments)
        return self.finish()

    def close(self) -> None:
        """End the child, which may be in the middle of a job that nobody waits for. Closing twice is no error."""
        if self._results.closed:
            return
        with suppress(BrokenPipeError):
            self._requests.close()
        self._results.close()
        # Its programs, too, such as a qemu-img that would finish a disk which is being taken away. Once it is reaped
        # its number may be somebody else's; the first of the two raises then.
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, signal.SIGKILL)
            os.killpg(self.pid, signal.SIGKILL)
        os.close(self._pidfd)
        with suppress(ChildProcessError):
            # Reaped already, by somebody who reaps everything.
            os.waitpid(self.pid, 0)


def _work_and_exit(requests: int, results: int) -> None:
    """Do jobs until the requests end. Signals are for the launcher: this process ends when that does."""
    ignore_signals()
    from launcher.hypervisor.capability import drop_capabilities  # noqa: PLC0415 - for the child alone, while it waits

    drop_capabilities()
    status = 0
    try:
        with open(requests, "rb") as asked, open(results, "wb") as answered:
            _work(asked, answered)
    except BrokenPipeError:
        status = 1
    finally:
        os._exit(status)


def _work(asked: BinaryIO, answered: BinaryIO) -> None:
    while True:
        try:
            job, arguments = pickle.load(asked)  # noqa: S301 - from our own parent
        except EOFError:
            return
        if job not in _READERS:
            # A group of its own, by which its programs are found; whoever may read a terminal has to be in the first.
            os.setpgid(0, 0)
        pickle.dump(_do(job, arguments), answered)
        answered.flush()
        for module in _JOBS.values():
            if select.select([asked], [], [], 0)[0]:
                break
            # What cannot be imported is told with the job that needs it.
            with suppress(ImportError):
                importlib.import_module(module)


def _do(job: str, arguments: tuple[object, ...]) -> tuple[object, Exception | None]:
    try:
        unpacked = (one.unpack() if isinstance(one, PackedGuest) else one for one in arguments)
        return getattr(importlib.import_module(_JOBS[job]), job)(*unpacked), None
    except (LauncherError, ValueError) as error:
        return None, error
    except Exception as error:  # noqa: BLE001 - told to the parent, which ends with it as with any other bug
        import traceback  # noqa: PLC0415 - only when something is wrong

        return None, WorkshopError(f"{job}: {error}\n{traceback.format_exc()}")
