"""The wait for the cpuset: what the kubelet writes may come seconds after the container's start."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import TypeVar

from launcher.cpuset import CPUSet
from launcher.errors import CPUsContradict, DoesNotFit
from launcher.host.model import AllowedCPUs

_log = logging.getLogger(__name__)

Plan = TypeVar("Plan")

# The cpuset is a small file; five looks a second see a change soon without being felt.
LOOK_INTERVAL_S = 0.2


def settle(
    read_allowed: Callable[[], AllowedCPUs],
    plan: Callable[[AllowedCPUs], Plan],
    *,
    timeout_s: float,
    is_stopping: Callable[[], bool],
) -> Plan:
    """Plan over the CPUs that may be used, and wait up to `timeout_s` seconds for a cpuset into which the guest fits.

    kubernetes#138731: a container may see the whole machine or a wrong cpuset for up to ten seconds. What the
    environment says of the CPUs is right from the start: where it contradicts the cpuset, that may be late. Raises the
    last DoesNotFit or CPUsContradict when the time is over, or at once when somebody wants the launcher to stop.
    """
    ends_s = time.monotonic() + timeout_s
    seen: CPUSet | None = None
    while True:
        allowed = read_allowed()
        if allowed.cpus != seen:
            _log.info("cpuset: %s, read from %s", allowed.cpus, allowed.source)
            seen = allowed.cpus
        try:
            return plan(allowed)
        except (DoesNotFit, CPUsContradict) as error:
            if time.monotonic() >= ends_s or is_stopping():
                raise
            _log.debug("does not fit yet: %s", error)
        time.sleep(LOOK_INTERVAL_S)
