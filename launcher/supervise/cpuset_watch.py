"""The container's cpuset under watch: which CPUs there are now, and how sure it is that they are ours alone."""

from __future__ import annotations

import logging
from collections.abc import Callable

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import AllowedCPUs
from launcher.supervise.exclusivity import Grade

_log = logging.getLogger(__name__)


class CpusetWatch:
    """Looks at the cpuset again and again.

    `allowed` is what the last look found, `grade` how well it is known to be ours, `changes` how often it changed.
    """

    def __init__(
        self, allowed: AllowedCPUs, *, read: Callable[[], AllowedCPUs], weigh: Callable[[CPUSet], Grade]
    ) -> None:
        """Begin with the CPUs that were planned over; raises HostError where the evidence cannot be read."""
        self.allowed = allowed
        self.grade = weigh(allowed.cpus)
        self.changes = 0
        self._read = read
        self._weigh = weigh
        # The last reason for which it could not be read, told once.
        self._unread = ""

    def has_changed(self) -> bool:
        """Look, and tell whether there are other CPUs than at the last look; the evidence is weighed again then."""
        try:
            allowed = self._read()
            is_same = allowed.cpus == self.allowed.cpus
            grade = self.grade if is_same else self._weigh(allowed.cpus)
        except HostError as error:
            self._tell_unread(str(error))
            return False
        self._unread = ""
        if is_same:
            return False
        _log.warning("cpuset: %s, read from %s (was %s)", allowed.cpus, allowed.source, self.allowed.cpus)
        self.allowed, self.grade = allowed, grade
        self.changes += 1
        return True

    def _tell_unread(self, reason: str) -> None:
        if reason != self._unread:
            _log.warning("cpuset not read: %s", reason)
        self._unread = reason
