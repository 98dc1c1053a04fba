"""The calls to the hypervisor, made outside the supervisor's loop: a stopped QEMU would hold them for long."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from launcher.errors import HypervisorError
from launcher.hypervisor.protocol import Machine, MachineState
from launcher.supervise.errands import Errands
from launcher.supervise.lifecycle import Action, CallFailed, Events, Reconnected

_log = logging.getLogger(__name__)

# A daemon that restarts is back within seconds; a look every second costs nothing, and the guest runs meanwhile.
RECONNECT_INTERVAL_S = 1.0


class Caller:
    """Makes the calls that the life cycle wants; `machine` is the one to call, which a new connection replaces."""

    def __init__(
        self,
        machine: Machine,
        *,
        errands: Errands,
        events: Events,
        reconnect: Callable[[], Machine | None],
        on_reconnected: Callable[[], None],
        has_ended: Callable[[], bool],
    ) -> None:
        """Call this machine; what fails comes as an event. `on_reconnected` is called outside the loop, too."""
        self.machine = machine
        self._errands = errands
        self._events = events
        self._reconnect_once = reconnect
        self._on_reconnected = on_reconnected
        self._has_ended = has_ended
        self._reconnecting = threading.Lock()

    def begin(self, actions: tuple[Action, ...]) -> None:
        """Make these calls, one after the other, without waiting for them."""
        try:
            self._errands.begin("calls", lambda: self._call(actions))
        except RuntimeError as error:
            # That is no reason to end the guest.
            for action in actions:
                self._events.put(CallFailed(action=action, detail=f"{action}: {error}"))

    def _call(self, actions: tuple[Action, ...]) -> None:
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
            while not self._has_ended():
                machine = self._reconnect_once()
                state = None if machine is None else self._state_of(machine)
                if machine is not None and state is not None:
                    self.machine = machine
                    self._events.put(Reconnected(running=state is MachineState.RUNNING))
                    self._on_reconnected()
                    return
                time.sleep(RECONNECT_INTERVAL_S)

    def _state_of(self, machine: Machine) -> MachineState | None:
        """Return the state of a machine that was found again; None where it is another one or cannot be asked yet."""
        try:
            return machine.state() if machine.life == self.machine.life else None
        except HypervisorError as error:
            _log.debug("not reconnected: %s", error)
            return None
