"""The probes of the launcher's container: its own, and those of the guest, for which the launcher answers."""

from __future__ import annotations

from launcher.pod.part import Tree
from launcher.vmi.guest import Guest
from launcher.vmi.guest_machine import GuestProbe

# KubeVirt's LibvirtStartupDelay, seconds: no guest answers before there is one.
_STARTUP_DELAY_S = 10
# The launcher answers with what it knows; how long the guest may take is the launcher's to keep.
_TIMEOUT_S = 5


def probes_of(guest: Guest, port: int) -> Tree:
    """Return the probes; before the first answer the launcher has 2 min, for a node without a cache of QEMU's
    capabilities, and a guest that is not ready is only that: nobody restarts it.

    They name the port by its number. Listed among the container's `ports` it would mean nothing to Kubernetes, and to
    podman that the port be published, which fails where the Pod has no network (podman-kube-play(1)).
    """
    alive: Tree = {"httpGet": {"path": "/livez", "port": port}}
    ready: Tree = {"httpGet": {"path": "/readyz", "port": port}}
    liveness: Tree = {**alive, "periodSeconds": 10, "timeoutSeconds": _TIMEOUT_S, "failureThreshold": 6}
    readiness: Tree = {**ready, "periodSeconds": 5, "timeoutSeconds": _TIMEOUT_S, "failureThreshold": 1}
    return {
        "startupProbe": {**alive, "periodSeconds": 2, "timeoutSeconds": _TIMEOUT_S, "failureThreshold": 60},
        "livenessProbe": liveness if guest.liveness is None else _guests(guest.liveness, "/livez/guest", port),
        "readinessProbe": readiness if guest.readiness is None else _guests(guest.readiness, "/readyz/guest", port),
    }


def _guests(probe: GuestProbe, path: str, port: int) -> Tree:
    """Return the probe with the manifest's own times and counts, as KubeVirt has them."""
    return {
        "httpGet": {"path": path, "port": port},
        "initialDelaySeconds": probe.delay_s + _STARTUP_DELAY_S,
        "periodSeconds": probe.period_s,
        "timeoutSeconds": _TIMEOUT_S,
        "successThreshold": probe.successes,
        "failureThreshold": probe.failures,
    }
