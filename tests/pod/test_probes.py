"""The probes of the launcher's container, and the guest's own, for which the launcher answers."""

from __future__ import annotations

import pytest

from launcher.pod.manifest import PORT
from tests.pod.pods import rendered

GUEST = "domain: {{memory: {{guest: 1Gi}}}}\n{probes}"
OWN_READINESS = {
    "httpGet": {"path": "/readyz", "port": PORT}, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 1
}  # fmt: skip


def probes(text: str) -> tuple[dict[str, object], dict[str, object]]:
    found = rendered(GUEST.format(probes=text)).launcher
    return found["readinessProbe"], found["livenessProbe"]


def test_without_a_wish_the_launcher_answers_for_itself() -> None:
    ready, alive = probes("")
    assert ready == OWN_READINESS
    assert alive["httpGet"] == {"path": "/livez", "port": PORT}


PROBES = ["exec: {command: [cat, /etc/ready]}", "guestAgentPing: {}"]


@pytest.mark.parametrize("probe", PROBES)
def test_the_guests_probe_has_the_manifests_times_and_the_launcher_makes_it(probe: str) -> None:
    times = "initialDelaySeconds: 120, periodSeconds: 20, timeoutSeconds: 10, failureThreshold: 10, successThreshold: 3"
    ready, alive = probes(f"readinessProbe: {{{probe}, {times}}}\nlivenessProbe: {{{probe}}}")
    assert ready == {
        "httpGet": {"path": "/readyz/guest", "port": PORT},
        "initialDelaySeconds": 130,
        "periodSeconds": 20,
        "timeoutSeconds": 5,
        "successThreshold": 3,
        "failureThreshold": 10,
    }
    assert alive == {
        "httpGet": {"path": "/livez/guest", "port": PORT},
        "initialDelaySeconds": 10,
        "periodSeconds": 10,
        "timeoutSeconds": 5,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


def test_the_start_is_the_launchers_own_affair() -> None:
    found = rendered(GUEST.format(probes="livenessProbe: {guestAgentPing: {}}")).launcher
    assert found["startupProbe"]["httpGet"]["path"] == "/livez"
