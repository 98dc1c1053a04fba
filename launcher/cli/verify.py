"""The verb `verify`: plan, configuration and kernel compared for a running domain, whoever started it."""

from __future__ import annotations

import os
from argparse import Namespace
from pathlib import Path

from msgspec import Struct

from launcher.cli.client import ask_status
from launcher.cli.output import show, terminal
from launcher.cli.places import control_of, root_of
from launcher.domain.read import ConfiguredPins, read_pins, read_plan, read_uuid
from launcher.errors import ExitStatus, HypervisorError, UsageError
from launcher.hypervisor.binding import HOW, has_binding, importing_binding
from launcher.hypervisor.process import find_qemu
from launcher.observe.compare import compare, comparison_text
from launcher.observe.text import printable
from launcher.planner.document import from_json
from launcher.planner.model import Pinning
from launcher.supervise.threads import ThreadObserver


class Subject(Struct, frozen=True, kw_only=True):
    """What is verified: a domain, QEMU's pid, and what is known of where its threads belong.

    `plan` is None where no launcher recorded one, `configured` where the configuration is out of reach.
    """

    name: str
    pid: int
    vcpus: int
    plan: Pinning | None
    configured: ConfiguredPins | None


def run(options: Namespace) -> ExitStatus:
    """Print the comparison; exit status 10 where something differs, 7 where the domain is not there."""
    subject = _subject(options)
    observed = ThreadObserver(subject.pid).observe()
    if not observed:
        raise HypervisorError(f"domain {subject.name}: QEMU (pid {subject.pid}) has ended")
    comparisons = compare(subject.plan, subject.configured, observed, vcpus=subject.vcpus)
    width, colour = terminal()
    show(printable(f"domain {subject.name}, QEMU's pid {subject.pid}: {_compared(subject)}"))
    show(comparison_text(comparisons, width=width, colour=colour), end="")
    differs = any(comparison.differs for comparison in comparisons)
    return ExitStatus.NOT_PINNED if differs else ExitStatus.POWERED_OFF


def _compared(subject: Subject) -> str:
    if subject.plan is None:
        return "no launcher recorded a plan; configuration and kernel compared"
    if subject.configured is None:
        return "its configuration is out of reach; plan and kernel compared"
    return "plan, configuration and kernel compared"


def _subject(options: Namespace) -> Subject:
    if options.connect is not None:
        return _from_libvirt(options.connect, options.domain)
    path = _state_file(root_of(options), options.domain)
    if path is not None and options.control is None:
        return _from_xml(path.stem, _read(path), root=root_of(options))
    return _from_launcher(control_of(options), options.domain)


def _from_libvirt(uri: str, name: str | None) -> Subject:
    if name is None:
        raise UsageError("verify --connect URI: name the DOMAIN")
    with importing_binding():
        from launcher.hypervisor import libvirt_driver  # noqa: PLC0415 - only here, and start-up time counts

    libvirt_driver.start_event_loop()
    hypervisor = libvirt_driver.LibvirtHypervisor(uri, lambda _event: None)
    try:
        machine = hypervisor.find(name)
        if machine is None:
            raise HypervisorError(f"domain {name}: no such domain runs at {uri}")
        return _from_xml(name, machine.xml(), root=None, uri=uri)
    finally:
        hypervisor.close()


def _state_file(root: Path, name: str | None) -> Path | None:
    """Find the embedded driver's own record of a running domain: no second process can open its connection."""
    try:
        found = [path for path in sorted((root / "run" / "qemu").glob("*.xml")) if name in (None, path.stem)]
    except PermissionError:
        return None
    return found[0] if len(found) == 1 and os.access(found[0], os.R_OK) else None


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError as error:
        # It ends with the guest.
        raise HypervisorError(f"domain {path.stem}: {path}: {error.strerror}") from error


def _from_xml(name: str, xml: str, *, root: Path | None, uri: str | None = None) -> Subject:
    try:
        plan, configured = read_plan(xml), read_pins(xml)
    except ValueError as error:
        raise HypervisorError(f"domain {name}: its configuration cannot be read: {error}") from error
    pid = find_qemu(read_uuid(xml), root=root, uri=uri).pid
    return Subject(name=name, pid=pid, vcpus=len(configured.vcpus), plan=plan, configured=configured)


def _from_launcher(control: Path, name: str | None) -> Subject:
    """Ask the launcher for its plan; the threads are looked at here all the same."""
    try:
        _text, status = ask_status(control)
    except HypervisorError as error:
        whom = f"domain {name}: " if name else ""
        needed = "" if has_binding() else f", once its Python binding is installed ({HOW})"
        raise HypervisorError(f"{whom}{error}; --connect URI finds a libvirt's domain{needed}") from error
    own_name = f"{status.namespace}_{status.name}"
    if status.pid == 0:
        raise HypervisorError(f"{control}: the launcher has no guest yet")
    if name not in (None, own_name):
        raise HypervisorError(f"domain {name}: the launcher at {control} runs {own_name}; --connect URI finds others")
    try:
        plan = from_json(bytes(status.plan).decode())
    except ValueError as error:
        raise HypervisorError(f"{control}: a plan that this version does not understand: {error}") from error
    vcpus = sum(thread.role.startswith("vcpu ") for thread in status.threads)
    return Subject(
        name=own_name, pid=status.pid, vcpus=max(vcpus, len(plan.vcpus) + len(plan.shared)), plan=plan, configured=None
    )
