"""The Pod Security Standards as their page words them, checked on a Pod, apart from the launcher's own account of them.

Source: Kubernetes' documentation, "Pod Security Standards": each control has the page's name and allowed values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Spec = Mapping[str, Any]

_SYSCTLS = {
    "kernel.shm_rmid_forced",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.ping_group_range",
    "net.ipv4.ip_local_reserved_ports",
}
_ADDABLE = {
    *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE", "SETFCAP"),
    *("SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
}
_VOLUME_TYPES = {
    *("configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"),
    "image",
}


def containers_of(spec: Spec) -> list[Spec]:
    """Return every container of the Pod."""
    return [*spec.get("initContainers", []), *spec["containers"], *spec.get("ephemeralContainers", [])]


def baseline(spec: Spec) -> Iterator[str]:
    """Yield what baseline refuses."""
    if any(spec.get(name) for name in ("hostNetwork", "hostPID", "hostIPC")):
        yield "Host Namespaces"
    yield from (f"HostPath Volumes: {volume['name']}" for volume in spec["volumes"] if "hostPath" in volume)
    yield from (
        f"Sysctls: {sysctl['name']}"
        for sysctl in spec.get("securityContext", {}).get("sysctls", [])
        if sysctl["name"] not in _SYSCTLS
    )
    for container in containers_of(spec):
        security, name = container.get("securityContext", {}), container["name"]
        if security.get("privileged"):
            yield f"Privileged Containers: {name}"
        added = set(security.get("capabilities", {}).get("add", [])) - _ADDABLE
        yield from (f"Capabilities: {name}: {capability}" for capability in sorted(added))
        if any(port.get("hostPort") for port in container.get("ports", [])):
            yield f"Host Ports: {name}"
        if security.get("procMount", "Default") != "Default":
            yield f"/proc Mount Type: {name}"
        if seccomp_of(spec, container) == "Unconfined":
            yield f"Seccomp: {name}"
        if "seLinuxOptions" in security or "appArmorProfile" in security:
            yield f"SELinux or AppArmor: {name}"


def restricted(spec: Spec) -> Iterator[str]:
    """Yield what restricted refuses, which is all that baseline refuses and more."""
    yield from baseline(spec)
    for volume in spec["volumes"]:
        yield from (f"Volume Types: {volume['name']}: {kind}" for kind in set(volume) - {"name"} - _VOLUME_TYPES)
    pod = spec.get("securityContext", {})
    for container in containers_of(spec):
        security, name = container.get("securityContext", {}), container["name"]
        if security.get("allowPrivilegeEscalation") is not False:
            yield f"Privilege Escalation: {name}"
        if security.get("runAsNonRoot", pod.get("runAsNonRoot")) is not True:
            yield f"Running as Non-root: {name}"
        if security.get("runAsUser", pod.get("runAsUser")) == 0:
            yield f"Running as Non-root user: {name}"
        if seccomp_of(spec, container) not in ("RuntimeDefault", "Localhost"):
            yield f"Seccomp: {name}"
        capabilities = security.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []):
            yield f"Capabilities: {name}: drop"
        if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"}:
            yield f"Capabilities: {name}: add"


def seccomp_of(spec: Spec, container: Spec) -> str | None:
    """Return the type of the profile that holds for this container."""
    of_pod = spec.get("securityContext", {}).get("seccompProfile", {})
    kind: str | None = container.get("securityContext", {}).get("seccompProfile", of_pod).get("type")
    return kind
