"""The container's cpuset under watch: which CPUs there are now, and how sure it is that they are ours alone."""

from __future__ import annotations

import logging
from collections.abc import Callable

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import AllowedCPUs
from launcher.supervise.exclusivity import Grade

_log = logging.getLogger(__name__)
# A Pod is resized once in its life, if at all, and nothing of the guest's depends on how soon that is told.
LOOKS_BETWEEN_TIMES = 6


class CpusetWatch:
    """Looks at the cpuset again and again.

    `allowed` is what the last look found, `grade` how well it is known to be ours, `changes` how often it changed;
    `fault` says why the last look found nothing; `resized` that the container was given another number of CPUs than its
    cpuset holds, as the kubelet's static policy leaves it after a resize in place.
    """

    def __init__(
        self,
        allowed: AllowedCPUs,
        *,
        read: Callable[[], AllowedCPUs],
        weigh: Callable[[CPUSet], Grade],
        read_time: Callable[[], int | None] = lambda: None,
    ) -> None:
        """Begin with the CPUs that were planned over; raises HostError where the evidence cannot be read.

        `read_time` tells how many CPUs' time the container was given, None where that is not known.
        """
        self.allowed = allowed
        self.grade = weigh(allowed.cpus)
        self.changes = 0
        self.fault = ""
        self.resized = ""
        self._read = read
        self._weigh = weigh
        self._read_time = read_time
        self._looks = 0

    def has_changed(self) -> bool:
        """Look, and tell whether there are other CPUs than at the last look; the evidence is weighed again then."""
        self._look_at_time()
        try:
            allowed = self._read()
            is_same = allowed.cpus == self.allowed.cpus
            grade = self.grade if is_same else self._weigh(allowed.cpus)
        except HostError as error:
            self._tell_unread(str(error))
            return False
        if self.fault:
            _log.info("cpuset: it can be read again")
        self.fault = ""
        if is_same:
            return False
        _log.warning("cpuset: %s, read from %s (was %s)", allowed.cpus, allowed.source, self.allowed.cpus)
        self.allowed, self.grade = allowed, grade
        self.changes += 1
        return True

    def _tell_unread(self, reason: str) -> None:
        if reason != self.fault:
            _log.warning("cpuset not read: %s", reason)
        self.fault = reason

    def _look_at_time(self) -> None:
        """Tell where the container's time is no longer that of its cpuset, and where it is again."""
        self._looks += 1
        if self._looks % LOOKS_BETWEEN_TIMES:
            return
        try:
            count = self._read_time()
        except HostError:
            # A control group that cannot be read is told by the look at its cpuset.
            return
        is_equal = count is None or count == len(self.allowed.cpus)
        resized = "" if is_equal else _resized_in_words(count, self.allowed.cpus)
        if resized != self.resized:
            _log.warning("cpuset: %s", resized or "the container's time is that of its cpuset again")
        self.resized = resized


def _resized_in_words(count: int | None, cpus: CPUSet) -> str:
    unit = "CPU's" if count == 1 else "CPUs'"
    return (
        f"the container may use {count} {unit} time, its cpuset is still {cpus}: it was resized in place, and the "
        "kubelet's static policy leaves the CPUs as they were; so does the guest"
    )
