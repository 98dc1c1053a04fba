"""The guests of the Pods: boot sectors, for an emulated guest of an emulated node has no time to boot more."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from launcher.pod.manifest import ROOT
from tests.e2e.boot_sector import Sector, make_disk
from tests.e2e.kernel import PROC
from tests.kubernetes.api import Object

FOLDER = Path("/var/lib/guests")
DISK, BLANK = FOLDER / "root.img", FOLDER / "blank.img"
# A folder of the node in which QEMU's capabilities are kept: asked anew for every Pod they take a minute each. It is
# root's, or no launcher would believe it; the first Pod's answers are copied there, as a DaemonSet would.
CACHE = FOLDER / "cache"
_CAPABILITIES = "cache/qemu/capabilities"
KVM = ("--virt-type", "kvm")
_USER = 107
# For a program of Python's, which starts ten times slower on an emulated node.
_PATIENCE_S = 420.0


def make_guests() -> None:
    """Make the disks, and the cache that all Pods share."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    make_disk(DISK, "raw")
    BLANK.write_bytes(bytes(1 << 20))
    for disk in (DISK, BLANK):
        os.chown(disk, _USER, _USER)
    CACHE.mkdir(exist_ok=True)


def keep_capabilities(qemu: int) -> None:
    """Keep what the launcher of this QEMU learnt of it, unless it is there: for every Pod that comes after."""
    folder = CACHE / "qemu/capabilities"
    found = PROC / str(qemu) / "root" / str(ROOT).lstrip("/") / _CAPABILITIES
    if folder.exists() or not found.is_dir():
        return
    partial = CACHE / "qemu/partial"
    shutil.copytree(found, partial)
    for path in (partial, *partial.iterdir()):
        os.chown(path, 0, 0)
        path.chmod(0o755 if path.is_dir() else 0o644)
    partial.rename(folder)


def own_disk(name: str, sector: Sector | None = None) -> Path:
    """Return a disk for a guest that runs beside others, one disk being one guest's, or for one that does more."""
    disk = FOLDER / f"{name}.img"
    make_disk(disk, "raw", sector or Sector())
    os.chown(disk, _USER, _USER)
    return disk


def vmi(name: str, *, cpu: dict[str, Any] | None = None, disk: Path = DISK, grace_s: int = 60, **more: Any) -> Object:
    """Return the manifest of a guest with two dedicated vCPUs and an emulator thread of its own."""
    annotations = more.pop("annotations", {})
    domain = {
        "cpu": {"cores": 2, "dedicatedCpuPlacement": True, "isolateEmulatorThread": True, **(cpu or {})},
        "memory": {"guest": "64Mi"},
        "devices": {
            "autoattachGraphicsDevice": False,
            "logSerialConsole": True,
            "disks": [{"name": "root", "disk": {"bus": "virtio"}}],
        },
        **more,
    }
    volume = {"name": "root", "hostDisk": {"path": str(disk), "type": "Disk"}}
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachineInstance",
        "metadata": {"name": name, **({"annotations": annotations} if annotations else {})},
        "spec": {"terminationGracePeriodSeconds": grace_s, "domain": domain, "volumes": [volume]},
    }


def manifests(guest: Object, *options: str) -> list[Object]:
    """Return what `virt-launcher pod` prints for a guest, unchanged."""
    return list(yaml.safe_load_all(printed(guest, *options)))


def printed(guest: Object, *options: str) -> str:
    """Return the text that `virt-launcher pod` prints."""
    path = FOLDER / f"{guest['metadata']['name']}.yaml"
    path.write_text(yaml.safe_dump(guest))
    words = ["virt-launcher", "pod", "--virt-type", "qemu", "--cache-folder", str(CACHE), *options, str(path)]
    return subprocess.run(words, stdout=subprocess.PIPE, text=True, timeout=_PATIENCE_S, check=True).stdout


def pod_name(guest: Object) -> str:
    """Return the name of the Pod of a guest."""
    return f"virt-launcher-{guest['metadata']['name']}"


def said(*words: str, guest: Object) -> subprocess.CompletedProcess[str]:
    """Run a verb of the launcher on a guest's manifest and return what it said."""
    path = FOLDER / f"{guest['metadata']['name']}.yaml"
    path.write_text(yaml.safe_dump(guest))
    verb, *options = words
    return subprocess.run(
        ["virt-launcher", verb, str(path), *options], capture_output=True, text=True, timeout=_PATIENCE_S, check=False
    )
