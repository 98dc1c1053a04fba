"""The supervisor: one loop over one queue that proves, resumes, watches and ends one guest."""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable
from contextlib import closing

from msgspec.structs import replace

from launcher.errors import LauncherError
from launcher.host.model import AllowedCPUs
from launcher.hypervisor.protocol import (
    AgentChanged,
    ConnectionLost,
    DeviceRemoved,
    Machine,
    MachineAilment,
    MachinePaused,
    MachineRebooted,
)
from launcher.planner.model import Pinning
from launcher.supervise.assignment import Assignment, DriftPolicy
from launcher.supervise.caller import Caller
from launcher.supervise.children import ChildReaper, describe_wait_status, kill, wait_for_end
from launcher.supervise.conditions import with_conditions
from launcher.supervise.cpuset_watch import CpusetWatch
from launcher.supervise.device_watch import LOOK_INTERVAL_S as DEVICE_INTERVAL_S
from launcher.supervise.device_watch import DeviceWatch
from launcher.supervise.errands import Errands
from launcher.supervise.giveback import give_back
from launcher.supervise.greeter import Greeter
from launcher.supervise.lifecycle import (
    Action,
    CallFailed,
    Disproved,
    Event,
    Events,
    Outcome,
    Phase,
    PinningLost,
    Proved,
    QEMUGone,
    State,
    TimePassed,
    Timing,
    is_alive,
    step,
)
from launcher.supervise.memory_watch import MemoryWatch, misplaced
from launcher.supervise.pace import Pace
from launcher.supervise.pinning_watch import REPAIR_S, PinningWatch
from launcher.supervise.recorder import Recorder
from launcher.supervise.roles import ObservedThread
from launcher.supervise.snapshot import Snapshot
from launcher.supervise.throttle import Throttle

_log = logging.getLogger(__name__)

# The loop turns at least so often, so that a liveness probe can tell a guest that has nothing to say from a stuck loop.
BEAT_INTERVAL_S = 5.0
# Glances tell when there is something to look at. What they cannot see, such as a QEMU that was stopped or a process
# that was moved to another control group, is looked at so often.
LOOK_INTERVAL_S = 5.0
# While something differs, or could not be looked at, it is looked at so often.
UNSETTLED_INTERVAL_S = 0.75
# What a proof may wait for libvirt in all, where QEMU is another user's: as long as for one call that hangs.
PROOF_REPAIR_S = 10.0
# A call that is under way when QEMU dies has libvirt write its record of the domain once more, which nobody would clear
# up. It fails within milliseconds, but for one to a daemon that does not answer.
LAST_ERRANDS_S = 0.5


