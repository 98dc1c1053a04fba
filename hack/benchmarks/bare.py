"""The floor of what the launcher takes: a program that starts a domain by libvirt's embedded driver and awaits its end.

It reads no manifest, plans, proves and serves nothing: what it takes, libvirt, QEMU and the interpreter take. It wakes
after so many seconds each time, as the launcher does, and looks at nothing.
Usage: bare.py ROOT XML SECONDS
"""

from __future__ import annotations

import os
import select
import sys
import threading
from pathlib import Path

import libvirt

# What it says once libvirt has started the guest.
RUNNING = "running"


def _main(root: Path, xml: Path, interval_s: float) -> None:
    os.environ["LIBVIRT_LOG_OUTPUTS"] = f"2:file:{root}/log/libvirt.log"
    libvirt.virEventRegisterDefaultImpl()
    threading.Thread(target=_turn, daemon=True).start()
    connection = libvirt.open(f"qemu:///embed?root={root}")
    domain = connection.createXML(xml.read_text(), 0)
    print(RUNNING, file=sys.stderr, flush=True)
    pidfd = os.pidfd_open(int((root / "run/qemu" / f"{domain.name()}.pid").read_text()))
    while not select.select([pidfd], [], [], interval_s)[0]:
        pass
    # libvirt's own clearing up is not waited for.
    os._exit(0)


def _turn() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3]))
