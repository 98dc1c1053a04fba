"""The life cycle of one guest as a pure function: (state, event, time) -> (state, actions)."""

from __future__ import annotations

from enum import StrEnum
from queue import SimpleQueue
from typing import assert_never

from msgspec import Struct
from msgspec.structs import replace

from launcher.errors import ExitStatus
from launcher.hypervisor.protocol import (
    AgentChanged,
    ConnectionLost,
    DeviceRemoved,
    EndReason,
    MachineAilment,
    MachineEnded,
    MachinePaused,
    MachineRebooted,
    MachineResumed,
    MachineShuttingDown,
)


class Phase(StrEnum):
    """Where the guest is in its life."""

    STARTING = "starting"
    UNPROVED = "unproved"
    PROVED = "proved"
    RUNNING = "running"
    PAUSED = "paused"
    SHUTTING_DOWN = "shutting down"
    ENDING = "ending"
    ENDED = "ended"


class Timing(Struct, frozen=True, kw_only=True):
    """The waits of the life cycle, in seconds.

    `repeat_s`: a signal sent to a process group and to its leader comes twice; so soon it is the same wish.
    `ask_interval_s`: a guest that is still booting loses the power button, so it is asked again.
    `cleanup_s`: after QEMU's process has ended libvirt removes its files; it needs 0.01 to 2 s (the latter where
    process 1 is slow to reap), and a launcher that left earlier would leave them behind.
    `destroy_s`: libvirt's own destroy gives QEMU 10 s before SIGKILL; past this the launcher sends SIGKILL itself.
    `kill_s`: a killed process ends within milliseconds, unless a driver or a file server does not let go of it.
    """

    grace_period_s: float = 30.0
    repeat_s: float = 0.2
    ask_interval_s: float = 5.0
    cleanup_s: float = 3.0
    destroy_s: float = 15.0
    kill_s: float = 10.0


class Outcome(Struct, frozen=True, kw_only=True):
    """How it ended: the exit status, and one sentence that says why."""

    status: ExitStatus
    reason: str


class State(Struct, frozen=True, kw_only=True):
    """All that the life cycle remembers. Times are on the monotonic clock; `verdict` waits for the end to come."""

    phase: Phase = Phase.STARTING
    asked_s: float | None = None
    grace_ends_s: float | None = None
    ask_again_s: float | None = None
    kill_at_s: float | None = None
    give_up_s: float | None = None
    verdict: Outcome | None = None
    # How QEMU's process ended; None while it lives.
    qemu_end: str | None = None
    outcome: Outcome | None = None
    # The guest is not to run by itself: its manifest has it wait for somebody to resume it.
    starts_paused: bool = False

    @property
    def wake_at_s(self) -> float | None:
        """The next moment at which time alone changes something."""
        times = (self.grace_ends_s, self.ask_again_s, self.kill_at_s, self.give_up_s)
        return min((time for time in times if time is not None), default=None)


class Started(Struct, frozen=True, kw_only=True):
    """QEMU is there and the guest stands still."""


class Adopted(Struct, frozen=True, kw_only=True):
    """A guest of an earlier launcher was found; `running` tells whether its CPUs run, `has_run` whether they ever did.

    A guest that has run and stands still was paused by somebody or something, after its proof.
    """

    running: bool
    has_run: bool = False


class Proved(Struct, frozen=True, kw_only=True):
    """Every thread's affinity is as planned, says the kernel."""


class Disproved(Struct, frozen=True, kw_only=True):
    """Some thread's affinity is not as planned even after repair; `detail` names the threads."""

    detail: str


class PinningLost(Struct, frozen=True, kw_only=True):
    """A running guest is not pinned as planned any more, and the policy is to end it; `detail` names the threads."""

    detail: str


class StopRequested(Struct, frozen=True, kw_only=True):
    """Somebody wants the guest to end: the name of the signal."""

    by: str


class PauseRequested(Struct, frozen=True, kw_only=True):
    """Somebody wants the guest's CPUs to stand still."""


class ResumeRequested(Struct, frozen=True, kw_only=True):
    """Somebody wants a paused guest's CPUs to run again."""