class Supervisor:
    """Watches over one guest from the paused QEMU to the end."""

    def __init__(
        self,
        assignment: Assignment,
        *,
        events: Events,
        reaper: ChildReaper,
        timing: Timing,
        on_proved: Callable[[Pinning, tuple[ObservedThread, ...]], None],
    ) -> None:
        """Take over the guest; `on_proved` is called with the evidence, in the loop's thread."""
        self._assignment = assignment
        self._events = events
        self._reaper = reaper
        self._timing = timing
        self._on_proved = on_proved
        self._state = State(starts_paused=assignment.starts_paused)
        self._phase_since = time.time()
        self._paused_reason = ""
        self._agent_connected = assignment.agent_connected
        self._pace = Pace(assignment.vcpus)
        self._glance_at_s = self._look_at_s = 0.0
        # The last reason for which the guest could not be watched.
        self._fault = ""
        pinning = assignment.pinning
        self._watch = PinningWatch(assignment.process.pid, pinning, assignment.vcpus)
        self._cpuset = CpusetWatch(
            AllowedCPUs(cpus=pinning.cpuset, source=pinning.source),
            read=assignment.allowed.read,
            weigh=assignment.grade,
            read_time=assignment.read_time,
        )
        self._devices = DeviceWatch(assignment.devices)
        self._devices_at_s = 0.0
        self._memory = MemoryWatch(assignment.process.pid, assignment.memory_bytes)
        self._throttle = Throttle()
        self._errands = Errands()
        greet = assignment.on_agent
        # Whichever machine is called by then: a new connection has another.
        self._greeter = Greeter(None if greet is None else lambda visit: greet(self.machine, visit), self._errands)
        self._recorder = Recorder(
            pinning,
            assignment.vcpus,
            errands=self._errands,
            write=assignment.record,
            newest=lambda: (self.machine, self._watch.pinning),
            is_alive=lambda: is_alive(self._state),
        )
        self._caller = Caller(
            assignment.machine,
            errands=self._errands,
            events=events,
            reconnect=assignment.reconnect,
            on_reconnected=self._recorder.record_plan,
            has_ended=lambda: self._state.outcome is not None,
        )
        self._published = self._shown()
        self.snapshot = with_conditions(self._take_snapshot(), previous=None, now=time.time())

    @property
    def machine(self) -> Machine:
        """The machine to call by now: a new connection has another."""
        return self._caller.machine

    def run(self, first: Event) -> Outcome:
        """Go through the guest's life from the first event on, and return how it ended."""
        threading.Thread(target=self._wait_for_qemu, name="qemu-end", daemon=True).start()
        if self._agent_connected:
            # An adopted guest's: nobody knows whether the launcher before this one came to it.
            self._greeter.agent_came()
        with closing(self._watch), closing(self._assignment.allowed):
            self._take(first)
            outcome = self._turn_until_the_end()
        self._tell_withheld(all_=True)
        self._errands.wait(LAST_ERRANDS_S)
        return outcome

    def _turn_until_the_end(self) -> Outcome:
        while self._state.outcome is None:
            self._take(self._next_event())
            self._look_in_time()
            self._look_at_devices_in_time()
            self._look_at_memory_in_time()
            self._greeter.look(time.monotonic())
            self._tell_withheld()
            self._publish()
        return self._state.outcome

    def _wait_for_qemu(self) -> None:
        wait_for_end(self._assignment.process, self._reaper, lambda status: self._events.put(_gone(status)))

    def _next_event(self) -> Event:
        """Wait for the next event, and glance meanwhile; time has passed where something is due, or was seen."""
        now_s = time.monotonic()
        is_watching, at_once_s, due_at_s = self._is_watching(), self._at_once_s(now_s), self._due_at_s(now_s)
        while True:
            # What can wait for the next glance does: the waking up is dearer than a glance.
            wake_at_s = min(at_once_s, self._glance_at_s if is_watching else due_at_s)
            try:
                return self._events.get(timeout=max(wake_at_s - now_s, 0.0))
            except queue.Empty:
                now_s = time.monotonic()
            if now_s >= min(at_once_s, due_at_s) or (is_watching and self._sees_a_change(now_s)):
                return TimePassed()

    def _at_once_s(self, now_s: float) -> float:
        """Return when there is something to do that is not to be late."""
        at_once_s = (self._state.wake_at_s, self._greeter.due_at_s(now_s))
        return min((at_s for at_s in at_once_s if at_s is not None), default=math.inf)

    def _due_at_s(self, now_s: float) -> float:
        """Return when the loop is to turn where nothing happens; a second later is soon enough."""
        due_at_s = (
            now_s + BEAT_INTERVAL_S,
            self._look_at_s if self._is_watching() else None,
            self._devices_at_s if self._devices.devices and is_alive(self._state) else None,
            self._throttle.due_at_s(),
        )
        return min(at_s for at_s in due_at_s if at_s is not None)

    def _sees_a_change(self, now_s: float) -> bool:
        """Glance where it is time to, and tell whether there is something to look at."""
        if now_s < self._glance_at_s:
            return False
        self._glance_at_s = now_s + self._pace.interval_s(now_s)
        if not self._watch.has_changed() and not self._assignment.allowed.has_changed():
            return False
        self._look_at_s = now_s
        return True

    def _take(self, event: Event) -> None:
        before = self._state
        self._state, actions = step(before, event, time.monotonic(), self._timing)
        self._note(event, before)
        if self._state.phase is Phase.RUNNING and self._may_be_the_first_run(before):
            self._recorder.record_run_soon()
        if Action.PROVE in actions:
            self._guarded(self._prove)
        if Action.KILL in actions:
            _log.warning("killed: QEMU (pid %d) did not end otherwise", self._assignment.process.pid)
            kill(self._assignment.process)
        calls = tuple(action for action in actions if action not in (Action.PROVE, Action.KILL))
        if calls:
            self._caller.begin(calls)

    def _may_be_the_first_run(self, before: State) -> bool:
        waited = before.phase is Phase.PAUSED and before.starts_paused
        return waited or before.phase in (Phase.STARTING, Phase.PROVED)

    def _note(self, event: Event, before: State) -> None:
        if isinstance(event, TimePassed):
            return
        _log.debug("event: %s; phase %s", event, self._state.phase)
        self._tell_of(event)
        if self._state.phase is not before.phase:
            self._phase_since = time.time()
            self._pace.note_moved(time.monotonic())
            _log.info("phase: %s", self._state.phase)
            if self._state.phase is Phase.RUNNING:
                give_back()

    def _tell_of(self, event: Event) -> None:
        match event:
            case CallFailed():
                _log.warning("failed: %s", event.detail)
            case MachineAilment():
                self._tell(f"ailing: {event.detail}", logging.WARNING)
            case MachineRebooted():
                self._tell("rebooted: the guest has reset itself", logging.INFO)
            case ConnectionLost():
                _log.warning("connection lost: %s; the guest goes on", event.reason)
            case AgentChanged():
                self._agent_connected = event.connected
                self._tell(f"agent: {'connected' if event.connected else 'gone'}", logging.INFO)
                (self._greeter.agent_came if event.connected else self._greeter.agent_left)()
            case DeviceRemoved():
                self._note_removed(event)
            case MachinePaused():
                self._paused_reason = event.reason
            case Proved() if self._state.phase is Phase.PAUSED and self._state.starts_paused:
                self._paused_reason = "start strategy"
                _log.info("paused: startStrategy is Paused; `virt-launcher resume` has the guest run")
            case _:
                pass

    def _note_removed(self, event: DeviceRemoved) -> None:
        if self._devices.note_removed(event.alias):
            self._devices_at_s = 0.0
        else:
            self._tell(f"device: {event.alias} was taken out of the guest", logging.WARNING)

    def _tell(self, words: str, level: int) -> None:
        """Tell what the guest can cause as often as it likes: at once, and then how often every few seconds."""
        if self._throttle.admits(words, time.monotonic()):
            _log.log(level, "%s", words)

    def _tell_withheld(self, *, all_: bool = False) -> None:
        for words, count in self._throttle.due(time.monotonic(), all_=all_):
            _log.warning("%s (%d more since)", words, count)

    def _prove(self) -> None:
        """Have the guest run only after the comparison of plan and kernel holds."""
        if self._is_watching():
            self._look_at_cpuset()
        repair_s = PROOF_REPAIR_S if self._state.phase is Phase.UNPROVED else REPAIR_S
        if not self._watch.prove(self.machine, repair_s=repair_s):
            self._events.put(Disproved(detail=f"not pinned as planned: {self._watch.differences}"))
            return
        if not self._is_memory_proved():
            return
        self._watch.confine()
        _log.info("verified: %d threads run where they were planned", len(self._watch.threads))
        self._on_proved(self._watch.pinning, self._watch.threads)
        self._events.put(Proved())

    def _is_memory_proved(self) -> bool:
        """Tell whether the memory of cells, all of which is there before the guest runs, is where it was bound to.

        What cannot be read, such as of another user's QEMU, disproves nothing.
        """
        if self._state.phase is not Phase.UNPROVED or not self._watch.pinning.cells:
            return True
        self._memory.look(self._watch.pinning)
        wrong = misplaced(self._memory.found)
        if wrong:
            self._events.put(Disproved(detail=f"memory not where it was bound: {'; '.join(wrong)}"))
        return not wrong

    def _is_watching(self) -> bool:
        return is_alive(self._state) and self._assignment.drift_policy is not DriftPolicy.OFF

    def _look_in_time(self) -> None:
        """Look at cpuset and threads where it is time to, or a glance saw a change."""
        now_s = time.monotonic()
        if not self._is_watching() or (now_s < self._look_at_s and not self._sees_a_change(now_s)):
            return
        self._guarded(lambda: self._look_and_answer(now_s))
        self._pace.note_spent(time.thread_time(), now_s)
        is_settled = not self._watch.found and not self._fault
        self._look_at_s = now_s + (LOOK_INTERVAL_S if is_settled else UNSETTLED_INTERVAL_S)
        self._glance_at_s = now_s + self._pace.interval_s(now_s)

    def _look_at_devices_in_time(self) -> None:
        now_s = time.monotonic()
        if self._devices.devices and is_alive(self._state) and now_s >= self._devices_at_s:
            self._devices_at_s = now_s + DEVICE_INTERVAL_S
            self._devices.look()

    def _look_at_memory_in_time(self) -> None:
        if self._state.phase is Phase.RUNNING and self._is_watching():
            self._memory.look_in_time(self._watch.pinning, self._errands, time.monotonic())

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
        self._watch.doubt()
        if repr(error) != self._fault:
            # What this machine lacks is one line; a bug has a traceback.
            _log.error("not watched: %s", error, exc_info=None if isinstance(error, LauncherError) else error)
        self._fault = repr(error)

    def _look_and_answer(self, now_s: float) -> None:
        before = self._watch.found
        self._watch.look_for_stop()
        self._look_at_cpuset()
        self._look_for_drift()
        if self._watch.found != before:
            self._pace.note_moved(now_s)
        if self._watch.found:
            self._answer(now_s)
        elif before:
            _log.info("verified: %d threads run where they were planned", len(self._watch.threads))

    def _look_for_drift(self) -> None:
        self._watch.look_for_drift(self.machine, has_ended=self._state.verdict is not None)

    def _answer(self, now_s: float) -> None:
        match self._assignment.drift_policy:
            case DriftPolicy.REPAIR:
                if self._watch.repair(self.machine, now_s):
                    self._look_for_drift()
            case DriftPolicy.FAIL:
                self._take(PinningLost(detail=f"drifted: {self._watch.differences}"))
            case DriftPolicy.REPORT | DriftPolicy.OFF:
                pass

    def _look_at_cpuset(self) -> None:
        """Look at the cpuset; where it changed, plan anew if the plan no longer holds."""
        if not self._cpuset.has_changed():
            return
        self._pace.note_moved(time.monotonic())
        if self._assignment.drift_policy is not DriftPolicy.REPAIR:
            return
        try:
            pinning = self._assignment.replan(self._watch.pinning, self._cpuset.allowed)
        except LauncherError as error:
            _log.warning("not replanned: %s", error)
            return
        self._watch.follow(self.machine, pinning)
        self._recorder.record_plan_soon()

    def _publish(self) -> None:
        """Replace the snapshot; a turn in which nothing happened only tells that the loop turns and looked again."""
        shown = self._shown()
        if all(now is before for now, before in zip(shown, self._published, strict=True)):
            self.snapshot = replace(self.snapshot, beat_s=time.monotonic(), verified_at=self._watch.verified_at)
            return
        self._published = shown
        self.snapshot = with_conditions(self._take_snapshot(), previous=self.snapshot, now=time.time())

    def _shown(self) -> tuple[object, ...]:
        """Return everything that the snapshot shows and that changes only by being replaced."""
        return (
            self._state,
            self._watch.threads,
            self._watch.found,
            self._watch.pinning,
            self._watch.tally,
            self._watch.is_stopped,
            self._cpuset.allowed,
            self._cpuset.grade,
            self._cpuset.fault,
            self._cpuset.resized,
            self._devices.faults,
            self._memory.found,
            self._memory.fault,
            self._paused_reason,
            self._agent_connected,
        )

    def _take_snapshot(self) -> Snapshot:
        assignment, watch, cpuset = self._assignment, self._watch, self._cpuset
        return Snapshot(
            namespace=assignment.namespace,
            name=assignment.name,
            uuid=self.machine.uuid,
            pid=assignment.process.pid,
            virt_type=assignment.virt_type,
            phase=self._state.phase,
            phase_since=self._phase_since,
            pinning=watch.pinning,
            beat_s=time.monotonic(),
            vcpus=assignment.vcpus,
            threads=watch.threads,
            drifts=watch.found,
            verified_at=watch.verified_at,
            is_watched=assignment.drift_policy is not DriftPolicy.OFF,
            is_stopped=watch.is_stopped,
            paused_reason=self._paused_reason,
            drift_counts=watch.tally.drifts,
            repair_counts=watch.tally.repairs,
            cpuset=str(cpuset.allowed.cpus),
            cpuset_source=cpuset.allowed.source,
            cpuset_changes=cpuset.changes,
            cpuset_fault=cpuset.fault,
            cpuset_resized=cpuset.resized,
            exclusivity=cpuset.grade.exclusivity,
            exclusivity_reason=cpuset.grade.reason,
            start_up=assignment.start_up,
            memory_bytes=assignment.memory_bytes,
            memory=self._memory.found,
            memory_look_s=self._memory.look_s,
            memory_fault=self._memory.fault,
            agent_connected=self._agent_connected,
            devices=len(self._devices.devices),
            device_faults=self._devices.faults,
        )


def _gone(status: int | None) -> QEMUGone:
    if status is None:
        return QEMUGone()
    return QEMUGone(how=describe_wait_status(status), by_signal=os.WIFSIGNALED(status))
