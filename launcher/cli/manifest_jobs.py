"""The workshop's job on manifests: read, checked, and turned into a guest."""

from __future__ import annotations

from launcher.cli.machine import load
from launcher.vmi.guest import Guest


def load_guest(vmi: str) -> Guest:
    """Read the manifest; raises InvalidVMI with every fault."""
    return load(vmi)