class ResetRequested(Struct, frozen=True, kw_only=True):
    """Somebody wants the guest reset, as by its reset button."""


class Reconnected(Struct, frozen=True, kw_only=True):
    """The connection to the hypervisor is there again, and the guest was found behind it; `running` as Adopted's."""

    running: bool


class CallFailed(Struct, frozen=True, kw_only=True):
    """A call to the hypervisor failed or ran over its deadline."""

    action: Action
    detail: str


class QEMUGone(Struct, frozen=True, kw_only=True):
    """QEMU's process has ended, says the kernel; `how` is empty where only its parent could know.

    `by_signal` tells that it did not end by itself, so that nothing orderly can be on its way.
    """

    how: str = ""
    by_signal: bool = False


class TimePassed(Struct, frozen=True, kw_only=True):
    """Nothing happened but the clock."""


class Action(StrEnum):
    """What the supervisor is to do; each may be repeated without harm."""

    PROVE = "prove"
    RESUME = "resume"
    PAUSE = "pause"
    RESET = "reset"
    RECONNECT = "reconnect"
    ASK_TO_SHUT_DOWN = "ask to shut down"
    DESTROY = "destroy"
    KILL = "kill"


Event = (
    Started
    | Adopted
    | Proved
    | Disproved
    | PinningLost
    | StopRequested
    | PauseRequested
    | ResumeRequested
    | ResetRequested
    | Reconnected
    | CallFailed
    | QEMUGone
    | TimePassed
    | MachineResumed
    | MachinePaused
    | MachineShuttingDown
    | MachineEnded
    | MachineRebooted
    | MachineAilment
    | AgentChanged
    | DeviceRemoved
    | ConnectionLost
)
# From all threads, in the order in which they came.
Events = SimpleQueue[Event]

Step = tuple[State, tuple[Action, ...]]

_POWERED_OFF = Outcome(status=ExitStatus.POWERED_OFF, reason="the guest powered off")

# The guest's CPUs may be running or have run; the power button makes sense.
_ALIVE = (Phase.RUNNING, Phase.PAUSED, Phase.SHUTTING_DOWN)


def step(state: State, event: Event, now_s: float, timing: Timing) -> Step:  # noqa: C901, PLR0911, PLR0912 - one row an event
    """Return the next state and what is to be done; an ended state stays as it is."""
    if state.phase is Phase.ENDED:
        return state, ()
    match event:
        case Started():
            return replace(state, phase=Phase.UNPROVED), (Action.PROVE,)
        case Adopted():
            return _adopted(state, event)
        case Proved():
            return _proved(state)
        case Disproved():
            return _disproved(state, event, now_s, timing)
        case PinningLost():
            return _pinning_lost(state, event, now_s, timing)
        case StopRequested():
            return _stop(state, event, now_s, timing)
        case CallFailed():
            return _call_failed(state, event, now_s, timing)
        case MachineResumed():
            return _resumed(state)
        case MachinePaused():
            return _paused(state)
        case MachineShuttingDown():
            return _shut_down(state, by_guest=event.by_guest)
        case MachineEnded():
            return _ended(state, event), ()
        case QEMUGone():
            return _gone(state, event, now_s, timing)
        case TimePassed():
            return _time_passed(state, now_s, timing)
        case PauseRequested() | ResumeRequested() | ResetRequested():
            return state, _wanted_by(event, state)
        case ConnectionLost():
            return state, (Action.RECONNECT,)
        case Reconnected():
            return _reconnected(state, running=event.running)
        case MachineAilment():
            return _ailing(state, event), ()
        case MachineRebooted() | AgentChanged() | DeviceRemoved():
            return state, ()
        case _:
            assert_never(event)


def _adopted(state: State, event: Adopted) -> Step:
    """An adopted guest is proved again; one that runs goes on running meanwhile, for it is not ours to stop.

    Nor is one ours to wake that stands still for a reason: only one that never ran is resumed after its proof.
    """
    standing = Phase.PAUSED if event.has_run else Phase.UNPROVED
    phase = Phase.RUNNING if event.running else standing
    return replace(state, phase=phase), (Action.PROVE,)


