"""The libvirt adapter: the one module that imports libvirt."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, TypeVar

import libvirt

from launcher.cpuset import CPUSet
from launcher.domain.names import PLAN_NAMESPACE, PLAN_PREFIX, RUN_MARK, RUN_NAMESPACE, RUN_PREFIX
from launcher.errors import HypervisorError
from launcher.hypervisor.deadline import Call, CallAbandoned, DeadlineExceeded, IsStopping
from launcher.hypervisor.probes import ProbeWatch
from launcher.hypervisor.protocol import (
    AgentChanged,
    ConnectionLost,
    EndReason,
    MachineAilment,
    MachineEnded,
    MachineEvent,
    MachinePaused,
    MachineRebooted,
    MachineResumed,
    MachineShuttingDown,
    MachineState,
)

_log = logging.getLogger(__name__)

T = TypeVar("T")

# A start may have to probe QEMU's capabilities first (2 to 5 s measured on an idle machine, more on a busy node). QEMU
# answers only once huge pages and locked memory are all there, and the kernel clears some GiB a second.
START_TIMEOUT_S = 120.0
START_TIMEOUT_S_PER_GIB = 1.0
# libvirt ends a QEMU by SIGTERM, and by SIGKILL 10 s later; a start that fails so is over at once.
END_START_S = 20.0
END_START_INTERVAL_S = 0.1
# Everything else is answered at once by a QEMU that is alive (0.01 s measured).
CALL_TIMEOUT_S = 10.0
# At the end nothing depends on the connection any more: a daemon that does not answer is not waited for as long.
CLOSE_TIMEOUT_S = 3.0

# A daemon behind the connection that has not answered three times in a row, five seconds apart, counts as lost.
KEEPALIVE_S = 5
KEEPALIVE_COUNT = 3

# One disk served by several IOThreads: libvirt 10.0 (formatdomain, "iothreads" below the disk's driver).
_SHARED_IOTHREADS_VERSION = 10_000_000

# QEMU's word for a guest that was started with -S and not resumed yet.
_NEVER_RESUMED = "prelaunch"

_STATES = {
    libvirt.VIR_DOMAIN_RUNNING: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_BLOCKED: MachineState.RUNNING,
    libvirt.VIR_DOMAIN_PAUSED: MachineState.PAUSED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: MachineState.PAUSED,
    libvirt.VIR_DOMAIN_SHUTDOWN: MachineState.SHUTTING_DOWN,
    libvirt.VIR_DOMAIN_CRASHED: MachineState.CRASHED,
    libvirt.VIR_DOMAIN_SHUTOFF: MachineState.ENDED,
}

_END_REASONS = {
    libvirt.VIR_DOMAIN_EVENT_STOPPED_SHUTDOWN: EndReason.POWERED_OFF,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_DESTROYED: EndReason.DESTROYED,
    libvirt.VIR_DOMAIN_EVENT_STOPPED_CRASHED: EndReason.CRASHED,
}

_PAUSE_REASONS = {
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_PAUSED: "asked for",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_IOERROR: "I/O error",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_WATCHDOG: "watchdog",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED: "migration",
    libvirt.VIR_DOMAIN_EVENT_SUSPENDED_API_ERROR: "API error",
}

_WATCHDOG_ACTIONS = {
    libvirt.VIR_DOMAIN_EVENT_WATCHDOG_NONE: "none",
    libvirt.VIR_DOMAIN_EVENT_WATCHDOG_PAUSE: "pause",
    libvirt.VIR_DOMAIN_EVENT_WATCHDOG_RESET: "reset",
    libvirt.VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF: "poweroff",
    libvirt.VIR_DOMAIN_EVENT_WATCHDOG_SHUTDOWN: "shutdown",
}

_CLOSE_REASONS = {
    libvirt.VIR_CONNECT_CLOSE_REASON_ERROR: "an I/O error",
    libvirt.VIR_CONNECT_CLOSE_REASON_EOF: "the daemon is gone",
    libvirt.VIR_CONNECT_CLOSE_REASON_KEEPALIVE: "the daemon does not answer",
    libvirt.VIR_CONNECT_CLOSE_REASON_CLIENT: "closed by ourselves",
}


class LibvirtMachine:
    """One active domain of a libvirt connection."""

    def __init__(self, domain: Any, host_cpus: int, is_stopping: IsStopping | None = None) -> None:
        self._domain = domain
        self._host_cpus = host_cpus
        self._is_stopping = is_stopping
        self.name: str = domain.name()
        self.uuid: str = domain.UUIDString()

    def state(self) -> MachineState:
        """Return the state now; ENDED where the domain is gone."""
        try:
            state, _reason = _call(f"state of {self.name}", self._domain.state)
        except _NoDomain:
            return MachineState.ENDED
        return _STATES.get(state, MachineState.PAUSED)

    def settle(self) -> None:
        """Wait until libvirt has taken up the QEMU that it found when it started, or has ended it.

        It does so in the background, and ends a QEMU whose start was cut short; until then the domain looks alive. Any
        question to QEMU waits for that, this one among them. A domain that is gone then is no error here, nor is a
        QEMU that does not answer, for that may be stopped.
        """
        try:
            _call(f"reconnection of {self.name}", self._domain.memoryStats, START_TIMEOUT_S, self._is_stopping)
        except (HypervisorError, CallAbandoned) as error:
            _log.debug("%s", error)

    def has_run(self) -> bool | None:
        """Ask QEMU, which calls a guest prelaunch until its first resume (RunState in its qapi/run-state.json).

        libvirt itself does not tell that from a pause. None where QEMU or this driver does not answer.
        """
        import libvirt_qemu  # noqa: PLC0415 - for the rare adoption of a guest that stands still and has no mark

        def ask() -> str:
            return str(libvirt_qemu.qemuMonitorCommand(self._domain, '{"execute": "query-status"}', 0))

        try:
            return bool(json.loads(_call(f"run state of {self.name}", ask))["return"]["status"] != _NEVER_RESUMED)
        except (HypervisorError, ValueError, KeyError, TypeError) as error:
            _log.debug("run state unknown: %s", error)
            return None

    def xml(self) -> str:
        """Return the live domain XML."""
        return str(_call(f"XML of {self.name}", self._domain.XMLDesc))

    def resume(self) -> None:
        """Let the guest's CPUs run."""
        _call(f"resume of {self.name}", self._domain.resume)

    def pause(self) -> None:
        """Have the guest's CPUs stand still."""
        _call(f"pause of {self.name}", self._domain.suspend)

    def reset(self) -> None:
        """Press the reset button."""
        _call(f"reset of {self.name}", self._domain.reset)

    def record_plan(self, xml: str) -> None:
        """Replace the plan in the metadata of the running domain."""
        self._set_metadata("record of the plan", xml, PLAN_PREFIX, PLAN_NAMESPACE)

    def record_run(self) -> None:
        """Note in the metadata of the running domain that its CPUs have run."""
        self._set_metadata("record of the first run", RUN_MARK, RUN_PREFIX, RUN_NAMESPACE)

    def _set_metadata(self, what: str, xml: str, prefix: str, namespace: str) -> None:
        kind, live = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
        _call(what, lambda: self._domain.setMetadata(kind, xml, prefix, namespace, live))

    def ask_to_shut_down(self) -> None:
        """Ask the guest agent, and press the ACPI power button where there is none that answers."""
        flags = libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT | libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
        _call(f"shutdown of {self.name}", lambda: self._domain.shutdownFlags(flags))

    def destroy(self) -> None:
        """End QEMU by force: SIGTERM, and SIGKILL from libvirt where that is not enough."""
        try:
            _call(f"destroy of {self.name}", self._domain.destroy)
        except HypervisorError:
            if self.state() is not MachineState.ENDED:
                raise
            _log.debug("destroy: %s is gone already", self.name)

    def vcpu_statistics(self) -> Mapping[str, int]:
        """Return libvirt's counters of the vCPUs; what is no number is left out."""
        connection, domains = self._domain.connect(), [self._domain]
        ((_domain, found),) = _call(
            f"statistics of {self.name}", lambda: connection.domainListGetStats(domains, libvirt.VIR_DOMAIN_STATS_VCPU)
        )
        return {name: value for name, value in found.items() if isinstance(value, int)}

    def pin_vcpu(self, vcpu: int, cpus: CPUSet) -> None:
        """Set the affinity of one vCPU's thread."""
        _call(f"pin of vcpu {vcpu}", lambda: self._domain.pinVcpu(vcpu, self._cpumap(cpus)))

    def pin_iothread(self, iothread: int, cpus: CPUSet) -> None:
        """Set the affinity of one IOThread."""
        _call(f"pin of iothread {iothread}", lambda: self._domain.pinIOThread(iothread, self._cpumap(cpus)))

    def pin_emulator(self, cpus: CPUSet) -> None:
        """Set the affinity of QEMU's main thread."""
        _call("pin of the emulator", lambda: self._domain.pinEmulator(self._cpumap(cpus)))

    def _cpumap(self, cpus: CPUSet) -> tuple[bool, ...]:
        return cpus.cpumap(self._host_cpus)


