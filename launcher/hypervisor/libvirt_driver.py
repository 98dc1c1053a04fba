"""The libvirt adapter: the one module that imports libvirt."""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import libvirt

from launcher.cpuset import CPUSet
from launcher.domain.names import PLAN_NAMESPACE, PLAN_PREFIX, RUN_MARK, RUN_NAMESPACE, RUN_PREFIX
from launcher.errors import HypervisorError
from launcher.hypervisor.deadline import Call, CallAbandoned, DeadlineExceeded, IsStopping
from launcher.hypervisor.life import Life
from launcher.hypervisor.mailbox import Mailbox
from launcher.hypervisor.probes import ProbeWatch
from launcher.hypervisor.protocol import (
    AgentChanged,
    ConnectionLost,
    DeviceRemoved,
    EndReason,
    Machine,
    MachineAilment,
    MachineEnded,
    MachineEvent,
    MachineGone,
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
# An agent in a busy guest takes its time, and writes files.
AGENT_TIMEOUT_S = 30.0
# libvirt gives up on it before that.
AGENT_ANSWER_S = 20
# An order to shut down is taken at once by an agent that is well; the guest may then take its time.
AGENT_ORDER_S = 3.0
# At the end nothing depends on the connection any more: a daemon that does not answer is not waited for as long.
CLOSE_TIMEOUT_S = 3.0

# A daemon behind the connection that has not answered three times in a row, five seconds apart, counts as lost.
KEEPALIVE_S = 5
KEEPALIVE_COUNT = 3

# One disk served by several IOThreads: libvirt 10.0 (formatdomain, "iothreads" below the disk's driver).
_SHARED_IOTHREADS_VERSION = 10_000_000

# Files handed over open (virDomainFDAssociate).
_DESCRIPTORS_VERSION = 9_000_000

# passt that is started as documented (libvirt's news of 9.1).
_PASST_VERSION = 9_001_000
# What launcher/domain/newer.py leaves out: of Debian's releases the first has none of it (9.0), the next all (11.3).
_NEWER_ELEMENTS_VERSION = 11_003_000

# Characters of an error of libvirt's that are told.
_MOST_WORDS = 4096

# QEMU's word for a guest that was started with -S and not resumed yet.
_NEVER_RESUMED = "prelaunch"

# The firmware's variables outlive the definition.
_KEEPING = libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_TPM

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
        # An agent's order to shut down that nobody waits for any more.
        self._agents_order: Call[Any] | None = None
        self.name: str = domain.name()
        self.life = _life_of(domain)
        self.uuid = self.life.uuid

    def state(self) -> MachineState:
        """Return the state now; ENDED where the domain is gone."""
        try:
            state, _reason = _call(f"state of {self.name}", self._domain.state)
        except MachineGone:
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
        """Let the guest's CPUs run; one that sleeps is woken."""

        def resume() -> None:
            if not self._wake():
                self._domain.resume()

        _call(f"resume of {self.name}", resume)

    def _wake(self) -> bool:
        """Wake a guest that sleeps (ACPI's S3), and tell whether it did: nothing else reaches it. Part of a call."""
        state, _reason = self._domain.state()
        if state != libvirt.VIR_DOMAIN_PMSUSPENDED:
            return False
        self._domain.pMWakeup()
        return True

    def pause(self) -> None:
        """Have the guest's CPUs stand still."""
        _call(f"pause of {self.name}", self._domain.suspend)

    def reset(self) -> None:
        """Press the reset button."""
        _call(f"reset of {self.name}", self._domain.reset)

    def forward_port(self, alias: str, protocol: str, port: int) -> None:
        """Have QEMU listen on a port for the guest.

        QEMU's user networking is told so by its monitor alone: libvirt's XML has port forwards for passt only, and QMP
        none at all. What is said to the monitor is made of a number and two names that were checked; libvirt names the
        back end for its card. Twice is no error.
        """
        self._say(f"hostfwd_remove host{alias} {protocol}::{port}")
        said = self._say(f"hostfwd_add host{alias} {protocol}::{port}-:{port}")
        if said:
            raise HypervisorError(
                f"{protocol.upper()} port {port} of the Pod cannot lead to the guest: somebody listens there, or it is "
                f"below net.ipv4.ip_unprivileged_port_start; QEMU says: {said}"
            )

    def _say(self, command: str) -> str:
        """Say a command of people's to QEMU's monitor, and return its answer."""
        import libvirt_qemu  # noqa: PLC0415 - for guests with ports behind QEMU's user networking

        human = libvirt_qemu.VIR_DOMAIN_QEMU_MONITOR_COMMAND_HMP
        ask = partial(libvirt_qemu.qemuMonitorCommand, self._domain, command, human)
        return str(_call(f"monitor of {self.name}", ask)).strip()

    def record_plan(self, xml: str) -> None:
        """Replace the plan in the metadata of the running domain."""
        self._set_metadata("record of the plan", xml, PLAN_PREFIX, PLAN_NAMESPACE)

    def record_run(self) -> None:
        """Note in the metadata of the running domain that its CPUs have run."""
        self._set_metadata("record of the first run", RUN_MARK, RUN_PREFIX, RUN_NAMESPACE)

    def _set_metadata(self, what: str, xml: str, prefix: str, namespace: str) -> None:
        kind, live = libvirt.VIR_DOMAIN_METADATA_ELEMENT, libvirt.VIR_DOMAIN_AFFECT_LIVE
        _call(what, lambda: self._domain.setMetadata(kind, xml, prefix, namespace, live))

    def ask_agent(self, command: str, timeout_s: int) -> str:
        """Have the guest's agent answer this command; libvirt refuses at once where no agent is connected."""
        import libvirt_qemu  # noqa: PLC0415 - only for a guest whose probe asks its agent

        def ask() -> str:
            return str(libvirt_qemu.qemuAgentCommand(self._domain, command, timeout_s, 0))

        return _call(f"agent of {self.name}", ask, timeout_s + CALL_TIMEOUT_S)

    def set_keys(self, user: str, keys: Sequence[str]) -> None:
        """Have the guest's agent replace the user's public keys (guest-ssh-add-authorized-keys, with reset)."""
        self._ask_agent_to(f"keys of {user}", lambda: self._domain.authorizedSSHKeysSet(user, list(keys), 0))

    def set_password(self, user: str, password: str) -> None:
        """Have the guest's agent set the user's password."""
        self._ask_agent_to(f"password of {user}", lambda: self._domain.setUserPassword(user, password, 0))

    def _ask_agent_to(self, what: str, function: Callable[[], Any]) -> None:
        """Have libvirt, too, give up on an agent that does not answer: it would wait for ever, and others behind it."""
        _call(what, lambda: self._domain.agentSetResponseTimeout(AGENT_ANSWER_S, 0))
        _call(what, function, AGENT_TIMEOUT_S)

    def ask_to_shut_down(self) -> None:
        """Ask the guest agent, and press the ACPI power button where there is none that answers.

        libvirt waits a minute for an agent that has taken the order, or for one that another call waits for, before it
        presses the button: that is not waited for.
        """
        _call(f"wake-up of {self.name}", self._wake)
        what = f"shutdown of {self.name}"
        if self._agents_order is None or self._agents_order.is_over:
            both = libvirt.VIR_DOMAIN_SHUTDOWN_GUEST_AGENT | libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN
            self._agents_order = Call(what, lambda: self._domain.shutdownFlags(both))
            try:
                _result(self._agents_order, AGENT_ORDER_S)
            except DeadlineExceeded as error:
                _log.debug("%s; the power button is pressed", error)
            else:
                self._agents_order = None
                return
        _call(what, lambda: self._domain.shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN))

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
        self._mailbox = Mailbox(on_event, self._has_ended)
        self._connection: Any = None
        self._callbacks: tuple[int, ...] = ()
        self._version = 0
        self._host_cpus = 0
        # Why the connection was lost; empty while it is there.
        self._lost = ""
        self._open(is_stopping)

    @property
    def shares_iothreads(self) -> bool:
        """Tell whether one disk can be served by several IOThreads."""
        return self._version >= _SHARED_IOTHREADS_VERSION

    @property
    def takes_descriptors(self) -> bool:
        """Tell whether QEMU can be handed files that are open here: by a driver of this machine, over a unix socket."""
        return self._version >= _DESCRIPTORS_VERSION and _is_local(self._uri)

    @property
    def has_passt(self) -> bool:
        """Tell whether a network card can be carried by passt, should that run."""
        return self._version >= _PASST_VERSION

    @property
    def has_newer_elements(self) -> bool:
        """Tell whether libvirt knows the elements of 2025: MSDM tables, the discard granularity, parts of tlbflush."""
        return self._version >= _NEWER_ELEMENTS_VERSION

    def capabilities_of(self, *, arch: str, machine: str, virt_type: str) -> str:
        """Return libvirt's domain capabilities of this machine type as XML; of QEMU that was asked at the opening."""
        ask = partial(self._connection.getDomainCapabilities, None, arch, machine, virt_type, 0)
        return str(self._ask("QEMU's capabilities", ask))

    def find(self, name: str) -> LibvirtMachine | None:
        """Return the active domain of this name, if there is one."""
        try:
            domain = _call(f"look-up of {name}", lambda: self._connection.lookupByName(name))
            active = _call(f"look-up of {name}", domain.isActive)
        except MachineGone:
            return None
        machine = LibvirtMachine(domain, self._host_cpus, self._is_stopping)
        if not active or machine.life.is_over:
            return None
        if self._probes is not None:
            # The driver is ours alone: whoever was killed in the middle of a start has left it defined.
            with suppress(HypervisorError):
                _call(f"look-up of {name}", lambda: _let_go(domain))
        return machine

    def follow(self, machine: Machine) -> None:
        """Have this machine's events called back, those since the connection was opened first, and no other's."""
        self._mailbox.follow(machine.life)

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

    def start_paused(
        self,
        name: str,
        xml: str,
        *,
        memory_bytes: int,
        cpus: CPUSet,
        keeps_variables: bool = True,
        files: Sequence[tuple[str, int]] = (),
    ) -> LibvirtMachine:
        """Start a transient domain of this name whose CPUs do not run yet.

        VALIDATE: without it libvirt drops a misspelt element silently. Raises HypervisorError with libvirt's words.
        A start that takes too long, or longer than somebody who wants the end waits, is ended, and its QEMU with it.

        The thread that starts it stays on `cpus`: for an x86 guest libvirt asks QEMU four hundred questions, and where
        QEMU's main thread has the same CPU, none of them waits until another CPU has woken up (some 20 ms in all).
        """
        flags = libvirt.VIR_DOMAIN_START_PAUSED | libvirt.VIR_DOMAIN_START_VALIDATE
        if not keeps_variables:
            flags |= libvirt.VIR_DOMAIN_START_RESET_NVRAM

        def create() -> Any:
            # A CPU may just have left the cpuset.
            with suppress(OSError):
                os.sched_setaffinity(0, cpus)
            return self._create_with(name, xml, flags, files)

        def start() -> LibvirtMachine:
            call = Call("start", create)
            try:
                domain = self._told(call, start_timeout_s(memory_bytes), self._is_stopping)
            except (DeadlineExceeded, CallAbandoned) as error:
                _log.warning("not started: %s; QEMU is ended", error)
                self._end_start(call, name)
                raise
            return LibvirtMachine(domain, self._host_cpus, self._is_stopping)

        return self._asked_again(start)

    def _create_with(self, name: str, xml: str, flags: int, files: Sequence[tuple[str, int]]) -> Any:
        """Start the domain; where it takes descriptors it has to be defined first, for only then there is one to give
        them to, and is let go at once."""
        if not files:
            return self._connection.createXML(xml, flags)
        _forget(self._connection, name, everything=self._probes is not None)
        domain = self._connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE)
        try:
            for group, descriptor in files:
                domain.FDAssociate(group, [descriptor], 0)
            domain.createWithFlags(flags & ~libvirt.VIR_DOMAIN_START_VALIDATE)
        finally:
            domain.undefineFlags(_KEEPING)
        return domain

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
            set_up = _call("set-up of the connection", lambda: self._set_up(connection))
            self._version, self._host_cpus, self._callbacks = set_up
        except HypervisorError:
            _close(connection, (), uri)
            raise
        self._connection = connection
        self._lost = ""
        if lost is not None:
            _close(lost, lost_callbacks, uri)

    def _set_up(self, connection: Any) -> tuple[int, int, tuple[int, ...]]:
        """Have every event of interest called back, and a silent daemon noticed.

        Returns what does not change, libvirt's version and the number of the host's CPUs, and libvirt's numbers of the
        callbacks. All in one call: each is a thread to wait for, on a busy CPU some milliseconds.
        """
        wanted = {
            libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE: self._lifecycle_changed,
            libvirt.VIR_DOMAIN_EVENT_ID_REBOOT: self._rebooted,
            libvirt.VIR_DOMAIN_EVENT_ID_WATCHDOG: self._watchdog_fired,
            libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR_REASON: self._io_failed,
            libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE: self._agent_changed,
            libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED: self._device_removed,
        }
        connection.registerCloseCallback(self._closed, None)
        callbacks = tuple(connection.domainEventRegisterAny(None, event, call, None) for event, call in wanted.items())
        _keep_alive(connection)
        return int(connection.getLibVersion()), len(connection.getCPUMap()[1]), callbacks

    def _lifecycle_changed(self, _connection: Any, domain: Any, event: int, detail: int, _opaque: Any) -> None:
        translated = _lifecycle_event(event, detail)
        if translated is not None:
            self._mailbox.put(_life_of(domain), translated)

    def _rebooted(self, _connection: Any, domain: Any, _opaque: Any) -> None:
        self._mailbox.put(_life_of(domain), MachineRebooted())

    def _agent_changed(self, _connection: Any, domain: Any, state: int, _reason: int, _opaque: Any) -> None:
        connected = state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED
        self._mailbox.put(_life_of(domain), AgentChanged(connected=connected))

    def _device_removed(self, _connection: Any, domain: Any, alias: str, _opaque: Any) -> None:
        self._mailbox.put(_life_of(domain), DeviceRemoved(alias=alias))

    def _watchdog_fired(self, _connection: Any, domain: Any, action: int, _opaque: Any) -> None:
        word = _WATCHDOG_ACTIONS.get(action, f"action {action}")
        is_end = action == libvirt.VIR_DOMAIN_EVENT_WATCHDOG_POWEROFF
        self._mailbox.put(
            _life_of(domain), MachineAilment(detail=f"the guest's watchdog fired ({word})", is_end=is_end)
        )

    def _io_failed(
        self, _connection: Any, domain: Any, source: str, device: str, _action: int, reason: str, _opaque: Any
    ) -> None:
        detail = f"I/O error on {device} ({source}): {reason or 'no reason given'}"
        self._mailbox.put(_life_of(domain), MachineAilment(detail=detail))

    def _closed(self, connection: Any, reason: int, _opaque: Any) -> None:
        # One that has been replaced already is closed by ourselves, and nobody's loss.
        if connection is self._connection:
            self._lost = _CLOSE_REASONS.get(reason, f"reason {reason}")
            self._on_event(ConnectionLost(reason=f"{self._uri}: {self._lost}"))

    def _has_ended(self, life: Life) -> bool:
        """Ask whether the domain of this life is gone; one that cannot be asked after is not known to be."""
        try:
            _call(f"look-up of domain {life.number}", lambda: self._connection.lookupByID(life.number))
        except MachineGone:
            return True
        except HypervisorError as error:
            _log.debug("%s", error)
        return False


