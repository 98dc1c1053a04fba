"""What KVM counts for every vCPU, from a source that may hang, made harmless for those who may not wait."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

from launcher.errors import HypervisorError

_log = logging.getLogger(__name__)

# A QEMU that is alive answers in 10 ms; a scrape must not keep a probe of the launcher waiting.
WAIT_S = 0.25

# libvirt's statistics of a domain (VIR_DOMAIN_STATS_VCPU), by their own names: "vcpu.0.exits.sum". From 8.9 on, with
# QEMU 7.1 and newer, and for KVM alone; whatever else is in there is passed over.
KVMCounters = Callable[[], Mapping[str, int]]


def no_kvm_counters() -> Mapping[str, int]:
    """Return no counters: for guests whose CPUs are emulated, and hypervisors that do not count."""
    return {}


class ImpatientCounters:
    """Asks a source in a thread of its own and gives up soon; while it still hangs nobody asks it again."""

    def __init__(self, read: KVMCounters, *, wait_s: float = WAIT_S) -> None:
        self._read = read
        self._wait_s = wait_s
        self._asking: threading.Thread | None = None
        self._counters: Mapping[str, int] = {}

    def __call__(self) -> Mapping[str, int]:
        """Return the counters; none where the source fails or does not answer in time. For one thread at a time."""
        if self._read is no_kvm_counters or (self._asking is not None and self._asking.is_alive()):
            return {}
        self._counters = {}
        self._asking = threading.Thread(target=self._ask, name="kvm-counters", daemon=True)
        self._asking.start()
        self._asking.join(self._wait_s)
        return {} if self._asking.is_alive() else self._counters

    def _ask(self) -> None:
        try:
            self._counters = self._read()
        except HypervisorError as error:
            _log.debug("no KVM counters: %s", error)