class LibvirtHypervisor:
    """A libvirt connection whose events go to one callback, called in libvirt's own event thread."""

    def __init__(
        self,
        uri: str,
        on_event: Callable[[MachineEvent], None],
        is_stopping: IsStopping | None = None,
        probes: ProbeWatch | None = None,
    ) -> None:
        """Open the connection, after `start_event_loop`; raises HypervisorError with the URI and libvirt's words.

        Once `is_stopping` returns true, what takes long here is not waited for much longer: CallAbandoned. `probes` are
        those that libvirt starts in this process.
        """
        self._uri = uri
        self._on_event = on_event
        self._is_stopping = is_stopping
        self._probes = probes
        self._machine_uuid: str | None = None
        self._connection: Any = None
        self._callbacks: tuple[int, ...] = ()
        # Why the connection was lost; empty while it is there.
        self._lost = ""
        self._open(is_stopping)

    @property
    def shares_iothreads(self) -> bool:
        """Tell whether one disk can be served by several IOThreads."""
        return bool(self._ask("libvirt's version", self._connection.getLibVersion) >= _SHARED_IOTHREADS_VERSION)

    def find(self, name: str) -> LibvirtMachine | None:
        """Return the active domain of this name, if there is one."""
        try:
            domain = _call(f"look-up of {name}", lambda: self._connection.lookupByName(name))
            active = _call(f"look-up of {name}", domain.isActive)
        except _NoDomain:
            return None
        return self._watch(domain) if active else None

    def others(self, name: str) -> tuple[LibvirtMachine, ...]:
        """Return the domains of other names that are active behind this connection."""
        active = libvirt.VIR_CONNECT_LIST_DOMAINS_ACTIVE
        domains = _call("list of domains", lambda: self._connection.listAllDomains(active))
        machines = (LibvirtMachine(domain, self._host_cpus, self._is_stopping) for domain in domains)
        return tuple(machine for machine in machines if machine.name != name)

    def find_again(self, name: str) -> LibvirtMachine | None:
        """Open the connection again where it is lost, and find the domain behind it; None where that cannot be yet."""
        try:
            if not _call("state of the connection", self._connection.isAlive):
                self._open()
            return self.find(name)
        except HypervisorError as error:
            _log.debug("not reconnected: %s", error)
            return None

    def start_paused(self, name: str, xml: str, *, memory_bytes: int, keeps_variables: bool = True) -> LibvirtMachine:
        """Start a transient domain of this name whose CPUs do not run yet.

        VALIDATE: without it libvirt drops a misspelt element silently. Raises HypervisorError with libvirt's words.
        A start that takes too long, or longer than somebody who wants the end waits, is ended, and its QEMU with it.
        """
        flags = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_VALIDATE
        if not keeps_variables:
            flags |= libvirt.VIR_DOMAIN_START_RESET_NVRAM

        def start() -> LibvirtMachine:
            call = Call("start", lambda: self._connection.createXML(xml, flags))
            try:
                return self._watch(self._told(call, start_timeout_s(memory_bytes), self._is_stopping))
            except (DeadlineExceeded, CallAbandoned) as error:
                _log.warning("not started: %s; QEMU is ended", error)
                self._end_start(call, name)
                raise

        return self._asked_again(start)

    def _end_start(self, start: Call[Any], name: str) -> None:
        """Have libvirt end the QEMU of a start that is not to go on, and wait until libvirt has cleared up."""
        ends_s = time.monotonic() + END_START_S
        is_over = False
        while not is_over and time.monotonic() < ends_s:
            # Once more after the start is over: it may have succeeded meanwhile.
            is_over = start.is_over
            with suppress(HypervisorError):
                machine = self.find(name)
                if machine is not None:
                    machine.destroy()
            time.sleep(END_START_INTERVAL_S)

    def command_line(self, xml: str) -> str:
        """Return the QEMU command line that this domain would become."""

        def convert() -> str:
            return str(self._connection.domainXMLToNative("qemu-argv", xml, 0)).strip()

        return self._asked_again(lambda: self._told(Call("conversion to a command line", convert), START_TIMEOUT_S))

    def close(self) -> None:
        """Close the connection; the embedded driver lets go of its root with it."""
        _close(self._connection, self._callbacks, self._uri)

    def _ask(self, what: str, function: Callable[[], T]) -> T:
        return self._told(Call(what, function), CALL_TIMEOUT_S)

    def _asked_again(self, ask: Callable[[], T]) -> T:
        return self._probes.asked_again(ask, HypervisorError) if self._probes else ask()

    def _told(self, call: Call[T], timeout_s: float, is_stopping: IsStopping | None = None) -> T:
        """Wait for a call to libvirt; where it fails because the daemon went meanwhile, it is that which is told."""
        try:
            return _result(call, timeout_s, is_stopping, self._look_at_probes)
        except HypervisorError as error:
            if self._lost:
                raise HypervisorError(f"{call.what}: the connection to {self._uri} is lost: {self._lost}") from error
            raise

    def _look_at_probes(self) -> None:
        if self._probes:
            self._probes.look()

    def _open(self, is_stopping: IsStopping | None = None) -> None:
        """Open a connection and put it in the place of one that is lost."""
        uri, lost, lost_callbacks = self._uri, self._connection, self._callbacks
        _log.debug("opening: %s", uri)
        opening = Call(f"open {uri}", lambda: libvirt.open(uri))
        connection = _result(opening, START_TIMEOUT_S, is_stopping, self._look_at_probes)
        try:
            self._host_cpus = len(_call("host CPUs", connection.getCPUMap)[1])
            self._callbacks = self._register(connection)
        except HypervisorError:
            _close(connection, (), uri)
            raise
        self._connection = connection
        self._lost = ""
        if lost is not None:
            _close(lost, lost_callbacks, uri)

    def _watch(self, domain: Any) -> LibvirtMachine:
        machine = LibvirtMachine(domain, self._host_cpus, self._is_stopping)
        self._machine_uuid = machine.uuid
        return machine

    def _register(self, connection: Any) -> tuple[int, ...]:
        """Have every event of interest called back, and return libvirt's numbers of the callbacks."""
        wanted = {
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: self._lifecycle_changed,
            libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: self._rebooted,
            libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG: self._watchdog_fired,
            libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON: self._io_failed,
            libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: self._agent_changed,
        }

        def register() -> tuple[int, ...]:
            connection.registerCloseCallback(self._closed, None)
            return tuple(connection.domainEventRegisterAny(None, event, call, None) for event, call in wanted.items())

        callbacks = _call("events", register)
        _keep_alive(connection)
        return callbacks

    def _lifecycle_changed(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        translated = _lifecycle_event(event, detail)
        if translated is not None and self._is_ours(domain):
            self._on_event(translated)

    def _rebooted(self, _connection: Any, domain: Any, _opaque: Any) -> None:
        if self._is_ours(domain):
            self._on_event(MachineRebooted())

    def _agent_changed(self, _connection: Any, domain: Any, state: int, _reason: int, _opaque: Any) -> None:
        if self._is_ours(domain):
            connected = state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
            self._on_event(AgentChanged(connected=connected))

    def _watchdog_fired(self, _connection: Any, domain: Any, action: int, _opaque: Any) -> None:
        if self._is_ours(domain):
            word = _WATCHDOG_ACTIONS.get(action, f"action {action}")
            is_end = action == libvirt.VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF
            self._on_event(MachineAilment(detail=f"the guest's watchdog fired ({word})", is_end=is_end))

    def _io_failed(
        self, _connection: Any, domain: Any, source: str, device: str, _action: int, reason: str, _opaque: Any
    ) -> None:
        if self._is_ours(domain):
            self._on_event(MachineAilment(detail=f"I/O error on {device} ({source}): {reason or 'no reason given'}"))

    def _closed(self, connection: Any, reason: int, _opaque: Any) -> None:
        # One that has been replaced already is closed by ourselves, and nobody's loss.
        if connection is self._connection:
            self._lost = _CLOSE_REASONS.get(reason, f"reason {reason}")
            self._on_event(ConnectionLost(reason=f"{self._uri}: {self._lost}"))

    def _is_ours(self, domain: Any) -> bool:
        return self._machine_uuid is not None and domain.UUIDString() == self._machine_uuid


class _NoDomain(HypervisorError):
    """The domain is not there, or not any more."""


def _lifecycle_event(event: int, detail: int) -> MachineEvent | None:
    """Translate libvirt's pair of numbers (virDomainEventType and its detail); None for what nobody here waits for."""
    if event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
        return MachineResumed()
    if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
        return MachinePaused(reason=_PAUSE_REASONS.get(detail, f"reason {detail}"))
    if event == libvirt.VIR_DOMAIN_EVENT_SHUTDOWN:
        return MachineShuttingDown(by_guest=detail != libvirt.VIR_DOMAIN_EVENT_SHUTDOWN_HOST)
    if event == libvirt.VIR_DOMAIN_EVENT_STOPPED:
        return MachineEnded(reason=_END_REASONS.get(detail, EndReason.FAILED))
    return None


def start_timeout_s(memory_bytes: int) -> float:
    """Return how long the start of a guest with so much memory may take."""
    return START_TIMEOUT_S + START_TIMEOUT_S_PER_GIB * memory_bytes / (1 << 30)


def _call(
    what: str,
    function: Callable[[], T],
    timeout_s: float = CALL_TIMEOUT_S,
    is_stopping: IsStopping | None = None,
) -> T:
    """Call libvirt within a deadline; raises HypervisorError that says what failed, in libvirt's words on one line."""
    return _result(Call(what, function), timeout_s, is_stopping)


def _result(
    call: Call[T],
    timeout_s: float,
    is_stopping: IsStopping | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> T:
    try:
        return call.result(timeout_s, is_stopping, meanwhile)
    except libvirt.libvirtError as error:
        words = " ".join((error.get_error_message() or str(error)).split())
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise _NoDomain(f"{call.what}: {words}") from error
        raise HypervisorError(f"{call.what}: {words}") from error


def _keep_alive(connection: Any) -> None:
    """Have a daemon that went silent noticed; a driver inside this process has no such thing to offer."""
    try:
        _call("keepalive", lambda: connection.setKeepAlive(KEEPALIVE_S, KEEPALIVE_COUNT))
    except HypervisorError as error:
        _log.debug("no keepalive: %s", error)


def _close(connection: Any, callbacks: tuple[int, ...], uri: str) -> None:
    """Close a connection for good: a callback that is still registered would keep it open."""

    def let_go() -> None:
        for callback in callbacks:
            with suppress(libvirt.libvirtError):
                connection.domainEventDeregisterAny(callback)
        with suppress(libvirt.libvirtError):
            connection.unregisterCloseCallback()
        connection.close()

    try:
        _call(f"close {uri}", let_go, CLOSE_TIMEOUT_S)
    except HypervisorError as error:
        _log.warning("connection not closed: %s", error)


def start_event_loop() -> None:
    """Start libvirt's event loop in a thread of its own; once in a process, and before any connection is opened.

    libvirt's own printing of every error is turned off: errors are raised, and said once.
    """
    libvirt.registerErrorHandler(lambda _context, _error: None, None)
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_run_event_loop, name="libvirt-events", daemon=True).start()


def _run_event_loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()
