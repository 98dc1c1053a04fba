"""A probe of the guest in this program's terms: what is asked of it, and how long that may take.

Source: KubeVirt's SetDefaults_Probe (core/v1 defaults.go); the way in is the launcher's (launcher/observe/guest_probe).
"""

from __future__ import annotations

from collections.abc import Iterable

from launcher.vmi.guest_machine import AgentExec, AgentPing, GuestProbe, HTTPRequest, TCPConnection
from launcher.vmi.schema_access import Probe
from launcher.vmi.schema_machine import Interface

HANDLERS = {"httpGet": "http_get", "tcpSocket": "tcp_socket", "exec": "exec", "guestAgentPing": "guest_agent_ping"}
_LAST_PORT = 65535


def handlers_of(probe: Probe) -> list[str]:
    """Return the names in the document of what the probe asks; admission wants exactly one."""
    return [name for name, attribute in HANDLERS.items() if getattr(probe, attribute) is not None]


def port_of(port: object, interfaces: Iterable[Interface]) -> int | None:
    """Return the port that a number, or the name of an interface's port, stands for; None where it is neither."""
    if isinstance(port, int) and not isinstance(port, bool):
        return port if 1 <= port <= _LAST_PORT else None
    if isinstance(port, str) and port.isascii() and port.isdigit():
        return port_of(int(port[:6]), ())
    return next((one.port for card in interfaces for one in card.ports if one.name and one.name == port), None)


def probe_of(probe: Probe | None, interfaces: tuple[Interface, ...]) -> GuestProbe | None:
    """Return the admitted probe with KubeVirt's defaults."""
    if probe is None:
        return None
    return GuestProbe(
        ask=_ask(probe, interfaces),
        delay_s=probe.initial_delay_seconds,
        timeout_s=probe.timeout_seconds or 1,
        period_s=probe.period_seconds or 10,
        successes=probe.success_threshold or 1,
        failures=probe.failure_threshold or 3,
    )


def _ask(probe: Probe, interfaces: tuple[Interface, ...]) -> HTTPRequest | TCPConnection | AgentExec | AgentPing:
    if (http := probe.http_get) is not None:
        return HTTPRequest(
            host=http.host or None,
            port=port_of(http.port, interfaces) or 0,
            path=http.path,
            is_encrypted=http.scheme == "HTTPS",
            headers=tuple((header.name, header.value) for header in http.http_headers),
        )
    if (tcp := probe.tcp_socket) is not None:
        return TCPConnection(host=tcp.host or None, port=port_of(tcp.port, interfaces) or 0)
    if probe.exec is not None:
        return AgentExec(command=probe.exec.command)
    return AgentPing()
