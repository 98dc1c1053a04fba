"""The verb `node-label`: whether this node hands out whole CPUs, said on standard output and, if asked, to the API."""

from __future__ import annotations

import logging
import os
import signal
import threading
from argparse import Namespace
from pathlib import Path

from msgspec.structs import replace

from launcher.cli.node_api import APIServer, in_cluster, label_node
from launcher.cli.output import complain, show
from launcher.errors import ExitStatus, HostError, UsageError
from launcher.files import read_file
from launcher.kubelet.node_label import LABEL, Verdict, contradiction, parse_configuration, remedy, verdict_of
from launcher.kubelet.state import MAX_STATE_BYTES
from launcher.observe.logs import LogFormat, configure_logging
from launcher.observe.text import printable

_log = logging.getLogger(__name__)


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
        label_node(_server(options), _node(options), {LABEL: verdict.value})
    return ExitStatus.POWERED_OFF


def _judge(options: Namespace) -> Verdict:
    try:
        verdict = verdict_of(_read(options.state_file))
    except HostError as error:
        return Verdict(is_static=False, reason=str(error))
    return replace(verdict, reason=f"{options.state_file}: {verdict.reason}")


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
    if conflict is not None or not verdict.is_static:
        node = options.node or os.environ.get("NODE_NAME") or "NODE"
        lines.append("to have it hand out whole CPUs:")
        lines.append(remedy(node=node, state_file=options.state_file, configuration_file=options.kubelet_config))
    return "\n".join(lines)


def _keep_applied(options: Namespace) -> ExitStatus:
    """Judge and set the label every so many seconds; what fails is logged and tried again the next time."""
    if not options.apply:
        raise UsageError("--every: needs --apply; without it the label is printed once")
    configure_logging(LogFormat.AUTO, verbose=False)
    server, node = _server(options), _node(options)
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: stopped.set())
    while not stopped.is_set():
        _apply(server, node, _judge(options))
        stopped.wait(options.every)
    return ExitStatus.POWERED_OFF


def _apply(server: APIServer, node: str, verdict: Verdict) -> None:
    try:
        label_node(server, node, {LABEL: verdict.value})
    except HostError as error:
        _log.error("not labelled: %s", error)
    else:
        _log.info("labelled: node %s %s (%s)", node, verdict, verdict.reason)
