"""The node's API server, spoken to directly: a kubectl costs seconds there."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any, TypeAlias

Object: TypeAlias = dict[str, Any]

_ADDRESS, _PORT = "10.96.0.1", 443
# What it asks the kubelet for takes an emulated one its time.
_PATIENCE_S = 120.0
_MERGE = "application/merge-patch+json"
_CORE = {
    "Pod": "pods",
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Namespace": "namespaces",
    "ServiceAccount": "serviceaccounts",
    "PersistentVolumeClaim": "persistentvolumeclaims",
}
_OTHERS = {"DaemonSet": "daemonsets", "ClusterRole": "clusterroles", "ClusterRoleBinding": "clusterrolebindings"}
_WITHOUT_NAMESPACE = ("Namespace", "ClusterRole", "ClusterRoleBinding")


class Answer(Exception):
    """An answer that is no success: its status, and what the server says."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{status}: {text}")


class AlreadyThere(Answer):
    """An object of that name is there."""


class API:
    """Requests as the administrator of the node's Kubernetes, one after the other.

    They share a connection: to make one takes an emulated CPU longer than the request, and who waits asks often.
    """

    def __init__(self) -> None:
        """Connect at the first request."""
        context = ssl.create_default_context()
        # The certificate is the server's own, made when it started.
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        self._connection = http.client.HTTPSConnection(_ADDRESS, _PORT, timeout=_PATIENCE_S, context=context)

    def get(self, path: str) -> Object:
        """Return an object or a list; raises Answer."""
        found: Object = json.loads(self._ask("GET", path))
        return found

    def text(self, path: str) -> str:
        """Return what is no object, such as a log; raises Answer."""
        return self._ask("GET", path).decode(errors="replace")

    def create(self, manifest: Object, namespace: str = "default") -> Object:
        """Create an object, in its own namespace or this one; raises Answer."""
        made: Object = json.loads(self._ask("POST", collection_of(manifest, namespace), manifest))
        return made

    def create_dry(self, manifest: Object, namespace: str) -> None:
        """Have an object admitted without its being made; raises Answer."""
        self._ask("POST", f"{collection_of(manifest, namespace)}?dryRun=All&fieldValidation=Strict", manifest)

    def strategic(self, path: str, change: Object) -> None:
        """Change a part of an object, lists by the names of their entries; raises Answer."""
        self._ask("PATCH", path, change, "application/strategic-merge-patch+json")

    def patch(self, path: str, change: Object) -> Object:
        """Change a part of an object; raises Answer."""
        changed: Object = json.loads(self._ask("PATCH", path, change))
        return changed

    def delete(self, path: str, grace_s: int | None = None) -> None:
        """Delete an object, or nothing where there is none; raises Answer."""
        query = "" if grace_s is None else f"?gracePeriodSeconds={grace_s}"
        try:
            self._ask("DELETE", path + query)
        except Answer as answer:
            if answer.status != http.client.NOT_FOUND:
                raise

    def _ask(self, method: str, path: str, body: Object | None = None, patch: str = _MERGE) -> bytes:
        headers = {"Authorization": "Bearer administrator", "Accept": "application/json, */*"}
        headers["Content-Type"] = patch if method == "PATCH" else "application/json"
        status, text = self._exchange(method, path, None if body is None else json.dumps(body), headers)
        if status >= http.client.BAD_REQUEST:
            kind = AlreadyThere if status == http.client.CONFLICT else Answer
            raise kind(status, text.decode(errors="replace"))
        return text

    def _exchange(self, method: str, path: str, body: str | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Send a request and read its answer; once more where the server has closed the connection in the meantime."""
        was_open = self._connection.sock is not None
        try:
            self._connection.request(method, path, body, headers)
            response = self._connection.getresponse()
            return response.status, response.read()
        except ConnectionError:
            self._connection.close()
            if not was_open:
                raise
            return self._exchange(method, path, body, headers)
        except BaseException:
            # What is left of an answer would be the next one's.
            self._connection.close()
            raise


def collection_of(manifest: Object, namespace: str = "default") -> str:
    """Return the path of the collection that an object belongs to."""
    kind, version = manifest["kind"], manifest["apiVersion"]
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    within = "" if kind in _WITHOUT_NAMESPACE else f"/namespaces/{manifest['metadata'].get('namespace', namespace)}"
    return f"{root}{within}/{ {**_CORE, **_OTHERS}[kind] }"


def path_of(manifest: Object, namespace: str = "default") -> str:
    """Return the path of an object."""
    return f"{collection_of(manifest, namespace)}/{manifest['metadata']['name']}"
