"""How far the memory that `virt-launcher pod` asks for lies above what a guest uses that writes to all of its own."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

from hack.benchmarks.launcher import CHECKOUT, environment, launched, launcher_command
from hack.benchmarks.processes import PATIENCE_S, BenchError, resident_mib
from hack.benchmarks.samples import Samples
from hack.benchmarks.table import Row, Section
from hack.benchmarks.workplace import Workplace
from launcher.quantity import parse_quantity
from tests.e2e.boot_sector import READY, Sector, make_disk

_MIB = 1 << 20
# A limit may be so much of what was used at most.
_TARGET = 1.25
_BETWEEN_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    """A guest of this much memory, with empty disks beside its own, and IOThreads where it has them."""

    what: str
    mebibytes: int
    disks: int = 0

    def write(self, workplace: Workplace) -> Path:
        """Write its manifest, and a disk with the boot sector that writes to every page."""
        own = workplace.folder / f"pages-{self.mebibytes}.img"
        make_disk(own, "raw", Sector(memory_bytes=self.mebibytes * _MIB))
        names = ["root", *(f"empty-{number}" for number in range(self.disks))]
        empty: list[object] = [{"name": name, "emptyDisk": {"capacity": "1Gi"}} for name in names[1:]]
        domain = {
            "cpu": {"cores": 2, "dedicatedCpuPlacement": True},
            "memory": {"guest": f"{self.mebibytes}Mi"},
            "devices": {
                "autoattachGraphicsDevice": False,
                "logSerialConsole": True,
                "disks": [{"name": name, "disk": {"bus": "virtio"}} for name in names],
            },
            **({"ioThreadsPolicy": "auto"} if self.disks else {}),
        }
        volumes = [{"name": "root", "hostDisk": {"path": str(own), "type": "Disk"}}, *empty]
        path = workplace.folder / f"pages-{self.mebibytes}-{self.disks}.json"
        path.write_text(
            json.dumps(
                {
                    "apiVersion": "kubevirt.io/v1",
                    "kind": "VirtualMachineInstance",
                    "metadata": {"name": "pages", "namespace": "bench"},
                    "spec": {"domain": domain, "volumes": volumes},
                }
            )
        )
        return path


_GUESTS = (
    Guest(what="64 MiB", mebibytes=64),
    Guest(what="512 MiB", mebibytes=512),
    Guest(what="512 MiB, four disks, IOThreads", mebibytes=512, disks=4),
    Guest(what="3 GiB", mebibytes=3072),
)


def measure_memory(workplace: Workplace) -> Section:
    """Compare each guest's limit with what its launcher and QEMU have resident once it has written everything.

    The guest is emulated here; its limit is that of a guest under KVM, which has no translated code.
    """
    rows = (Row(what=guest.what, samples=_ratio(workplace, guest), unit="x", target=_TARGET) for guest in _GUESTS)
    return Section(title="the Pod's limit of memory, to what is used", rows=tuple(rows))


def _ratio(workplace: Workplace, guest: Guest) -> Samples:
    vmi = guest.write(workplace)
    limit = _limit_mib(vmi)
    root = workplace.root(f"m{guest.mebibytes}-{guest.disks}")
    with launched(vmi, root) as running:
        running.wait_until_running()
        _wait_until_written(root, guest)
        used = resident_mib(running.qemu_pid()) + resident_mib(running.process.pid)
        running.stop()
    return Samples(values=(limit / used,))


def _limit_mib(vmi: Path) -> float:
    """Return the limit of the container that `virt-launcher pod` prints."""
    command = launcher_command("pod", str(vmi))
    printed = subprocess.run(
        command, capture_output=True, text=True, env=environment(), cwd=CHECKOUT, timeout=PATIENCE_S, check=True
    )
    *_, pod = yaml.safe_load_all(printed.stdout)
    return parse_quantity(pod["spec"]["containers"][0]["resources"]["limits"]["memory"]).ceil / _MIB


def _wait_until_written(root: Path, guest: Guest) -> None:
    """Wait until the guest says at its console that it has written to all of its memory."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not any(READY in log.read_text() for log in root.glob("log/*-serial0.log")):
        if time.monotonic() > deadline_s:
            raise BenchError(f"a guest of {guest.mebibytes} MiB does not say that it wrote to all of them")
        time.sleep(_BETWEEN_S)
