"""The supervisor: one loop over one queue that proves, resumes, watches and ends one guest."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError, HypervisorError, LauncherError
from launcher.host.model import AllowedCPUs
from launcher.hypervisor.process import QEMUProcess
from launcher.hypervisor.protocol import (
    AgentChanged,
    ConnectionLost,
    Machine,
    MachineAilment,
    MachinePaused,
    MachineRebooted,
    MachineState,
)
from launcher.planner.model import Pinning
from launcher.supervise.children import ChildReaper, describe_wait_status, kill, wait_for_end
from launcher.supervise.conditions import with_conditions
from launcher.supervise.damping import MOST_REPAIRS, Damped, History, damp
from launcher.supervise.drift import Drift, Repair, drifts, moves, repairs
from launcher.supervise.exclusivity import Grade
from launcher.supervise.lifecycle import (
    Action,
    CallFailed,
    Disproved,
    Event,
    Outcome,
    Phase,
    PinningLost,
    Proved,
    QEMUGone,
    Reconnected,
    State,
    TimePassed,
    Timing,
    is_alive,
    step,
)
from launcher.supervise.repairer import Repairer, configure
from launcher.supervise.roles import ObservedThread, ThreadKind
from launcher.supervise.snapshot import Snapshot, StartUpPhase
from launcher.supervise.tally import Tally
from launcher.supervise.threads import ThreadObserver, confine_process
from launcher.supervise.thrift import give_back

_log = logging.getLogger(__name__)

# Drift is to be repaired within a second: that leaves a quarter of it for a busy machine. A look costs 0.3 ms.
WATCH_INTERVAL_S = 0.75
# The loop turns at least so often, so that a liveness probe can tell a guest that has nothing to say from a stuck loop.
BEAT_INTERVAL_S = 5.0
# Threads come and go while QEMU starts: a proof that fails is repaired and tried again. What was repaired is looked at
# a while later, longer each time: whoever moved the thread may do it again, and has to get a CPU for that.
PROOF_ATTEMPTS = 5
PROOF_PAUSE_S = 0.1
# What a proof may wait for libvirt in all, where QEMU is another user's: as long as for one call that hangs.
PROOF_REPAIR_S = 10.0
# The running guest's loop waits so long; what libvirt does later is seen at the next look.
REPAIR_S = 1.0
# A QEMU that is being killed has let go of all its threads within milliseconds.
VANISHED_PAUSE_S = 0.05
# A daemon that restarts is back within seconds; a look every second costs nothing, and the guest runs meanwhile.
RECONNECT_INTERVAL_S = 1.0


class DriftPolicy(StrEnum):
    """What to do about a thread that no longer runs where it was planned."""

    REPAIR = "repair"
    REPORT = "report"
    FAIL = "fail"
    OFF = "off"


class Assignment(Struct, frozen=True, kw_only=True):
    """What one supervisor is responsible for, and the edges that it works through.

    `read_allowed` looks at the cpuset as it is now. `replan` finds a plan for a changed cpuset, `record` turns it into
    the metadata that the domain keeps, and `grade` tells how sure it is that these CPUs are ours alone. `reconnect`
    opens the lost connection again and finds the machine behind it; None where that is not possible yet.
    """

    namespace: str
    name: str
    virt_type: str
    machine: Machine
    process: QEMUProcess
    pinning: Pinning
    vcpus: int
    read_allowed: Callable[[], AllowedCPUs]
    replan: Callable[[Pinning, AllowedCPUs], Pinning]
    record: Callable[[Pinning], str]
    grade: Callable[[CPUSet], Grade]
    reconnect: Callable[[], Machine | None]
    drift_policy: DriftPolicy = DriftPolicy.REPAIR
    start_up: tuple[StartUpPhase, ...] = ()
    memory_bytes: int = 0
    agent_connected: bool = False


class Supervisor:
    """Watches over one guest from the paused QEMU to the end."""

    def __init__(
        self,
        assignment: Assignment,
        *,
        events: queue.SimpleQueue[Event],
        reaper: ChildReaper,
        timing: Timing,
        on_proved: Callable[[Pinning, tuple[ObservedThread, ...]], None],
    ) -> None:
        """Take over the guest; `on_proved` is called with the evidence, in the loop's thread."""
        self._assignment = assignment
        self.machine = assignment.machine
        self._pinning = assignment.pinning
        self._allowed = AllowedCPUs(cpus=assignment.pinning.cpuset, source=assignment.pinning.source)
        self._grade = assignment.grade(self._allowed.cpus)
        self._events = events
        self._reaper = reaper
        self._timing = timing
        self._on_proved = on_proved
        self._observer = ThreadObserver(assignment.process.pid)
        self._state = State()
        self._phase_since = time.time()
        self._paused_reason = ""
        self._agent_connected = assignment.agent_connected
        self._watch_at_s = 0.0
        self._threads: tuple[ObservedThread, ...] = ()
        self._found: tuple[Drift, ...] = ()
        self._verified_at: float | None = None
        self._tally = Tally()
        self._repairer = Repairer()
        self._history = History()
        # The threads that were told to be flapping, the last reason for which the cpuset could not be read, the plan
        # that the domain has on record, and who is at work on that and on the lost connection.
        self._left_alone: frozenset[int] = frozenset()
        self._unread = ""
        self._fault = ""
        self._recorded = assignment.pinning
        self._recording = threading.Lock()
        self._reconnecting = threading.Lock()
        self._judged: tuple[object, object] = (None, None)
        self._published = self._shown()
        self.snapshot = with_conditions(self._take_snapshot(), previous=None, now=time.time())

    def run(self, first: Event) -> Outcome:
        """Go through the guest's life from the first event on, and return how it ended."""
        threading.Thread(target=self._wait_for_qemu, name="qemu-end", daemon=True).start()
        self._take(first)
        while self._state.outcome is None:
            self._take(self._next_event())
            self._watch()
            self._publish()
        return self._state.outcome

    def _wait_for_qemu(self) -> None:
        wait_for_end(self._assignment.process, self._reaper, lambda status: self._events.put(_gone(status)))

    def _next_event(self) -> Event:
        now_s = time.monotonic()
        wake_at_s = (self._state.wake_at_s, self._watch_at_s if self._is_watching() else None, now_s + BEAT_INTERVAL_S)
        timeout_s = min(max(at_s - now_s, 0.0) for at_s in wake_at_s if at_s is not None)
        try:
            return self._events.get(timeout=timeout_s)
        except queue.Empty:
            return TimePassed()

    def _take(self, event: Event) -> None:
        before = self._state
        self._state, actions = step(before, event, time.monotonic(), self._timing)
        self._note(event, before)
        if self._state.phase is Phase.RUNNING and before.phase in (Phase.STARTING, Phase.PROVED):
            self._record_soon(self._record_run)
        if Action.PROVE in actions:
            self._guarded(self._prove)
        if Action.KILL in actions:
            _log.warning("killed: QEMU (pid %d) did not end otherwise", self._assignment.process.pid)
            kill(self._assignment.process)
        calls = tuple(action for action in actions if action not in (Action.PROVE, Action.KILL))
        if calls:
            self._begin_calls(calls)

    def _begin_calls(self, calls: tuple[Action, ...]) -> None:
        try:
            self._call_soon(lambda: self._call(calls))
        except RuntimeError as error:
            # There may be no thread to be had (pids.max); that is no reason to end the guest.
            for action in calls:
                self._events.put(CallFailed(action=action, detail=f"{action}: {error}"))

    def _note(self, event: Event, before: State) -> None:
        if isinstance(event, TimePassed):
            return
        _log.debug("event: %s; phase %s", event, self._state.phase)
        if isinstance(event, CallFailed):
            _log.warning("failed: %s", event.detail)
        if isinstance(event, MachineAilment):
            _log.warning("ailing: %s", event.detail)
        if isinstance(event, MachineRebooted):
            _log.info("rebooted: the guest has reset itself")
        if isinstance(event, ConnectionLost):
            _log.warning("connection lost: %s; the guest goes on", event.reason)
        if isinstance(event, AgentChanged):
            self._agent_connected = event.connected
            _log.info("agent: %s", "connected" if event.connected else "gone")
        if isinstance(event, MachinePaused):
            self._paused_reason = event.reason
        if self._state.phase is not before.phase:
            self._phase_since = time.time()
            _log.info("phase: %s", self._state.phase)
            if self._state.phase is Phase.RUNNING:
                give_back()

    def _call_soon(self, call: Callable[[], None]) -> None:
        threading.Thread(target=call, name="calls", daemon=True).start()

    def _record_soon(self, record: Callable[[], None]) -> None:
        try:
            self._call_soon(record)
        except RuntimeError as error:
            _log.warning("not recorded: %s", error)

    def _call(self, actions: tuple[Action, ...]) -> None:
        """Make these calls one after the other, outside the loop: a stopped QEMU would hold them for long."""
        machine = self.machine
        functions: dict[Action, Callable[[], None]] = {
            Action.RESUME: machine.resume,
            Action.PAUSE: machine.pause,
            Action.RESET: machine.reset,
            Action.ASK_TO_SHUT_DOWN: machine.ask_to_shut_down,
            Action.DESTROY: machine.destroy,
            Action.RECONNECT: self._reconnect,
        }
        for action in actions:
            _log.info("asked: %s", action)
            try:
                functions[action]()
            except HypervisorError as error:
                self._events.put(CallFailed(action=action, detail=str(error)))

    def _reconnect(self) -> None:
        """Try until the hypervisor answers again; the guest runs meanwhile, and its end is seen without it."""
        with self._reconnecting:
            while self._state.outcome is None:
                machine = self._assignment.reconnect()
                state = None if machine is None else self._state_of(machine)
                if machine is not None and state is not None:
                    self.machine = machine
                    self._events.put(Reconnected(running=state is MachineState.RUNNING))
                    self._record_plan()
                    return
                time.sleep(RECONNECT_INTERVAL_S)

    def _state_of(self, machine: Machine) -> MachineState | None:
        """Return the state of a machine that was found again; None where it is another one or cannot be asked yet."""
        try:
            return machine.state() if machine.uuid == self.machine.uuid else None
        except HypervisorError as error:
            _log.debug("not reconnected: %s", error)
            return None

    def _prove(self) -> None:
        """Compare plan and kernel, repair and compare again; the guest runs only after the comparison holds."""
        if self._is_watching():
            self._watch_cpuset()
        ends_s = time.monotonic() + (PROOF_REPAIR_S if self._state.phase is Phase.UNPROVED else REPAIR_S)
        for attempt in range(PROOF_ATTEMPTS):
            self._look()
            if not self._found:
                return self._report_proof()
            _log.info("differs: %s", _listed(self._found))
            self._put_right(repairs(self._found), max(ends_s - time.monotonic(), 0.0))
            time.sleep(PROOF_PAUSE_S * (attempt + 1))
        return self._events.put(Disproved(detail=f"not pinned as planned: {_listed(self._found)}"))

    def _report_proof(self) -> None:
        self._confine(self._pinning.launcher)
        _log.info("verified: %d threads run where they were planned", len(self._threads))
        self._on_proved(self._pinning, self._threads)
        self._events.put(Proved())

    def _confine(self, cpus: CPUSet) -> None:
        """Keep the launcher itself off the vCPUs' CPUs; the cpuset may have changed since these were planned."""
        try:
            confine_process(cpus)
        except OSError as error:
            _log.warning("not confined: the launcher itself to CPU %s: %s", cpus, error.strerror)

    def _look(self) -> None:
        self._threads = self._observer.observe()
        if self._judged[0] is not self._threads or self._judged[1] is not self._pinning:
            self._found = drifts(self._pinning, self._threads, self._assignment.vcpus)
            self._judged = (self._threads, self._pinning)
        self._verified_at = None if self._found else time.time()

    def _look_after(self, pause_s: float) -> None:
        """Look once more a little later; where QEMU has ended meanwhile nothing is missing, for all is over."""
        time.sleep(pause_s)
        self._look()
        if not self._threads:
            self._found = ()

    def _is_watching(self) -> bool:
        return is_alive(self._state) and self._assignment.drift_policy is not DriftPolicy.OFF

    def _watch(self) -> None:
        now_s = time.monotonic()
        if not self._is_watching() or now_s < self._watch_at_s:
            return
        self._watch_at_s = now_s + WATCH_INTERVAL_S
        self._guarded(lambda: self._look_and_answer(now_s))

    def _guarded(self, look: Callable[[], None]) -> None:
        """Look at a guest that runs, and do not lose it for a fault of ours or of this machine: nothing is proved then.

        The one boundary of the loop. A guest that has not run yet is not kept.
        """
        try:
            look()
        except Exception as error:
            if not is_alive(self._state):
                raise
            self._tell_fault(error)
        else:
            if self._fault:
                _log.info("watched again")
            self._fault = ""

    def _tell_fault(self, error: Exception) -> None:
        self._verified_at = None
        if repr(error) != self._fault:
            _log.error("not watched: %s", error, exc_info=error)
        self._fault = repr(error)

    def _look_and_answer(self, now_s: float) -> None:
        before = self._found
        self._watch_cpuset()
        self._look_for_drift()
        if self._found:
            self._answer(now_s)
        elif before:
            _log.info("verified: %d threads run where they were planned", len(self._threads))

    def _look_for_drift(self) -> None:
        """Look, and tell and count what differs that did not before."""
        before, known = set(self._found), {thread.tid for thread in self._threads}
        self._look()
        if self._place_newborn(known):
            self._look()
        if any(drift.actual is None for drift in self._found):
            # QEMU's threads end one by one when it dies; the kernel's own word of its end is on its way.
            self._look_after(VANISHED_PAUSE_S)
        if self._state.verdict is not None:
            # The guest has ended: on a slow machine QEMU's threads are gone long before QEMU is.
            self._found = tuple(drift for drift in self._found if drift.actual is not None)
        for drift in self._found:
            if drift not in before:
                _log.warning("drifted: %s", drift)
                self._tally = self._tally.with_drift(drift.role.kind)

    def _place_newborn(self, known: set[int]) -> bool:
        """Give workers that have come since the last look their CPUs, and tell whether there were any.

        Nobody moved them: a thread begins with the CPUs of the one that made it, such as an IOThread of the pool.
        """
        newborn = tuple(
            drift for drift in self._found if drift.role.kind is ThreadKind.WORKER and drift.tid not in known
        )
        self._put_right(repairs(newborn))
        return bool(newborn)

    def _put_right(self, wanted: tuple[Repair, ...], timeout_s: float = REPAIR_S) -> tuple[Repair, ...]:
        return self._repairer.put_right(self.machine, wanted, timeout_s=timeout_s)

    def _answer(self, now_s: float) -> None:
        match self._assignment.drift_policy:
            case DriftPolicy.REPAIR:
                self._repair(now_s)
            case DriftPolicy.FAIL:
                self._take(PinningLost(detail=f"drifted: {_listed(self._found)}"))
            case DriftPolicy.REPORT | DriftPolicy.OFF:
                pass

    def _repair(self, now_s: float) -> None:
        damped = damp(self._history, repairs(self._found), now_s)
        self._history = damped.history
        self._tell_flapping(damped)
        for repair in self._put_right(damped.wanted):
            self._tally = self._tally.with_repair(repair.role.kind)
        # What moves QEMU's threads, such as a cpuset rewritten on an old kernel, moves the launcher's own as well.
        self._confine(self._pinning.launcher)
        if damped.wanted:
            self._look_for_drift()

    def _tell_flapping(self, damped: Damped) -> None:
        """Say once of each thread that it is left alone, until it has been quiet for a while."""
        for repair in damped.refused:
            if repair.tid not in self._left_alone:
                _log.warning("flapping: %s was repaired too often within a minute and is left alone", repair.role)
        told = self._left_alone | {repair.tid for repair in damped.refused}
        self._left_alone = frozenset(tid for tid in told if damped.history.times(tid) >= MOST_REPAIRS)

    def _watch_cpuset(self) -> None:
        """Look at the cpuset; where it changed, weigh the evidence again, and plan anew if the plan no longer holds."""
        try:
            allowed = self._assignment.read_allowed()
            is_same = allowed.cpus == self._allowed.cpus
            grade = self._grade if is_same else self._assignment.grade(allowed.cpus)
        except HostError as error:
            if str(error) != self._unread:
                _log.warning("cpuset not read: %s", error)
            self._unread = str(error)
            return
        self._unread = ""
        if is_same:
            return
        _log.warning("cpuset: %s, read from %s (was %s)", allowed.cpus, allowed.source, self._allowed.cpus)
        self._allowed, self._grade = allowed, grade
        self._tally = self._tally.with_cpuset_change()
        if self._assignment.drift_policy is DriftPolicy.REPAIR:
            self._replan(allowed)

    def _replan(self, allowed: AllowedCPUs) -> None:
        try:
            pinning = self._assignment.replan(self._pinning, allowed)
        except LauncherError as error:
            _log.warning("not replanned: %s", error)
            return
        moved = moves(self._pinning, pinning, self._assignment.vcpus)
        self._pinning = pinning
        _log.log(
            logging.WARNING if pinning.degraded else logging.INFO,
            "replanned: %s%s",
            ", ".join(f"{move.role} to CPU {move.cpus}" for move in moved) or "nothing moves",
            "; degraded: vCPUs share CPUs" if pinning.degraded else "",
        )
        self._confine(pinning.launcher)
        self._look()
        self._put_right(repairs(self._found))
        self._record_soon(self._record_plan)

    def _record_plan(self) -> None:
        """Have libvirt's configuration and our record follow the plan that the kernel already has.

        The newest plan is what counts, also where an older one is still being recorded; what fails while the connection
        is lost is made up for when it is there again.
        """
        with self._recording:
            pinning = self._pinning
            if pinning is self._recorded:
                return
            try:
                for move in moves(self._recorded, pinning, self._assignment.vcpus):
                    configure(self.machine, move.role, move.cpus)
                self.machine.record_plan(self._assignment.record(pinning))
            except HypervisorError as error:
                self._tell_unrecorded(error)
                return
            self._recorded = pinning
            _log.info("recorded: the plan over CPU %s", pinning.cpuset)

    def _record_run(self) -> None:
        """Note in the domain that the guest has run, so that a later launcher can tell that it was paused."""
        try:
            self.machine.record_run()
        except HypervisorError as error:
            self._tell_unrecorded(error)

    def _tell_unrecorded(self, error: HypervisorError) -> None:
        _log.log(logging.WARNING if is_alive(self._state) else logging.DEBUG, "not recorded: %s", error)

    def _publish(self) -> None:
        """Replace the snapshot; a turn in which nothing happened only tells that the loop turns and looked again."""
        shown = self._shown()
        if all(now is before for now, before in zip(shown, self._published, strict=True)):
            self.snapshot = replace(self.snapshot, beat_s=time.monotonic(), verified_at=self._verified_at)
            return
        self._published = shown
        self.snapshot = with_conditions(self._take_snapshot(), previous=self.snapshot, now=time.time())

    def _shown(self) -> tuple[object, ...]:
        """Return everything that the snapshot shows and that changes only by being replaced."""
        return (
            self._state,
            self._threads,
            self._found,
            self._pinning,
            self._allowed,
            self._grade,
            self._tally,
            self._paused_reason,
            self._agent_connected,
        )

    def _take_snapshot(self) -> Snapshot:
        assignment = self._assignment
        return Snapshot(
            namespace=assignment.namespace,
            name=assignment.name,
            uuid=self.machine.uuid,
            pid=assignment.process.pid,
            virt_type=assignment.virt_type,
            phase=self._state.phase,
            phase_since=self._phase_since,
            pinning=self._pinning,
            beat_s=time.monotonic(),
            vcpus=assignment.vcpus,
            threads=self._threads,
            drifts=self._found,
            verified_at=self._verified_at,
            is_watched=assignment.drift_policy is not DriftPolicy.OFF,
            paused_reason=self._paused_reason,
            drift_counts=self._tally.drifts,
            repair_counts=self._tally.repairs,
            cpuset=str(self._allowed.cpus),
            cpuset_source=self._allowed.source,
            cpuset_changes=self._tally.cpuset_changes,
            exclusivity=self._grade.exclusivity,
            exclusivity_reason=self._grade.reason,
            start_up=assignment.start_up,
            memory_bytes=assignment.memory_bytes,
            agent_connected=self._agent_connected,
        )


def _listed(found: tuple[Drift, ...]) -> str:
    return "; ".join(map(str, found))


def _gone(status: int | None) -> QEMUGone:
    if status is None:
        return QEMUGone()
    return QEMUGone(how=describe_wait_status(status), by_signal=os.WIFSIGNALED(status))
