"""What a launcher's Pod may do: nothing but run as a user without rights."""

from __future__ import annotations

from launcher.pod.part import Tree
from launcher.vmi.manifest import Value

# KubeVirt's user and group qemu, to whom images and claims of virtual machines belong.
USER = 107


def pod_security(*, low_ports: bool = False, profile: str | None = None) -> Tree:
    """Return the Pod's `securityContext`; the group makes claims and empty folders writable.

    `profile` is a seccomp profile of the node's, as a path below the kubelet's own folder of them. `low_ports` lets
    anyone in the Pod listen on ports below 1024 (a sysctl that Kubernetes calls safe).
    """
    sysctls: list[Value] = [{"name": "net.ipv4.ip_unprivileged_port_start", "value": "0"}]
    seccomp: Tree = {"type": "RuntimeDefault"}
    if profile is not None:
        seccomp = {"type": "Localhost", "localhostProfile": profile}
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": seccomp,
        **({"sysctls": sysctls} if low_ports else {}),
    }


def container_security(*, capabilities: tuple[str, ...] = ()) -> Tree:
    """Return a container's `securityContext`: no capability but these, no way to get one, nothing to write on."""
    added: list[Value] = list(capabilities)
    return {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"], **({"add": added} if added else {})},
    }
