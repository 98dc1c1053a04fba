"""A disk served by a pool of IOThreads under a real QEMU: by all of them where libvirt can, else by one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import libvirt
import pytest

from tests.e2e.boot_sector import READY
from tests.processes import allowed_by_name
from tests.qemu.guests import Launcher, small_manifest

Launch = Callable[..., Launcher]

# Debian 13's is 11.3, Debian 12's 9.0.
SHARES = libvirt.getVersion() >= 10_000_000


def _disk_device(pid: int) -> dict[str, object]:
    """Return the arguments of QEMU's -device that is the guest's disk."""
    words = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    (device,) = [word for word in words if '"driver":"virtio-blk-pci"' in word]
    return dict(json.loads(device))


@pytest.mark.parametrize("pool", [1, 2])
def test_every_thread_of_the_pool_serves_the_disk_where_libvirt_can(launch: Launch, tmp_path: Path, pool: int) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    vmi = small_manifest(cores=2, dedicated=False, disks=(disk,))
    vmi["spec"]["domain"] |= {
        "ioThreadsPolicy": "supplementalPool",
        "ioThreads": {"supplementalPoolThreadCount": pool},
    }
    launcher = launch(vmi)
    launcher.wait_for(READY)
    device, threads = _disk_device(launcher.qemu_pid()), allowed_by_name(launcher.qemu_pid())
    launcher.end_by_force()
    names = [f"iothread{number}" for number in range(1, pool + 1)]
    assert {f"IO {name}" for name in names} <= set(threads)
    if SHARES and pool > 1:
        assert device["iothread-vq-mapping"] == [{"iothread": name} for name in names]
    else:
        assert device["iothread"] == "iothread1"
