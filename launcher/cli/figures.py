"""What the figures of downwardMetrics are read from: this machine, and the guest's counters."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping

from launcher.cli.here import native_arch, this_machine
from launcher.host.sysfs import read_host
from launcher.observe.figures import GuestFigures, document_of, figures_of
from launcher.vmi.guest import Guest


def documents_of(guest: Guest, counters: Callable[[], Mapping[str, int]]) -> Callable[[], bytes]:
    """Return what makes the document of the moment; the node's name is the environment's NODE_NAME, else the machine's.

    The function raises LauncherError where the guest cannot be asked.
    """
    tree, host = this_machine(), read_host(this_machine(), native_arch())
    node = os.environ.get("NODE_NAME") or os.uname().nodename

    def document() -> bytes:
        known = GuestFigures(counters=counters(), vcpus=guest.cpu.topology.vcpus, memory_bytes=guest.memory.guest_bytes)
        return document_of(figures_of(tree, host, known, node=node))

    return document
