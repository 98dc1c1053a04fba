"""The verb `node-label`: whether this node hands out whole CPUs, said on standard output and, if asked, to the API."""

from __future__ import annotations

import logging
import os
import signal
import threading
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path

from msgspec.structs import replace

from launcher.cli.node_api import APIServer, NotLabelled, in_cluster, label_node
from launcher.cli.output import complain, show
from launcher.errors import ExitStatus, HostError, UsageError
from launcher.files import read_file
from launcher.kubelet.node_label import (
    LABEL,
    Verdict,
    contradiction,
    missing_file,
    parse_configuration,
    remedy,
    verdict_of,
    way_to_read,
)
from launcher.kubelet.state import MAX_STATE_BYTES
from launcher.observe.logs import LogFormat, configure_logging
from launcher.observe.text import printable

_log = logging.getLogger(__name__)
# Where the API server may do it when asked again, the pauses grow from this to what --every says.
_FIRST_PAUSE_S = 1.0


def run(options: Namespace) -> ExitStatus:
    """Print the label; with --apply set it on the node, with --every again and again until SIGTERM."""
    if options.every is not None:
        return _keep_applied(options)
    verdict = _judge(options)
    show(str(verdict))
    if options.explain:
        show("\n".join(map(printable, _explanation(options, verdict).splitlines())))
    elif not verdict.is_static:
        complain(f"virt-launcher: {verdict}: {verdict.reason}")
    if options.apply:
        server, node = _server(options), _node(options)
        _check_known(verdict)
        label_node(server, node, {LABEL: verdict.value})
    return ExitStatus.POWERED_OFF


def _judge(options: Namespace) -> Verdict:
    """Judge the node by its state file; one that is not there says no, one that may not be read says nothing."""
    try:
        verdict = verdict_of(_read(options.state_file))
    except HostError as error:
        return Verdict(is_static=False, reason=str(error), is_known=not _is_hidden(error))
    return replace(verdict, reason=f"{options.state_file}: {verdict.reason}")


def _is_hidden(error: HostError) -> bool:
    """Tell whether a file may be there, and good, but cannot be read: by this user, or for its disk."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__
    return isinstance(cause, OSError) and not isinstance(cause, FileNotFoundError | NotADirectoryError)


def _check_known(verdict: Verdict) -> None:
    if not verdict.is_known:
        raise HostError(f"not labelled: {verdict.reason}: what the kubelet does is not known")


def _read(path: str) -> str:
    """Return the text of a file; raises HostError that says why it cannot be read."""
    try:
        return read_file(path, most_bytes=MAX_STATE_BYTES).decode()
    except UnicodeDecodeError as error:
        raise HostError(f"{path}: is not UTF-8 text") from error
    except ValueError as error:
        raise HostError(f"{path}: {error}") from error


def _server(options: Namespace) -> APIServer:
    return in_cluster(os.environ, Path(options.service_account))


def _node(options: Namespace) -> str:
    node = options.node or os.environ.get("NODE_NAME")
    if not node:
        raise UsageError("--apply: which node? give --node, or NODE_NAME in the environment (spec.nodeName)")
    return str(node)


def _explanation(options: Namespace, verdict: Verdict) -> str:
    """Say why, whether the kubelet's configuration contradicts its state file, and what to do where that is needed."""
    lines = [verdict.reason]
    try:
        conflict = contradiction(verdict, parse_configuration(_read(options.kubelet_config)))
    except HostError as error:
        conflict = None
        lines.append(f"the kubelet's configuration is not known: {error}")
    except ValueError as error:
        conflict = None
        lines.append(f"the kubelet's configuration is not known: {options.kubelet_config}: {error}")
    if conflict is not None:
        lines.append(f"this node's kubelet does not start: {conflict}")
    if not verdict.is_known:
        lines.append(way_to_read(options.state_file))
    elif conflict is not None or not verdict.is_static:
        lines.extend(_cure(options))
    return "\n".join(lines)


def _cure(options: Namespace) -> Iterator[str]:
    has_file = Path(options.state_file).exists()
    if not has_file:
        yield missing_file(options.state_file)
    yield "to have it hand out whole CPUs:"
    yield remedy(
        node=options.node or os.environ.get("NODE_NAME") or "NODE",
        state_file=options.state_file,
        configuration_file=options.kubelet_config,
        has_file=has_file,
    )


def _keep_applied(options: Namespace) -> ExitStatus:
    """Judge and set the label every so many seconds; what fails is logged and tried again the next time."""
    if not options.apply:
        raise UsageError("--every: needs --apply; without it the label is printed once")
    configure_logging(LogFormat.AUTO, verbose=False)
    server, node = _server(options), _node(options)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    pause_s = _FIRST_PAUSE_S
    while not stopped.is_set():
        wished_s = _apply(server, node, _judge(options))
        if wished_s is None:
            pause_s = _FIRST_PAUSE_S
            stopped.wait(options.every)
        else:
            stopped.wait(min(max(pause_s, wished_s), options.every))
            pause_s *= 2
    return ExitStatus.POWERED_OFF


def _apply(server: APIServer, node: str, verdict: Verdict) -> float | None:
    """Set the label, and say how it went; return how long to wait at least where another try soon may go better."""
    try:
        _check_known(verdict)
        label_node(server, node, {LABEL: verdict.value})
    except NotLabelled as error:
        _log.error("not labelled: %s", error)
        return error.pause_s if error.is_passing else None
    except HostError as error:
        _log.error("%s", error)
    else:
        _log.info("labelled: node %s %s (%s)", node, verdict, verdict.reason)
    return None
