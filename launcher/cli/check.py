"""The verb `check`: every fault of the manifest, each with its field path."""

from __future__ import annotations

from argparse import Namespace

from launcher.cli.machine import native_arch
from launcher.cli.output import show
from launcher.errors import ExitStatus, InvalidVMI
from launcher.observe.text import printable
from launcher.vmi.load import load_guest


def run(options: Namespace) -> ExitStatus:
    """Print each fault on a line of standard output; exit status 3 where there is one."""
    try:
        guest = load_guest(options.vmi, arch=native_arch())
    except InvalidVMI as error:
        show("\n".join(map(printable, str(error).splitlines())))
        return error.exit_status
    show(printable(f"{options.vmi}: {guest.namespace}/{guest.name} is valid"))
    return ExitStatus.POWERED_OFF
