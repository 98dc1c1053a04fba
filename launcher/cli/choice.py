"""What the options say beside a manifest; small, for `run` has it before anything else is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from launcher.vmi.manifest import Choice

if TYPE_CHECKING:
    from argparse import Namespace


def choice_of(options: Namespace) -> Choice:
    """Return what the options say beside the manifest (--name, --instancetype, --preference)."""
    return Choice(name=options.name, instancetype=options.instancetype, preference=options.preference)
