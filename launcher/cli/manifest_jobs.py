"""The workshop's job on manifests: read, checked, and turned into a guest."""

from __future__ import annotations

from launcher.cli.machine import load
from launcher.vmi.guest import Guest
from launcher.vmi.manifest import Choice

_NO_CHOICE = Choice()


def load_guest(vmi: str, choice: Choice = _NO_CHOICE) -> Guest:
    """Read the manifest; raises InvalidVMI with every fault."""
    return load(vmi, choice)
