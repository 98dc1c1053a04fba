"""The life cycle: whole lives as tables, each also cut after every event and taken up again by a second launcher."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from launcher.errors import ExitStatus
from launcher.hypervisor.protocol import (
    ConnectionLost,
    EndReason,
    MachineAilment,
    MachineEnded,
    MachinePaused,
    MachineRebooted,
    MachineResumed,
    MachineShuttingDown,
)
from launcher.supervise.lifecycle import (
    Action,
    Adopted,
    CallFailed,
    Disproved,
    Event,
    Outcome,
    PauseRequested,
    Phase,
    PinningLost,
    Proved,
    QEMUGone,
    Reconnected,
    ResetRequested,
    ResumeRequested,
    Started,
    State,
    StopRequested,
    TimePassed,
    Timing,
    step,
)

TIMING = Timing(grace_period_s=12.0, ask_interval_s=5.0, cleanup_s=3.0, destroy_s=15.0, kill_s=10.0)

STARTED, PROVED, RESUMED = Started(), Proved(), MachineResumed()
TERM = StopRequested(by="SIGTERM")
GUEST_OFF = MachineShuttingDown(by_guest=True)
ENDED_OFF = MachineEnded(reason=EndReason.POWERED_OFF)
ENDED_DESTROYED = MachineEnded(reason=EndReason.DESTROYED)
ENDED_FAILED = MachineEnded(reason=EndReason.FAILED)
KILLED = QEMUGone(how="killed by signal 9 (SIGKILL)", by_signal=True)
DIED = QEMUGone(how="exit status 1")

Timed = tuple[float, Event]


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """Events with their times, the actions wanted for each, and the end."""

    id: str
    events: tuple[Timed, ...]
    actions: tuple[tuple[Action, ...], ...]
    status: ExitStatus | None
    reason: str = ""


PROVE, RESUME, ASK = (Action.PROVE,), (Action.RESUME,), (Action.ASK_TO_SHUT_DOWN,)
DESTROY, KILL, NOTHING = (Action.DESTROY,), (Action.KILL,), ()

LIVES = (
    Life(
        id="a guest that powers itself off ends with status 0",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (9, GUEST_OFF),
            (9, QEMUGone(how="exit status 0")),
            (9, ENDED_OFF),
        ),
        actions=(PROVE, RESUME, NOTHING, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a guest that has powered off is not asked again, however long QEMU takes to go",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, TERM),
            (3, GUEST_OFF),
            (8, TimePassed()),
            (9, QEMUGone(how="exit status 0")),
            (9, ENDED_OFF),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, NOTHING, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="the kernel's word of QEMU's end may come before libvirt's word that the guest powered off",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (9, QEMUGone(how="exit status 0")),
            (9, GUEST_OFF),
            (9, ENDED_OFF),
        ),
        actions=(PROVE, RESUME, NOTHING, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a guest whose pinning is not proved never runs",
        events=((0, STARTED), (1, Disproved(detail="vcpu 1 on CPU 0")), (2, ENDED_DESTROYED)),
        actions=(PROVE, DESTROY, NOTHING),
        status=ExitStatus.NOT_PINNED,
        reason="vcpu 1 on CPU 0",
    ),
    Life(
        id="SIGTERM asks the guest, again every five seconds, and the guest ends in order",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (10, TERM),
            (12, TimePassed()),
            (15, TimePassed()),
            (20, TimePassed()),
            (21, GUEST_OFF),
            (21, ENDED_OFF),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, NOTHING, ASK, ASK, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a guest that ignores the button is destroyed when the grace period is over",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (10, TERM),
            (15, TimePassed()),
            (20, TimePassed()),
            (22, TimePassed()),
            (23, ENDED_DESTROYED),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, ASK, ASK, DESTROY, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: not powered off within the grace period of 12 s",
    ),
    Life(
        id="a second signal destroys at once",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, TERM),
            (3, StopRequested(by="SIGINT")),
            (4, ENDED_DESTROYED),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, DESTROY, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: SIGINT came while it was shutting down",
    ),
    Life(
        id="a signal that comes twice at once is one wish",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (2, TERM), (2.1, TERM), (4, GUEST_OFF), (4, ENDED_OFF)),
        actions=(PROVE, RESUME, NOTHING, ASK, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a third signal changes nothing any more",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (2, TERM), (3, TERM), (3, TERM), (4, ENDED_DESTROYED)),
        actions=(PROVE, RESUME, NOTHING, ASK, DESTROY, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: SIGTERM came while it was shutting down",
    ),
    Life(
        id="SIGTERM before the guest runs destroys it, for it could not see the button",
        events=((0, STARTED), (1, TERM), (2, PROVED), (3, ENDED_DESTROYED)),
        actions=(PROVE, DESTROY, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="SIGTERM came before the guest ran",
    ),
    Life(
        id="SIGTERM between proof and resume destroys",
        events=((0, STARTED), (1, PROVED), (1, TERM), (1, RESUMED), (3, ENDED_DESTROYED)),
        actions=(PROVE, RESUME, DESTROY, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="SIGTERM came before the guest ran",
    ),
    Life(
        id="a paused guest is woken before it is asked",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, MachinePaused(reason="asked for")),
            (3, TERM),
            (4, ENDED_OFF),
        ),
        actions=(PROVE, RESUME, NOTHING, NOTHING, (Action.RESUME, Action.ASK_TO_SHUT_DOWN), NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="QEMU killed while it ran is a crash at once, and says by which signal",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (5, KILLED)),
        actions=(PROVE, RESUME, NOTHING, NOTHING),
        status=ExitStatus.CRASHED,
        reason="QEMU died: killed by signal 9 (SIGKILL)",
    ),
    Life(
        id="QEMU's end is believed to the kernel where libvirt stays silent",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (5, DIED), (7, TimePassed()), (8, TimePassed())),
        actions=(PROVE, RESUME, NOTHING, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.CRASHED,
        reason="QEMU died: exit status 1",
    ),
    Life(
        id="QEMU's failure is told with its exit status",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (5, DIED), (5, ENDED_FAILED)),
        actions=(PROVE, RESUME, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.CRASHED,
        reason="QEMU died: exit status 1",
    ),
    Life(
        id="QEMU ended from outside by SIGTERM is no power-off",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (5, MachineShuttingDown(by_guest=False)), (5, ENDED_OFF)),
        actions=(PROVE, RESUME, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.CRASHED,
        reason="QEMU was told to end by a signal",
    ),
    Life(
        id="a guest that panics is a crash",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (5, MachineEnded(reason=EndReason.CRASHED))),
        actions=(PROVE, RESUME, NOTHING, NOTHING),
        status=ExitStatus.CRASHED,
        reason="the guest crashed",
    ),
    Life(
        id="a guest destroyed by somebody else says so",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (5, ENDED_DESTROYED)),
        actions=(PROVE, RESUME, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed by somebody else",
    ),
    Life(
        id="a reboot, a watchdog, a lost connection and a pause do not end the guest",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, MachineRebooted()),
            (2, MachineAilment(detail="watchdog")),
            (3, ConnectionLost(reason="x")),
            (4, MachinePaused(reason="I/O error")),
            (5, RESUMED),
        ),
        actions=(PROVE, RESUME, NOTHING, NOTHING, NOTHING, (Action.RECONNECT,), NOTHING, NOTHING),
        status=None,
    ),
    Life(
        id="a watchdog that switches the guest off is why it ended",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, MachineAilment(detail="the guest's watchdog fired (poweroff)", is_end=True)),
            (2, QEMUGone(how="exit status 0")),
            (3, ENDED_FAILED),
        ),
        actions=(PROVE, RESUME, NOTHING, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.CRASHED,
        reason="the guest's watchdog fired (poweroff)",
    ),
    Life(
        id="a watchdog that fires while the guest is being ended by force changes nothing",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, TERM),
            (3, TERM),
            (3, MachineAilment(detail="the guest's watchdog fired (poweroff)", is_end=True)),
            (4, ENDED_DESTROYED),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, DESTROY, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: SIGTERM came while it was shutting down",
    ),
    Life(
        id="a connection that is there again has the guest proved again, whatever was missed meanwhile",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, ConnectionLost(reason="x")),
            (5, Reconnected(running=False)),
            (5, PROVED),
            (6, TERM),
            (7, ENDED_OFF),
        ),
        actions=(
            PROVE,
            RESUME,
            NOTHING,
            (Action.RECONNECT,),
            PROVE,
            NOTHING,
            (Action.RESUME, Action.ASK_TO_SHUT_DOWN),
            NOTHING,
        ),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a guest is paused, resumed and reset as asked, and only where that makes sense",
        events=(
            (0, STARTED),
            (0, PauseRequested()),
            (1, PROVED),
            (1, RESUMED),
            (2, ResumeRequested()),
            (2, PauseRequested()),
            (3, MachinePaused(reason="asked for")),
            (4, PauseRequested()),
            (4, ResetRequested()),
            (5, ResumeRequested()),
            (6, RESUMED),
            (6, ResetRequested()),
            (7, TERM),
            (8, ResetRequested()),
            (9, ENDED_OFF),
        ),
        actions=(
            PROVE,
            NOTHING,
            RESUME,
            NOTHING,
            NOTHING,
            (Action.PAUSE,),
            NOTHING,
            NOTHING,
            (Action.RESET,),
            RESUME,
            NOTHING,
            (Action.RESET,),
            ASK,
            NOTHING,
            NOTHING,
        ),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a resume that fails ends the start",
        events=(
            (0, STARTED),
            (1, PROVED),
            (2, CallFailed(action=Action.RESUME, detail="resume: no")),
            (3, ENDED_DESTROYED),
        ),
        actions=(PROVE, RESUME, DESTROY, NOTHING),
        status=ExitStatus.NOT_STARTED,
        reason="resume: no",
    ),
    Life(
        id="a destroy that fails is followed by SIGKILL",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, TERM),
            (3, TERM),
            (13, CallFailed(action=Action.DESTROY, detail="no answer")),
            (13, KILLED),
            (16, TimePassed()),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, DESTROY, KILL, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: SIGTERM came while it was shutting down",
    ),
    Life(
        id="a destroy that failed after QEMU's end is followed by nothing, and no longer waited for",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, TERM),
            (3, TERM),
            (12, KILLED),
            (13, CallFailed(action=Action.DESTROY, detail="no answer")),
            (15, TimePassed()),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, DESTROY, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: SIGTERM came while it was shutting down",
    ),
    Life(
        id="a destroy without any answer is followed by SIGKILL, too",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, TERM),
            (3, TERM),
            (18, TimePassed()),
            (18, KILLED),
            (21, TimePassed()),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, DESTROY, KILL, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: SIGTERM came while it was shutting down",
    ),
    Life(
        id="a guest whose resume was lost with the connection is proved and resumed again",
        events=(
            (0, STARTED),
            (1, PROVED),
            (2, ConnectionLost(reason="x")),
            (3, Reconnected(running=False)),
            (3, PROVED),
            (4, RESUMED),
            (9, GUEST_OFF),
            (9, ENDED_OFF),
        ),
        actions=(PROVE, RESUME, (Action.RECONNECT,), PROVE, RESUME, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a guest whose resume was done but not told is asked before it is ended, as one that runs",
        events=(
            (0, STARTED),
            (1, PROVED),
            (2, ConnectionLost(reason="x")),
            (3, Reconnected(running=True)),
            (3, PROVED),
            (5, TERM),
            (9, GUEST_OFF),
            (9, ENDED_OFF),
        ),
        actions=(PROVE, RESUME, (Action.RECONNECT,), PROVE, NOTHING, ASK, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="a QEMU that not even SIGKILL ends is not waited for for ever",
        events=(
            (0, STARTED),
            (1, PROVED),
            (1, RESUMED),
            (2, TERM),
            (3, TERM),
            (18, TimePassed()),
            (27, TimePassed()),
            (28, TimePassed()),
        ),
        actions=(PROVE, RESUME, NOTHING, ASK, DESTROY, KILL, NOTHING, NOTHING),
        status=ExitStatus.DESTROYED,
        reason="destroyed: SIGTERM came while it was shutting down; QEMU is there still, though it was killed",
    ),
    Life(
        id="a pinning lost under the policy fail ends the guest",
        events=((0, STARTED), (1, PROVED), (1, RESUMED), (2, PinningLost(detail="vcpu 0")), (3, ENDED_DESTROYED)),
        actions=(PROVE, RESUME, NOTHING, DESTROY, NOTHING),
        status=ExitStatus.NOT_PINNED,
        reason="vcpu 0",
    ),
    Life(
        id="an adopted guest that runs is proved and goes on",
        events=((0, Adopted(running=True)), (1, PROVED), (9, GUEST_OFF), (9, ENDED_OFF)),
        actions=(PROVE, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="an adopted guest that runs elsewhere than planned is not ended for it",
        events=((0, Adopted(running=True)), (1, Disproved(detail="vcpu 0")), (9, GUEST_OFF), (9, ENDED_OFF)),
        actions=(PROVE, NOTHING, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="an adopted guest that never ran is proved and then resumed",
        events=((0, Adopted(running=False)), (1, PROVED), (1, RESUMED), (9, ENDED_OFF)),
        actions=(PROVE, RESUME, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="an adopted guest that was paused is proved and left so until somebody resumes it",
        events=(
            (0, Adopted(running=False, has_run=True)),
            (1, PROVED),
            (5, ResumeRequested()),
            (5, RESUMED),
            (9, ENDED_OFF),
        ),
        actions=(PROVE, NOTHING, RESUME, NOTHING, NOTHING),
        status=ExitStatus.POWERED_OFF,
        reason="the guest powered off",
    ),
    Life(
        id="an adopted guest that was paused and is not pinned as planned is not ended for it",
        events=((0, Adopted(running=False, has_run=True)), (1, Disproved(detail="vcpu 0"))),
        actions=(PROVE, NOTHING),
        status=None,
    ),
)


def _live(state: State, events: tuple[Timed, ...]) -> tuple[State, tuple[tuple[Action, ...], ...]]:
    actions = []
    for now_s, event in events:
        state, wanted = step(state, event, now_s, TIMING)
        actions.append(wanted)
    return state, tuple(actions)


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.id)
def test_a_life_goes_as_it_should(life: Life) -> None:
    state, actions = _live(State(), life.events)
    wanted = None if life.status is None else Outcome(status=life.status, reason=life.reason)
    assert (actions, state.outcome) == (life.actions, wanted)


@pytest.mark.parametrize("life", LIVES, ids=lambda life: life.id)
def test_an_ended_life_ignores_every_further_event(life: Life) -> None:
    state, _ = _live(State(), life.events)
    if state.outcome is None:
        return
    for _, event in life.events:
        assert step(state, event, 100.0, TIMING) == (state, ())


def _cuts() -> list[tuple[str, Life, int]]:
    return [(f"{life.id}, cut after {cut}", life, cut) for life in LIVES for cut in range(1, len(life.events))]


@pytest.mark.parametrize(("life", "cut"), [(life, cut) for _, life, cut in _cuts()], ids=[id_ for id_, _, _ in _cuts()])
def test_a_second_launcher_takes_up_a_life_cut_anywhere(life: Life, cut: int) -> None:
    """The first launcher is killed after `cut` events; the guest goes on, and the next one adopts what it finds."""
    first, _ = _live(State(), life.events[:cut])
    if first.phase in (Phase.ENDED, Phase.ENDING):
        return
    running = first.phase in (Phase.RUNNING, Phase.SHUTTING_DOWN)
    paused = first.phase is Phase.PAUSED
    adopted = Adopted(running=running, has_run=running or paused)
    second, actions = _live(State(), ((0.0, adopted), (0.5, PROVED)))
    assert actions == (PROVE, NOTHING if running or paused else RESUME)
    if second.phase is Phase.PROVED:
        second, _ = _live(second, ((0.6, RESUMED),))
    second, actions = _live(second, ((1.0, TERM), (2.0, GUEST_OFF), (2.0, ENDED_OFF)))
    assert actions[0] == ((*RESUME, *ASK) if paused else ASK)
    assert second.outcome == Outcome(status=ExitStatus.POWERED_OFF, reason="the guest powered off")


def test_no_sequence_of_events_resumes_an_unproved_guest() -> None:
    """All sequences of four events: RESUME is only ever wanted after a proof, or for a guest that ran before."""
    events: tuple[Event, ...] = (STARTED, PROVED, Disproved(detail="x"), TERM, RESUMED, TimePassed(), KILLED)
    reached = [(State(), False)]
    for now_s in range(4):
        following = []
        for state, proved in reached:
            for event in events:
                state_after, actions = step(state, event, float(now_s), TIMING)
                proved_after = proved or isinstance(event, Proved)
                assert proved_after or Action.RESUME not in actions
                following.append((state_after, proved_after))
        reached = following


def test_the_next_wake_up_is_the_earliest_of_all() -> None:
    assert State().wake_at_s is None
    assert State(grace_ends_s=9.0, ask_again_s=5.0, kill_at_s=7.0).wake_at_s == 5.0


def test_a_guest_that_starts_paused_stands_still_after_its_proof_until_it_is_resumed() -> None:
    state, actions = step(State(starts_paused=True), STARTED, 0, TIMING)
    assert actions == PROVE
    state, actions = step(state, PROVED, 1, TIMING)
    assert (state.phase, actions) == (Phase.PAUSED, NOTHING)
    state, actions = step(state, ResumeRequested(), 2, TIMING)
    assert actions == RESUME
    state, _ = step(state, RESUMED, 2, TIMING)
    assert state.phase is Phase.RUNNING


def test_one_that_starts_paused_is_adopted_as_it_is() -> None:
    for event, phase in (
        (Adopted(running=False, has_run=False), Phase.PAUSED),
        (Adopted(running=False, has_run=True), Phase.PAUSED),
        (Adopted(running=True), Phase.RUNNING),
    ):
        state, _ = step(State(starts_paused=True), event, 0, TIMING)
        state, actions = step(state, PROVED, 1, TIMING)
        assert (state.phase, actions) == (phase, NOTHING)


def test_one_that_starts_paused_and_cannot_be_proved_is_ended() -> None:
    state, _ = step(State(starts_paused=True), STARTED, 0, TIMING)
    state, actions = step(state, Disproved(detail="elsewhere"), 1, TIMING)
    assert (state.phase, actions) == (Phase.ENDING, DESTROY)