def _proved(state: State) -> Step:
    if state.phase is not Phase.UNPROVED:
        return state, ()
    if state.starts_paused:
        return replace(state, phase=Phase.PAUSED), ()
    return replace(state, phase=Phase.PROVED), (Action.RESUME,)


def _disproved(state: State, event: Disproved, now_s: float, timing: Timing) -> Step:
    """A guest that has not run must not; one that runs goes on, and the supervisor goes on repairing."""
    if state.phase is not Phase.UNPROVED:
        return state, ()
    return _end_by_force(state, Outcome(status=ExitStatus.NOT_PINNED, reason=event.detail), now_s, timing)


def _pinning_lost(state: State, event: PinningLost, now_s: float, timing: Timing) -> Step:
    if not is_alive(state):
        return state, ()
    return _end_by_force(state, Outcome(status=ExitStatus.NOT_PINNED, reason=event.detail), now_s, timing)


def _stop(state: State, event: StopRequested, now_s: float, timing: Timing) -> Step:
    if state.phase in (Phase.STARTING, Phase.UNPROVED, Phase.PROVED):
        verdict = Outcome(status=ExitStatus.DESTROYED, reason=f"{event.by} came before the guest ran")
        return _end_by_force(state, verdict, now_s, timing)
    if state.phase is Phase.SHUTTING_DOWN:
        if state.asked_s is not None and now_s - state.asked_s < timing.repeat_s:
            return state, ()
        verdict = Outcome(status=ExitStatus.DESTROYED, reason=f"destroyed: {event.by} came while it was shutting down")
        return _end_by_force(state, verdict, now_s, timing)
    if state.phase is Phase.ENDING:
        return state, ()
    asked = replace(
        state,
        phase=Phase.SHUTTING_DOWN,
        asked_s=now_s,
        grace_ends_s=now_s + timing.grace_period_s,
        ask_again_s=now_s + timing.ask_interval_s,
    )
    # A guest whose CPUs stand still cannot see the power button.
    waken = (Action.RESUME,) if state.phase is Phase.PAUSED else ()
    return asked, (*waken, Action.ASK_TO_SHUT_DOWN)


def _wanted_by(event: PauseRequested | ResumeRequested | ResetRequested, state: State) -> tuple[Action, ...]:
    """Return what a person's wish comes to: nothing before the guest has run, nor once it is on its way out."""
    match event, state.phase:
        case PauseRequested(), Phase.RUNNING:
            return (Action.PAUSE,)
        case ResumeRequested(), Phase.PAUSED:
            return (Action.RESUME,)
        case ResetRequested(), Phase.RUNNING | Phase.PAUSED:
            return (Action.RESET,)
        case _:
            return ()


def _reconnected(state: State, *, running: bool) -> Step:
    """Prove again after a break: who knows what was done meanwhile. What was missed is made up for by the state now."""
    if state.phase in (Phase.RUNNING, Phase.PAUSED):
        state = replace(state, phase=Phase.RUNNING if running else Phase.PAUSED)
    if state.phase is Phase.PROVED:
        # The answer to the resume was lost, or the resume itself.
        state = replace(state, phase=Phase.RUNNING if running else Phase.UNPROVED)
    return state, (Action.PROVE,)


def _call_failed(state: State, event: CallFailed, now_s: float, timing: Timing) -> Step:
    if event.action is Action.RESUME and state.phase is Phase.PROVED:
        return _end_by_force(state, Outcome(status=ExitStatus.NOT_STARTED, reason=event.detail), now_s, timing)
    if event.action is Action.DESTROY and state.phase is Phase.ENDING and state.qemu_end is None:
        return _kill(state, now_s, timing)
    return state, ()


def _resumed(state: State) -> Step:
    if state.phase in (Phase.PROVED, Phase.PAUSED):
        return replace(state, phase=Phase.RUNNING), ()
    return state, ()


def _paused(state: State) -> Step:
    return (replace(state, phase=Phase.PAUSED), ()) if state.phase is Phase.RUNNING else (state, ())


