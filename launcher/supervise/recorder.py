"""The domain's own record: what a later launcher reads of the plan, and of whether the guest has run."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from launcher.errors import HypervisorError
from launcher.hypervisor.protocol import Machine
from launcher.planner.model import Pinning
from launcher.supervise.drift import moves
from launcher.supervise.errands import Errands
from launcher.supervise.repairer import configure

_log = logging.getLogger(__name__)


class Recorder:
    """Writes into the running domain, outside the loop. What fails is told, and is no reason to end a guest."""

    def __init__(
        self,
        pinning: Pinning,
        vcpus: int,
        *,
        errands: Errands,
        write: Callable[[Pinning], str],
        newest: Callable[[], tuple[Machine, Pinning]],
        is_alive: Callable[[], bool],
    ) -> None:
        """Begin with the plan on record; `newest` is the machine to write into and the plan as they are by then."""
        self._recorded = pinning
        self._vcpus = vcpus
        self._errands = errands
        self._write = write
        self._newest = newest
        self._is_alive = is_alive
        self._recording = threading.Lock()

    def record_plan_soon(self) -> None:
        """Record the newest plan without waiting for it."""
        self._begin(self.record_plan)

    def record_run_soon(self) -> None:
        """Note that the guest has run, so that a later launcher can tell that it was paused."""
        self._begin(self._record_run)

    def record_plan(self) -> None:
        """Have libvirt's configuration and our record follow the plan that the kernel already has.

        The newest plan is what counts, also where an older one is still being recorded; what fails while the connection
        is lost is made up for when it is there again.
        """
        with self._recording:
            machine, pinning = self._newest()
            if pinning is self._recorded:
                return
            try:
                for move in moves(self._recorded, pinning, self._vcpus):
                    configure(machine, move.role, move.cpus)
                machine.record_plan(self._write(pinning))
            except HypervisorError as error:
                self._tell_unrecorded(error)
                return
            self._recorded = pinning
            _log.info("recorded: the plan over CPU %s", pinning.cpuset)

    def _record_run(self) -> None:
        machine, _pinning = self._newest()
        try:
            machine.record_run()
        except HypervisorError as error:
            self._tell_unrecorded(error)

    def _begin(self, record: Callable[[], None]) -> None:
        try:
            self._errands.begin("record", record)
        except RuntimeError as error:
            _log.warning("not recorded: %s", error)

    def _tell_unrecorded(self, error: HypervisorError) -> None:
        _log.log(logging.WARNING if self._is_alive() else logging.DEBUG, "not recorded: %s", error)
