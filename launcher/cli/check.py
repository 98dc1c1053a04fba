"""The verb `check`: every fault of the manifest, each with its field path, and whether it fits on a described node."""

from __future__ import annotations

from argparse import Namespace

from launcher.cli.machine import host_of, is_host_described, native_arch
from launcher.cli.output import show
from launcher.errors import ExitStatus, InvalidVMI
from launcher.observe.text import printable
from launcher.vmi.guest import Guest
from launcher.vmi.load import load_guest


def run(options: Namespace) -> ExitStatus:
    """Print each fault on a line of standard output; exit status 3 where there is one."""
    try:
        guest = load_guest(options.vmi, arch=native_arch())
    except InvalidVMI as error:
        show("\n".join(map(printable, str(error).splitlines())))
        return error.exit_status
    fits = ", and fits" if _fits(guest, options) else ""
    source = "standard input" if options.vmi == "-" else options.vmi
    show(printable(f"{source}: {guest.namespace}/{guest.name} is valid{fits}"))
    return ExitStatus.POWERED_OFF


def _fits(guest: Guest, options: Namespace) -> bool:
    """Tell whether a node is described; raises as `plan` does where the guest does not fit on it."""
    if not is_host_described(options):
        return False
    from launcher.planner.plan import plan  # noqa: PLC0415 - only here, and start-up time counts

    plan(guest, *host_of(options, guest))
    return True