def _forget(connection: Any, name: str, *, everything: bool) -> None:
    """Undefine what a start that was cut short has left defined, which would stand in the way of another UUID.

    Of a daemon's domains only one that a launcher has defined; raises HypervisorError where it is somebody else's.
    """
    with suppress(libvirt.libvirtError):
        left = connection.lookupByName(name)
        if not everything and PLAN_NAMESPACE not in left.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE):
            raise HypervisorError(
                f"start: domain {name} is defined already, and was not defined by virt-launcher: undefine it (virsh "
                f"undefine {name}), or give the guest another name"
            )
        left.undefineFlags(_KEEPING)


def _is_local(uri: str) -> bool:
    """Tell whether this URI leads to this machine's own libvirt: it names no host, and no transport but a socket."""
    scheme, _, rest = uri.partition("://")
    return scheme in ("qemu", "qemu+unix") and rest.startswith("/")


def _let_go(domain: Any) -> None:
    if domain.isPersistent():
        domain.undefineFlags(_KEEPING)


def _life_of(domain: Any) -> Life:
    return Life(uuid=domain.UUIDString(), number=domain.ID())


def _lifecycle_event(event: int, detail: int) -> MachineEvent | None:  # noqa: PLR0911 - one row an event
    """Translate libvirt's pair of numbers (virDomainEventType and its detail); None for what nobody here waits for."""
    if event == libvirt.VIR_DOMAIN_EVENT_RESUMED:
        return MachineResumed()
    if event == libvirt.VIR_DOMAIN_EVENT_SUSPENDED:
        return MachinePaused(reason=_PAUSE_REASONS.get(detail, f"reason {detail}"))
    if event == libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED and detail == libvirt.VIR_DOMAIN_EVENT_PMSUSPENDED_MEMORY:
        return MachinePaused(reason="asleep")
    if event == libvirt.VIR_DOMAIN_EVENT_STARTED and detail == libvirt.VIR_DOMAIN_EVENT_STARTED_WAKEUP:
        return MachineResumed()
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
        # A guest's agent has a say in them.
        words = " ".join((error.get_error_message() or str(error))[:_MOST_WORDS].split())
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            raise MachineGone(f"{call.what}: {words}") from error
        raise HypervisorError(f"{call.what}: {words}") from error


def _keep_alive(connection: Any) -> None:
    """Have a daemon that went silent noticed; a driver inside this process has no such thing to offer."""
    try:
        connection.setKeepAlive(KEEPALIVE_S, KEEPALIVE_COUNT)
    except libvirt.libvirtError as error:
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
