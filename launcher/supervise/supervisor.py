"""The supervisor: one loop over one queue that proves, resumes, watches and ends one guest."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from launcher.errors import HypervisorError
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import Machine
from launcher.planner.model import Pinning
from launcher.supervise.children import ChildReaper, kill, wait_for_end
from launcher.supervise.drift import Drift, Repair, drifts, repairs
from launcher.supervise.lifecycle import (
    Action,
    CallFailed,
    Disproved,
    Event,
    Outcome,
    PinningLost,
    Proved,
    QEMUGone,
    State,
    TimePassed,
    Timing,
    is_alive,
    step,
)
from launcher.supervise.roles import ObservedThread, ThreadKind
from launcher.supervise.threads import ThreadObserver, confine_process, set_affinity

_log = logging.getLogger(__name__)

# Drift is to be repaired within a second; half of it leaves room for a busy machine.
WATCH_INTERVAL_S = 0.5
# Threads come and go while QEMU starts: a proof that fails is repaired and tried again.
PROOF_ATTEMPTS = 5
PROOF_PAUSE_S = 0.05


class DriftPolicy(StrEnum):
    """What to do about a thread that no longer runs where it was planned."""

    REPAIR = "repair"
    REPORT = "report"
    FAIL = "fail"
    OFF = "off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What one supervisor is responsible for."""

    machine: Machine
    process: QEMUProcess
    pinning: Pinning
    vcpus: int
    drift_policy: DriftPolicy = DriftPolicy.REPAIR