def _shut_down(state: State, *, by_guest: bool) -> Step:
    """A guest that ended itself is an orderly end, even where the grace period is over by a hair.

    It is not asked again: QEMU may take its time to be gone, and nobody listens any more.
    """
    if state.verdict is not None:
        return state, ()
    verdict = (
        _POWERED_OFF if by_guest else Outcome(status=ExitStatus.CRASHED, reason="QEMU was told to end by a signal")
    )
    return replace(state, verdict=verdict, ask_again_s=None), ()


def _ailing(state: State, event: MachineAilment) -> State:
    """Remember what the guest is about to end of; a verdict that was there before stays."""
    if not event.is_end or state.verdict is not None:
        return state
    return replace(state, verdict=Outcome(status=ExitStatus.CRASHED, reason=event.detail), ask_again_s=None)


def _ended(state: State, event: MachineEnded) -> State:
    return _at_end(state, state.verdict or _verdict_of(event.reason, state.qemu_end))


def _at_end(state: State, outcome: Outcome) -> State:
    return State(phase=Phase.ENDED, verdict=state.verdict, qemu_end=state.qemu_end, outcome=outcome)


def _verdict_of(reason: EndReason, qemu_end: str | None) -> Outcome:
    match reason:
        case EndReason.POWERED_OFF:
            return _POWERED_OFF
        case EndReason.DESTROYED:
            return Outcome(status=ExitStatus.DESTROYED, reason="destroyed by somebody else")
        case EndReason.CRASHED:
            return Outcome(status=ExitStatus.CRASHED, reason="the guest crashed")
        case EndReason.FAILED:
            return Outcome(status=ExitStatus.CRASHED, reason=f"QEMU died{': ' + qemu_end if qemu_end else ''}")


def _gone(state: State, event: QEMUGone, now_s: float, timing: Timing) -> Step:
    """QEMU's process is no more: what is still awaited is the hypervisor's word of why, and its clearing up.

    The verdict is left to that word: libvirt's event of an orderly power-off may come after the kernel's of the end.
    Of a QEMU that a signal killed out of the blue there is nothing to be told: libvirt would first let 0.2 s go by.
    """
    if event.by_signal and state.verdict is None:
        return _at_end(replace(state, qemu_end=event.how), _verdict_of(EndReason.FAILED, event.how)), ()
    gone = State(phase=Phase.ENDING, verdict=state.verdict, qemu_end=event.how, give_up_s=now_s + timing.cleanup_s)
    return gone, ()


def _time_passed(state: State, now_s: float, timing: Timing) -> Step:
    if state.give_up_s is not None and now_s >= state.give_up_s:
        return _given_up(state), ()
    if state.kill_at_s is not None and now_s >= state.kill_at_s:
        return _kill(state, now_s, timing)
    if state.grace_ends_s is not None and now_s >= state.grace_ends_s:
        reason = f"destroyed: not powered off within the grace period of {timing.grace_period_s:g} s"
        return _end_by_force(state, Outcome(status=ExitStatus.DESTROYED, reason=reason), now_s, timing)
    if state.ask_again_s is not None and now_s >= state.ask_again_s:
        return replace(state, ask_again_s=now_s + timing.ask_interval_s), (Action.ASK_TO_SHUT_DOWN,)
    return state, ()


def _kill(state: State, now_s: float, timing: Timing) -> Step:
    return replace(state, kill_at_s=None, give_up_s=now_s + timing.kill_s), (Action.KILL,)


def _given_up(state: State) -> State:
    """End without the last word: the hypervisor's on a QEMU that is gone, or a QEMU's that cannot be killed."""
    outcome = state.verdict or _verdict_of(EndReason.FAILED, state.qemu_end)
    if state.qemu_end is None:
        outcome = replace(outcome, reason=f"{outcome.reason}; QEMU is there still, though it was killed")
    return _at_end(state, outcome)


def _end_by_force(state: State, verdict: Outcome, now_s: float, timing: Timing) -> Step:
    ending = replace(
        state,
        phase=Phase.ENDING,
        verdict=verdict,
        grace_ends_s=None,
        ask_again_s=None,
        kill_at_s=now_s + timing.destroy_s,
    )
    return ending, (Action.DESTROY,)


def is_alive(state: State) -> bool:
    """Tell whether the guest runs or has run, and QEMU's threads are worth watching."""
    return state.phase in _ALIVE
