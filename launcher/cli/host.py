"""The verb `host`: what is seen here of the cpuset, the topology, memory and quotas; and its capture to a file."""

from __future__ import annotations

import json
from argparse import Namespace
from pathlib import Path

from launcher.cli.here import native_arch, own_affinity, owned, this_machine
from launcher.cli.machine import described_host, host_in
from launcher.cli.output import show
from launcher.errors import ExitStatus, HostError, UsageError
from launcher.host.bounds import read_allowed
from launcher.host.capture import capture, read_capture
from launcher.host.cgroup import check_allowed, read_cpuset_partition
from launcher.host.model import AllowedCPUs, Host
from launcher.host.sysfs import read_host
from launcher.host.tree import Tree
from launcher.kubelet.doubts import doubts_of_host
from launcher.observe.hostview import HostView, host_document, host_text
from launcher.observe.text import printable
from launcher.planner.ownership import check_owners


def run(options: Namespace) -> ExitStatus:
    """Print the host, or write its capture; a capture is written even where the readers refuse what they see."""
    if options.capture is not None:
        _write_capture(options)
        return ExitStatus.POWERED_OFF
    if options.advice:
        _show_advice(options)
        return ExitStatus.POWERED_OFF
    view = _view(options)
    if options.format == "json":
        show(json.dumps(host_document(view)))
    else:
        show(host_text(view), end="")
    return ExitStatus.POWERED_OFF


def _show_advice(options: Namespace) -> None:
    """Print a line for each thing that will hurt guests, nothing where there is none."""
    from launcher.host.advice import advise  # noqa: PLC0415 - only here, and start-up time counts

    if options.host is None:
        tree = this_machine()
        found = advise(tree, read_host(tree, native_arch()), read_allowed(tree, own_affinity()))
    elif Path(options.host).exists():
        captured = read_capture(Path(options.host))
        found = advise(captured, *host_in(captured))
    else:
        raise UsageError(f"--advice: --host {options.host}: of a shape nothing is known that could be advised")
    if options.format == "json":
        show(json.dumps(list(found)))
    elif found:
        show("\n".join(map(printable, found)))


def _view(options: Namespace) -> HostView:
    if options.host is None:
        tree: Tree = this_machine()
        host = read_host(tree, native_arch())
        allowed = owned(read_allowed(tree, own_affinity()))
        check_allowed(allowed, host)
        check_owners(allowed)
        return _view_of(tree, host, allowed)
    path = Path(options.host)
    if not path.exists():
        host, allowed = described_host(options.host)
        return HostView(host=host, allowed=allowed, doubts=doubts_of_host(host))
    # Once: it may be a pipe.
    tree = read_capture(path)
    return _view_of(tree, *host_in(tree))


def _view_of(tree: Tree, host: Host, allowed: AllowedCPUs) -> HostView:
    return HostView(host=host, allowed=allowed, partition=read_cpuset_partition(tree), doubts=doubts_of_host(host))


def _write_capture(options: Namespace) -> None:
    if options.host is not None:
        raise UsageError("--capture writes down this machine; --host names another")
    text = capture(this_machine(), own_affinity(), native_arch())
    if options.capture == "-":
        show(text, end="")
        return
    try:
        Path(options.capture).write_text(text, encoding="utf-8")
    except OSError as error:
        raise HostError(f"--capture {options.capture}: {error.strerror}") from error
