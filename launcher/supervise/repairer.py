"""The hand that puts threads right: directly through the kernel, or through libvirt where the kernel refuses us."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

from launcher.cpuset import CPUSet
from launcher.errors import HypervisorError
from launcher.hypervisor.deadline import DeadlineExceeded
from launcher.supervise.drift import Repair
from launcher.supervise.roles import Role, ThreadKind
from launcher.supervise.threads import set_affinity

_log = logging.getLogger(__name__)


class Pinner(Protocol):
    """A hypervisor's own way to a thread. Every call has a deadline and raises HypervisorError."""

    def pin_vcpu(self, vcpu: int, cpus: CPUSet) -> None:
        """Set the affinity of one vCPU's thread."""

    def pin_iothread(self, iothread: int, cpus: CPUSet) -> None:
        """Set the affinity of one IOThread."""

    def pin_emulator(self, cpus: CPUSet) -> None:
        """Set the affinity of QEMU's main thread."""


class Repairer:
    """Puts threads right, round by round, and is never held up for longer than a round may take.

    What the kernel lets us do is done at once. For a QEMU of another user libvirt is asked, thread by thread, outside
    the caller's thread: while QEMU hangs so does libvirt. A round that is not over in time goes on by itself, and
    until then no other is begun.
    """

    def __init__(self, set_directly: Callable[[int, CPUSet], None] = set_affinity) -> None:
        self._set_directly = set_directly
        self._asking = threading.Lock()
        self._done: queue.SimpleQueue[Repair] = queue.SimpleQueue()

    def put_right(self, pinner: Pinner, repairs: tuple[Repair, ...], *, timeout_s: float) -> tuple[Repair, ...]:
        """Give the threads their CPUs, and return what was done by now, of earlier rounds too.

        A refusal is logged with its reason.
        """
        refused = tuple(repair for repair in repairs if not self._put_right_directly(repair))
        if refused:
            self._ask(pinner, refused, time.monotonic() + timeout_s)
        return tuple(self._taken())

    def _put_right_directly(self, repair: Repair) -> bool:
        """Set the affinity, which cannot hang; False where libvirt may be able to."""
        try:
            self._set_directly(repair.tid, repair.cpus)
        except PermissionError:
            return False
        except OSError as error:
            _tell_refused(repair, error)
        else:
            self._note(repair)
        return True

    def _ask(self, pinner: Pinner, repairs: tuple[Repair, ...], ends_s: float) -> None:
        if not self._asking.acquire(timeout=max(ends_s - time.monotonic(), 0.0)):
            _log.warning("not repaired: libvirt has not answered yet for an earlier thread")
            return
        asking = threading.Thread(target=self._ask_for_each, args=(pinner, repairs), name="repairs", daemon=True)
        asking.start()
        asking.join(max(ends_s - time.monotonic(), 0.0))

    def _ask_for_each(self, pinner: Pinner, repairs: tuple[Repair, ...]) -> None:
        try:
            for repair in repairs:
                try:
                    configure(pinner, repair.role, repair.cpus)
                except HypervisorError as error:
                    _tell_refused(repair, error)
                    if isinstance(error, DeadlineExceeded):
                        # The others would be waited for as long, and as much in vain.
                        return
                else:
                    self._note(repair)
        finally:
            self._asking.release()

    def _note(self, repair: Repair) -> None:
        _log.info("repaired: %s to CPU %s", repair.role, repair.cpus)
        self._done.put(repair)

    def _taken(self) -> list[Repair]:
        return [self._done.get() for _ in range(self._done.qsize())]


def _tell_refused(repair: Repair, error: Exception) -> None:
    _log.warning("not repaired: %s to CPU %s: %s", repair.role, repair.cpus, error)


def configure(pinner: Pinner, role: Role, cpus: CPUSet) -> None:
    """Have libvirt pin the thread, which also changes the pins in the domain's live XML.

    Raises HypervisorError for a worker: libvirt has no call for those.
    """
    number = role.number or 0
    match role.kind:
        case ThreadKind.VCPU:
            pinner.pin_vcpu(number, cpus)
        case ThreadKind.IOTHREAD:
            pinner.pin_iothread(number, cpus)
        case ThreadKind.EMULATOR:
            pinner.pin_emulator(cpus)
        case ThreadKind.WORKER | ThreadKind.VHOST:
            raise HypervisorError("the thread belongs to another user, and libvirt has no call for it")
