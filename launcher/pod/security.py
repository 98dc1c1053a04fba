"""What a launcher's Pod may do: nothing but run as a user without rights."""

from __future__ import annotations

from launcher.pod.part import Tree
from launcher.vmi.manifest import Value

# KubeVirt's user and group qemu, to whom images and claims of virtual machines belong.
USER = 107


def pod_security() -> Tree:
    """Return the Pod's `securityContext`; the group makes claims and empty folders writable."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security(*, capabilities: tuple[str, ...] = ()) -> Tree:
    """Return a container's `securityContext`: no capability but these, no way to get one, nothing to write on."""
    added: list[Value] = list(capabilities)
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], **({"add": added} if added else {})},
    }
