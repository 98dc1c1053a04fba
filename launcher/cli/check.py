"""The verb `check`: every fault of the manifest, each with its field path, and whether it fits on a described node."""

from __future__ import annotations

from argparse import Namespace

from launcher.cli.choice import choice_of
from launcher.cli.here import native_arch
from launcher.cli.machine import host_of, is_host_described
from launcher.cli.notes import note
from launcher.cli.output import complain, show
from launcher.errors import ExitStatus, InvalidVMI
from launcher.observe.text import printable
from launcher.vmi.apic import wide_ids_in_words
from launcher.vmi.document import read_document
from launcher.vmi.guest import Guest
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Document
from launcher.vmi.starvation import starvation


def run(options: Namespace) -> ExitStatus:
    """Print each fault on a line of standard output; exit status 3 where there is one."""
    try:
        document = read_document(options.vmi, choice_of(options))
        guest = admitted(document, arch=native_arch()).guest
    except InvalidVMI as error:
        show("\n".join(map(printable, str(error).splitlines())))
        return error.exit_status
    for warning in _advice(document):
        complain(printable(f"virt-launcher: warning: {warning}"))
    starved = starvation(guest)
    if starved is not None and not is_host_described(options):
        complain(printable(f"virt-launcher: warning: {starved}"))
    wide = wide_ids_in_words(guest, is_emulated=None)
    if wide is not None:
        complain(printable(f"virt-launcher: note: {wide}"))
    note(guest)
    fits = ", and fits" if _fits(guest, options) else ""
    source = "standard input" if options.vmi == "-" else options.vmi
    show(printable(f"{source}: {guest.namespace}/{guest.name} is valid{fits}"))
    return ExitStatus.POWERED_OFF


def _advice(document: Document) -> tuple[str, ...]:
    """Return what a valid manifest asks of others than the launcher."""
    spec = document.root.get("spec")
    if not isinstance(spec, dict) or not spec.get("dataVolumeTemplates"):
        return ()
    from launcher.pod.claims import claims_of  # noqa: PLC0415 - only here, and start-up time counts

    return claims_of(document.root).warnings


def _fits(guest: Guest, options: Namespace) -> bool:
    """Tell whether a node is described; raises as `plan` does where the guest does not fit on it."""
    if not is_host_described(options):
        return False
    from launcher.planner.plan import plan  # noqa: PLC0415 - only here, and start-up time counts

    for warning in plan(guest, *host_of(options, guest)).warnings:
        complain(f"virt-launcher: warning: {warning}")
    return True
