"""The API server as a container of a Pod reaches it: its service account, and one patch of one node."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from launcher.errors import HostError

# The API server answers a patch in milliseconds; a busy one takes seconds. One that takes longer is asked again later.
TIMEOUT_S = 10.0
_MOST_ANSWER_BYTES = 65536
# Another try may go well: the kubelet replaces an expired token, who else changed the node is done, a queue is empty.
_PASSING = (http.client.UNAUTHORIZED, http.client.CONFLICT, http.client.TOO_MANY_REQUESTS)
# What `kubectl label` sends, too: RFC 7386.
_MERGE_PATCH = "application/merge-patch+json"


class NotLabelled(HostError):
    """The API server did not set the label; `is_passing` where asking again may help, after `pause_s` if it says."""

    def __init__(self, message: str, *, is_passing: bool, pause_s: float = 0.0) -> None:
        self.is_passing = is_passing
        self.pause_s = pause_s
        super().__init__(message)


class APIServer(Struct, frozen=True, kw_only=True):
    """Where the API server is, and the folder that holds this container's token and the server's certificates."""

    host: str
    port: int
    account: Path


def in_cluster(environment: Mapping[str, str], account: Path) -> APIServer:
    """Return the API server that the kubelet named in the environment; raises HostError outside a Pod.

    Source: Kubernetes, "Accessing the Kubernetes API from a Pod".
    """
    host, port = environment.get("KUBERNETES_SERVICE_HOST", ""), environment.get("KUBERNETES_SERVICE_PORT", "")
    if not host or not (port.isascii() and port.isdigit()):
        raise HostError(
            "--apply: KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT do not name the API server: "
            "it is for a Pod; elsewhere use kubectl label node"
        )
    return APIServer(host=host, port=int(port), account=account)


def label_node(server: APIServer, node: str, labels: Mapping[str, str]) -> None:
    """Set these labels of a node and leave its others; raises NotLabelled that says what the API server said.

    The token is read anew each time, for the kubelet replaces it every hour; it is in no message.
    """
    path = f"/api/v1/nodes/{quote(node, safe='')}"
    body = json.dumps({"metadata": {"labels": dict(labels)}}).encode()
    headers = {"Authorization": f"Bearer {_token(server)}", "Content-Type": _MERGE_PATCH, "Accept": "application/json"}
    where = f"https://{server.host}:{server.port}{path}"
    connection = http.client.HTTPSConnection(server.host, server.port, timeout=TIMEOUT_S, context=_trust(server))
    try:
        connection.request("PATCH", path, body, headers)
        answer = connection.getresponse()
        content = answer.read(_MOST_ANSWER_BYTES)
    except ssl.SSLCertVerificationError as error:
        raise NotLabelled(f"PATCH {where}: {error}", is_passing=False) from error
    except TimeoutError as error:
        raise NotLabelled(f"PATCH {where}: no answer in {TIMEOUT_S:g} s", is_passing=True) from error
    except (OSError, http.client.HTTPException) as error:
        raise NotLabelled(f"PATCH {where}: {error or type(error).__name__}", is_passing=True) from error
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise _refusal(where, answer, content)


def _refusal(where: str, answer: http.client.HTTPResponse, content: bytes) -> NotLabelled:
    status = answer.status
    return NotLabelled(
        f"PATCH {where}: {status} {answer.reason}: {_message(content)}",
        is_passing=status in _PASSING or status >= http.client.INTERNAL_SERVER_ERROR,
        pause_s=_pause_s(answer.headers.get("Retry-After", "")),
    )


def _pause_s(text: str) -> float:
    """Read Retry-After as the API server writes it, whole seconds; anything else is no wish."""
    return float(text) if text.isascii() and text.isdigit() and len(text) < 6 else 0.0


def _token(server: APIServer) -> str:
    path = server.account / "token"
    try:
        token = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise HostError(f"{path}: {getattr(error, 'strerror', None) or 'not a token'}") from error
    if not token or not token.isprintable():
        raise HostError(f"{path}: not a token")
    return token


def _trust(server: APIServer) -> ssl.SSLContext:
    path = server.account / "ca.crt"
    try:
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError) as error:
        raise HostError(f"{path}: {error.strerror or 'not a certificate'}") from error


def _message(content: bytes) -> str:
    """Return what a Kubernetes Status says, else the beginning of whatever came."""
    try:
        status = json.loads(content)
    except (ValueError, RecursionError):
        status = None
    message = status.get("message") if isinstance(status, dict) else None
    return " ".join(str(message or content[:200].decode("utf-8", "replace")).split()) or "no reason given"
