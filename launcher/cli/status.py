"""The verb `status`: what a running launcher says of its guest, once or again and again."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from launcher.cli.client import NoLauncher, ask_status
from launcher.cli.output import show, terminal
from launcher.cli.places import control_of
from launcher.cpuset import CPUSet
from launcher.errors import ExitStatus, HypervisorError
from launcher.observe.status_text import Change, status_text
from launcher.observe.strangers import look, strangers
from launcher.observe.view import StatusView

# Long enough for the parts of the time to mean something, short enough to follow.
INTERVAL_S = 1.0
# Lines of a terminal that are not threads: the head, the conditions, the strangers.
_OTHER_LINES = 26


def run(options: Namespace) -> ExitStatus:
    """Print the status of the launcher behind the control socket."""
    if options.watch:
        return _watch(control_of(options), as_json=options.format == "json")
    text, status = ask_status(control_of(options))
    width, colour = terminal()
    show(_json(text) if options.format == "json" else status_text(status, width=width, colour=colour), end="")
    return ExitStatus.POWERED_OFF


def _json(text: bytes) -> str:
    return json.dumps(json.loads(text), indent=2) + "\n"


def _watch(path: Path, *, as_json: bool) -> ExitStatus:
    """Show every second until the launcher ends or somebody types Ctrl-C."""
    text, status = ask_status(path)
    _keep_off(vcpu_cpus(status))
    with suppress(KeyboardInterrupt), _screen() as display:
        if as_json:
            _follow_json(path, text)
        else:
            _follow(path, status, display)
    return ExitStatus.POWERED_OFF


def _follow_json(path: Path, text: bytes) -> None:
    """Print one document a line."""
    while True:
        show(json.dumps(json.loads(text)))
        answer = _ask_again(path)
        if answer is None:
            return
        text, _status = answer


def _follow(path: Path, status: StatusView, display: Callable[[str], None]) -> None:
    width, colour = terminal()
    display(status_text(status, width=width, colour=colour, most_threads=_most_threads()))
    before, looked_s = look(vcpu_cpus(status), except_pid=status.pid), time.monotonic()
    while True:
        answer = _ask_again(path)
        if answer is None:
            display("the launcher has ended\n")
            return
        previous, (_text, status) = status, answer
        after, now_s = look(vcpu_cpus(status), except_pid=status.pid), time.monotonic()
        change = Change(
            seconds=now_s - looked_s, before=previous, strangers=strangers(before, after), is_whole=after.is_whole
        )
        width, colour = terminal()
        display(status_text(status, width=width, colour=colour, change=change, most_threads=_most_threads()))
        before, looked_s = after, now_s


def _ask_again(path: Path) -> tuple[bytes, StatusView] | None:
    """Return the status a while later, None once the launcher has ended.

    One that is just ending, or has many clients, may cut a connection; so a failure is told only when it is the second.
    """
    for is_last in (False, True):
        time.sleep(INTERVAL_S)
        try:
            return ask_status(path)
        except NoLauncher:
            return None
        except HypervisorError:
            if is_last:
                raise
    return None


def vcpu_cpus(status: StatusView) -> CPUSet:
    """Return the CPUs that the plan promises to single vCPUs; none where the guest has no dedicated CPUs."""
    planned = (CPUSet.parse(thread.planned) for thread in status.threads if thread.role.startswith("vcpu"))
    return CPUSet.of(cpus.lowest for cpus in planned if len(cpus) == 1)


def _keep_off(cpus: CPUSet) -> None:
    """Let this process, too, keep off the vCPUs' CPUs, where it may run on others: to watch is not to disturb."""
    others = CPUSet.of(os.sched_getaffinity(0)) - cpus
    if others:
        os.sched_setaffinity(0, others)


def _most_threads() -> int | None:
    """Return how many threads fit on the terminal; as many as there are where it is none."""
    return max(shutil.get_terminal_size().lines - _OTHER_LINES, 4) if sys.stdout.isatty() else None


@contextmanager
def _screen() -> Iterator[Callable[[str], None]]:
    """Yield what shows a text: in place of the one before it on a terminal, below it elsewhere."""
    if not sys.stdout.isatty():
        yield show
        return
    from rich.live import Live  # noqa: PLC0415 - 45 ms, and only for this
    from rich.text import Text  # noqa: PLC0415 - likewise

    with Live(auto_refresh=False) as live:
        yield lambda text: live.update(Text.from_ansi(text), refresh=True)
