"""The pinning under watch: plan and kernel compared, thread by thread, and put right where they differ."""

from __future__ import annotations

import logging
import time

from launcher.planner.model import Pinning
from launcher.supervise.companions import confine_companions
from launcher.supervise.damping import MOST_REPAIRS, Damped, History, damp
from launcher.supervise.drift import Drift, Repair, drifts, moves, repairs
from launcher.supervise.repairer import Pinner, Repairer
from launcher.supervise.roles import ObservedThread, ThreadKind
from launcher.supervise.tally import Tally
from launcher.supervise.threads import ThreadObserver, confine_process, has_ended, is_stopped

_log = logging.getLogger(__name__)

# Threads come and go while QEMU starts: a proof that fails is repaired and tried again. What was repaired is looked at
# a while later, longer each time: whoever moved the thread may do it again, and has to get a CPU for that.
PROOF_ATTEMPTS = 5
PROOF_PAUSE_S = 0.1
# The running guest's loop waits so long; what libvirt does later is seen at the next look.
REPAIR_S = 1.0
# A QEMU that is being killed has let go of all its threads within milliseconds.
VANISHED_PAUSE_S = 0.05
# Those that come and go, and that nobody but us pins.
_UNPINNED = (ThreadKind.WORKER, ThreadKind.VHOST)