class Supervisor:
    """Watches over one guest from the paused QEMU to the end."""

    def __init__(
        self,
        assignment: Assignment,
        *,
        events: queue.SimpleQueue[Event],
        reaper: ChildReaper,
        timing: Timing,
        on_proved: Callable[[tuple[ObservedThread, ...]], None],
    ) -> None:
        """Take over the guest; `on_proved` is called with the evidence, in the loop's thread."""
        self._assignment = assignment
        self._events = events
        self._reaper = reaper
        self._timing = timing
        self._on_proved = on_proved
        self._observer = ThreadObserver(assignment.process.pid)
        self._state = State()
        self._watch_at_s = 0.0
        self._reported: tuple[Drift, ...] = ()

    def run(self, first: Event) -> Outcome:
        """Go through the guest's life from the first event on, and return how it ended."""
        threading.Thread(target=self._wait_for_qemu, name="qemu-end", daemon=True).start()
        self._take(first)
        while self._state.outcome is None:
            self._take(self._next_event())
            self._watch()
        return self._state.outcome

    def _wait_for_qemu(self) -> None:
        wait_for_end(self._assignment.process, self._reaper, lambda how: self._events.put(QEMUGone(how=how)))

    def _next_event(self) -> Event:
        now_s = time.monotonic()
        wake_at_s = [self._state.wake_at_s, self._watch_at_s if self._is_watching() else None]
        timeout_s = min((max(at_s - now_s, 0.0) for at_s in wake_at_s if at_s is not None), default=None)
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return TimePassed()

    def _take(self, event: Event) -> None:
        before = self._state
        self._state, actions = step(before, event, time.monotonic(), self._timing)
        if not isinstance(event, TimePassed):
            _log.debug("event %s: phase %s, actions %s", event, self._state.phase, [str(action) for action in actions])
        if self._state.phase is not before.phase:
            _log.info("%s", self._state.phase)
        if isinstance(event, CallFailed):
            _log.warning("failed: %s", event.detail)
        self._act(actions)

    def _act(self, actions: tuple[Action, ...]) -> None:
        calls = tuple(
            action for action in actions if action in (Action.RESUME, Action.ASK_TO_SHUT_DOWN, Action.DESTROY)
        )
        if Action.PROVE in actions:
            self._prove()
        if Action.KILL in actions:
            _log.warning("killed: QEMU (pid %d) did not end otherwise", self._assignment.process.pid)
            kill(self._assignment.process)
        if calls:
            threading.Thread(target=self._call, args=(calls,), name="calls", daemon=True).start()

    def _call(self, actions: tuple[Action, ...]) -> None:
        """Make these calls one after the other, outside the loop: a stopped QEMU would hold them for long."""
        machine = self._assignment.machine
        functions = {
            Action.RESUME: machine.resume,
            Action.ASK_TO_SHUT_DOWN: machine.ask_to_shut_down,
            Action.DESTROY: machine.destroy,
        }
        for action in actions:
            _log.info("asked: %s", action)
            try:
                functions[action]()
            except HypervisorError as error:
                self._events.put(CallFailed(action=action, detail=str(error)))

    def _prove(self) -> None:
        """Compare plan and kernel, repair and compare again; the guest runs only after the comparison holds."""
        for attempt in range(PROOF_ATTEMPTS):
            observed = self._observer.observe()
            found = self._drifts(observed)
            if not found:
                return self._report_proof(observed)
            _log.info("not yet as planned: %s", "; ".join(map(str, found)))
            self._repair(repairs(found))
            time.sleep(PROOF_PAUSE_S * attempt)
        return self._events.put(Disproved(detail="not pinned as planned: " + "; ".join(map(str, found))))

    def _report_proof(self, observed: tuple[ObservedThread, ...]) -> None:
        confined = confine_process(self._assignment.pinning.emulator)
        _log.info("verified: %d threads run where they were planned", len(observed))
        _log.debug("confined: %d threads of the launcher to CPU %s", confined, self._assignment.pinning.emulator)
        self._on_proved(observed)
        self._events.put(Proved())

    def _is_watching(self) -> bool:
        return is_alive(self._state) and self._assignment.drift_policy is not DriftPolicy.OFF

    def _watch(self) -> None:
        now_s = time.monotonic()
        if not self._is_watching() or now_s < self._watch_at_s:
            return
        self._watch_at_s = now_s + WATCH_INTERVAL_S
        observed = self._observer.observe()
        found = self._drifts(observed) if observed else ()
        if found != self._reported:
            for drift in found:
                _log.warning("drifted: %s", drift)
        self._reported = found
        if found:
            self._answer(found)

    def _answer(self, found: tuple[Drift, ...]) -> None:
        match self._assignment.drift_policy:
            case DriftPolicy.REPAIR:
                self._repair(repairs(found))
            case DriftPolicy.FAIL:
                self._fail(found)
            case DriftPolicy.REPORT | DriftPolicy.OFF:
                pass

    def _fail(self, found: tuple[Drift, ...]) -> None:
        self._take(PinningLost(detail="drifted: " + "; ".join(map(str, found))))

    def _drifts(self, observed: tuple[ObservedThread, ...]) -> tuple[Drift, ...]:
        return drifts(self._assignment.pinning, observed, self._assignment.vcpus)

    def _repair(self, wanted: tuple[Repair, ...]) -> None:
        for repair in wanted:
            try:
                self._put_right(repair)
            except (OSError, HypervisorError) as error:
                _log.warning("not repaired: %s to CPU %s: %s", repair.role, repair.cpus, error)
            else:
                _log.info("repaired: %s to CPU %s", repair.role, repair.cpus)

    def _put_right(self, repair: Repair) -> None:
        """Set the affinity directly; a QEMU of another user is reached through libvirt, as far as libvirt goes."""
        try:
            set_affinity(repair.tid, repair.cpus)
        except PermissionError:
            self._pin_through_libvirt(repair)

    def _pin_through_libvirt(self, repair: Repair) -> None:
        machine, number = self._assignment.machine, repair.role.number or 0
        match repair.role.kind:
            case ThreadKind.VCPU:
                machine.pin_vcpu(number, repair.cpus)
            case ThreadKind.IOTHREAD:
                machine.pin_iothread(number, repair.cpus)
            case ThreadKind.EMULATOR:
                machine.pin_emulator(repair.cpus)
            case ThreadKind.WORKER:
                raise HypervisorError("the thread belongs to another user, and libvirt has no call for it")
