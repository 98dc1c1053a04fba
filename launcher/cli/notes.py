"""Says on the error stream what of a manifest is without effect, for the verbs that start nothing."""

from __future__ import annotations

from launcher.cli.output import complain
from launcher.vmi.guest import Guest
from launcher.vmi.notices import notices_of


def note(guest: Guest) -> None:
    """Print a line for each thing that the manifest asks for in vain."""
    for notice in notices_of(guest):
        # Most manifests ask for nothing in vain.
        from launcher.observe.text import printable  # noqa: PLC0415

        complain(printable(f"virt-launcher: note: {notice}"))