class PinningWatch:
    """Looks at QEMU's threads again and again; one thread's own, the loop's.

    `threads` and `found`, what differs, are of the last look. `verified_at` is when the kernel last confirmed the whole
    plan, in seconds since the epoch; None while something differs. `is_stopped` tells of QEMU's process. `tally` counts
    drifts and repairs.
    """

    def __init__(self, pid: int, pinning: Pinning, vcpus: int) -> None:
        """Watch the QEMU of this pid, which has so many vCPUs."""
        self.pinning = pinning
        self.threads: tuple[ObservedThread, ...] = ()
        self.found: tuple[Drift, ...] = ()
        self.verified_at: float | None = None
        self.is_stopped = False
        self.tally = Tally()
        self._pid = pid
        self._vcpus = vcpus
        self._observer = ThreadObserver(pid)
        self._repairer = Repairer()
        self._history = History()
        # The threads that were told to be flapping, and what was compared last.
        self._left_alone: frozenset[int] = frozenset()
        self._judged: tuple[object, object] = (None, None)

    def prove(self, pinner: Pinner, *, repair_s: float) -> bool:
        """Compare plan and kernel, repair and compare again; tell whether the comparison holds.

        Repairs wait for the pinner for `repair_s` seconds in all.
        """
        ends_s = time.monotonic() + repair_s
        for attempt in range(PROOF_ATTEMPTS):
            self._look()
            if not self.found:
                return True
            _log.info("differs: %s", self.differences)
            self._put_right(pinner, repairs(self.found), max(ends_s - time.monotonic(), 0.0))
            time.sleep(PROOF_PAUSE_S * (attempt + 1))
        return False

    def has_changed(self) -> bool:
        """Tell by a glance whether a look would find anything else than the last one did."""
        return self._observer.has_changed()

    def close(self) -> None:
        """Let go of what was kept open for glances."""
        self._observer.close()

    def look_for_drift(self, pinner: Pinner, *, has_ended: bool) -> None:
        """Look, and tell and count what differs that did not before; `has_ended` is the guest, QEMU may not have."""
        before, known = set(self.found), {thread.tid for thread in self.threads}
        self._look()
        if self._place_newborn(pinner, known):
            self._look()
        if any(drift.actual is None for drift in self.found):
            # QEMU's threads end one by one when it dies; the kernel's own word of its end is on its way.
            self._look_after(VANISHED_PAUSE_S)
        if has_ended:
            # On a slow machine QEMU's threads are gone long before QEMU is.
            self.found = tuple(drift for drift in self.found if drift.actual is not None)
        for drift in self.found:
            if drift not in before:
                _log.warning("drifted: %s", drift)
                self.tally = self.tally.with_drift(drift.role.kind)

    def look_for_stop(self) -> None:
        """Look whether somebody has stopped QEMU, and tell a change."""
        before, self.is_stopped = self.is_stopped, is_stopped(self._pid)
        if self.is_stopped and not before:
            _log.warning("stopped: QEMU (pid %d), by a signal or a debugger; SIGCONT lets it go on", self._pid)
        if before and not self.is_stopped:
            _log.info("continued: QEMU (pid %d)", self._pid)

    def repair(self, pinner: Pinner, now_s: float) -> bool:
        """Put right what differs, but for what was put right too often; tell whether there was anything to do."""
        damped = damp(self._history, repairs(self.found), now_s)
        self._history = damped.history
        self._tell_flapping(damped)
        for repair in self._put_right(pinner, damped.wanted):
            self.tally = self.tally.with_repair(repair.role.kind)
        # What moves QEMU's threads, such as a cpuset rewritten on an old kernel, moves the launcher's own as well.
        self.confine()
        return bool(damped.wanted)

    def follow(self, pinner: Pinner, pinning: Pinning) -> None:
        """Move the threads to where a new plan has them."""
        moved = moves(self.pinning, pinning, self._vcpus)
        self.pinning = pinning
        _log.log(
            logging.WARNING if pinning.degraded else logging.INFO,
            "replanned: %s%s",
            ", ".join(f"{move.role} to CPU {move.cpus}" for move in moved) or "nothing moves",
            "; degraded: vCPUs share CPUs" if pinning.degraded else "",
        )
        self.confine()
        self._look()
        self._put_right(pinner, repairs(self.found))

    def confine(self) -> None:
        """Keep the launcher off the vCPUs' CPUs, and swtpm and passt; the cpuset may have changed since the plan."""
        cpus = self.pinning.launcher
        try:
            confine_process(cpus)
            confine_companions(cpus, besides=self._pid)
        except OSError as error:
            _log.warning("not confined: the launcher itself to CPU %s: %s", cpus, error.strerror)

    def doubt(self) -> None:
        """Take back that the plan is verified: it could not be looked at."""
        self.verified_at = None

    @property
    def differences(self) -> str:
        """What differed at the last look, in words."""
        return "; ".join(map(str, self.found))

    def _look(self) -> None:
        self.threads = self._observer.observe()
        if self._judged[0] is not self.threads or self._judged[1] is not self.pinning:
            self.found = drifts(self.pinning, self.threads, self._vcpus)
            self._judged = (self.threads, self.pinning)
        self.verified_at = None if self.found else time.time()

    def _look_after(self, pause_s: float) -> None:
        """Look once more a little later; where QEMU has ended meanwhile nothing is missing, for all is over."""
        time.sleep(pause_s)
        self._look()
        if has_ended(self._pid):
            self.found = ()

    def _place_newborn(self, pinner: Pinner, known: set[int]) -> bool:
        """Give workers that have come since the last look their CPUs, and tell whether there were any.

        Nobody moved them: a thread begins with the CPUs of the one that made it, such as an IOThread of the pool.
        """
        newborn = tuple(drift for drift in self.found if drift.role.kind in _UNPINNED and drift.tid not in known)
        self._put_right(pinner, repairs(newborn))
        return bool(newborn)

    def _put_right(self, pinner: Pinner, wanted: tuple[Repair, ...], timeout_s: float = REPAIR_S) -> tuple[Repair, ...]:
        return self._repairer.put_right(pinner, wanted, timeout_s=timeout_s)

    def _tell_flapping(self, damped: Damped) -> None:
        """Say once of each thread that it is left alone, until it has been quiet for a while."""
        for repair in damped.refused:
            if repair.tid not in self._left_alone:
                _log.warning("flapping: %s was repaired too often within a minute and is left alone", repair.role)
        told = self._left_alone | {repair.tid for repair in damped.refused}
        self._left_alone = frozenset(tid for tid in told if damped.history.times(tid) >= MOST_REPAIRS)
