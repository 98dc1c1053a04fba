"""The guest's own probes, made by the launcher: a request, a connection, or a word with the guest's agent.

The kubelet asks the launcher, which answers at once with what it found out last, and looks again: nothing that a guest
does, or leaves undone, holds up an answer. What is said of the guest is as old as the kubelet's last question.
"""

from __future__ import annotations

import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from typing import Any, assert_never

from launcher.errors import HypervisorError
from launcher.vmi.guest_machine import AgentExec, AgentPing, GuestProbe, HTTPRequest, TCPConnection

_log = logging.getLogger(__name__)

# One command for the agent and the seconds that it has; returns the agent's answer. Raises HypervisorError.
AskAgent = Callable[[str, int], str]

# The guest's ports are forwarded from every address of this network namespace.
_HERE = "127.0.0.1"
# What the kubelet takes for success.
_GOOD = range(200, 400)
# A busy node takes its time to start a thread, and libvirt to hand on an agent's answer.
LATE_S = 1.0
_MOST_CHARACTERS = 300
# How often it is looked whether a command in the guest has ended.
_EXEC_INTERVAL_S = 0.2


class GuestCheck:
    """One probe of the guest; `fault` may be asked by one thread, and never waits."""

    def __init__(self, probe: GuestProbe, ask_agent: AskAgent) -> None:
        self._probe = probe
        self._ask_agent = ask_agent
        self._fault: str | None = "it has not been asked yet"
        self._thread: threading.Thread | None = None
        self._begun_s = 0.0

    def fault(self) -> str | None:
        """Return why the probe failed when it was made last, None where it did not; make it again meanwhile.

        One that goes on for longer than it may has failed: a guest may answer byte by byte for ever.
        """
        last = self._fault
        if self._thread is not None and self._thread.is_alive():
            overdue = time.monotonic() - self._begun_s > self._probe.timeout_s + LATE_S
            return f"no answer within {self._probe.timeout_s} s" if overdue else last
        self._begun_s = time.monotonic()
        self._thread = threading.Thread(target=self._look, name="guest-probe", daemon=True)
        self._thread.start()
        return last

    def _look(self) -> None:
        fault = _fault_of(self._probe, self._ask_agent)
        if (fault is None) != (self._fault is None):
            _log.info("guest probe: %s", fault or "good")
        self._fault = fault


def _fault_of(probe: GuestProbe, ask_agent: AskAgent) -> str | None:
    try:
        match probe.ask:
            case HTTPRequest():
                return _request(probe.ask, probe.timeout_s)
            case TCPConnection(host=host, port=port):
                socket.create_connection((host or _HERE, port), probe.timeout_s).close()
            case AgentPing():
                ask_agent('{"execute": "guest-ping"}', probe.timeout_s)
            case AgentExec(command=command):
                return _execute(command, probe.timeout_s, ask_agent)
            case _:
                assert_never(probe.ask)
    except (OSError, HypervisorError, ValueError, KeyError, TypeError, RecursionError) as error:
        # The guest has a say in these words, and in how many they are.
        return str(error)[:_MOST_CHARACTERS] or type(error).__name__
    return None


def _request(wanted: HTTPRequest, timeout_s: int) -> str | None:
    import http.client  # noqa: PLC0415 - memory that only a guest with such a probe costs

    host = wanted.host or _HERE
    connection = _encrypted(host, wanted.port, timeout_s) if wanted.is_encrypted else None
    connection = connection or http.client.HTTPConnection(host, wanted.port, timeout=timeout_s)
    path = wanted.path if wanted.path.startswith("/") else f"/{wanted.path}"
    try:
        connection.request("GET", path, headers={"User-Agent": "virt-launcher-probe", **dict(wanted.headers)})
        status = connection.getresponse().status
    except http.client.HTTPException as error:
        return f"no answer of HTTP: {error!r}"
    finally:
        connection.close()
    return None if status in _GOOD else f"status {status}"


def _encrypted(host: str, port: int, timeout_s: int) -> Any:
    """Return a connection whose other end is not asked who it is, as the kubelet's probes do not."""
    import http.client  # noqa: PLC0415 - as above
    import ssl  # noqa: PLC0415 - as above

    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return http.client.HTTPSConnection(host, port, timeout=timeout_s, context=context)


def _execute(command: tuple[str, ...], timeout_s: int, ask_agent: AskAgent) -> str | None:
    """Have the agent run the command, and wait for its end; one that goes on is left to itself, as KubeVirt's are."""
    ends_s = time.monotonic() + timeout_s
    arguments = {"path": command[0], "arg": list(command[1:]), "capture-output": False}
    begun = json.loads(ask_agent(json.dumps({"execute": "guest-exec", "arguments": arguments}), timeout_s))
    look = json.dumps({"execute": "guest-exec-status", "arguments": {"pid": begun["return"]["pid"]}})
    while time.monotonic() < ends_s:
        state = json.loads(ask_agent(look, timeout_s))["return"]
        if state["exited"]:
            return _how_it_ended(state)
        time.sleep(_EXEC_INTERVAL_S)
    return f"{command[0]!r} has not ended after {timeout_s} s"


def _how_it_ended(state: dict[str, Any]) -> str | None:
    if "signal" in state:
        return f"killed by signal {state['signal']}"[:_MOST_CHARACTERS]
    return None if state.get("exitcode") == 0 else f"exit status {state.get('exitcode')}"[:_MOST_CHARACTERS]
