"""The folder in which everything is measured: a short path, readable by libvirtd's user, removed at the end."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hack.benchmarks.launcher import CHECKOUT
from hack.benchmarks.processes import BenchError

_GUEST_FILES = ("vmlinuz", "initramfs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """A temporary folder with a copy of the demo guest's kernel in it."""

    folder: Path

    def root(self, name: str) -> Path:
        """Return the path of a launcher's root of this name."""
        return self.folder / name

    def forget_capabilities(self, root: Path) -> None:
        """Have the next start over this root probe QEMU again."""
        shutil.rmtree(root / "cache", ignore_errors=True)

    def write_manifest(
        self, name: str, *, cores: int, dedicated: bool, boots: bool = False, memory: str = "128Mi"
    ) -> Path:
        """Write the manifest of a small guest; one that does not boot stays in its firmware, and is idle there.

        A dedicated guest has one more CPU for QEMU's own threads.
        """
        path = self.folder / f"{name}.json"
        cpu = {"cores": cores, "dedicatedCpuPlacement": dedicated, "isolateEmulatorThread": dedicated}
        domain = {
            "cpu": cpu,
            "memory": {"guest": memory},
            "devices": {"autoattachGraphicsDevice": False},
            **({"firmware": {"kernelBoot": self._kernel_boot()}} if boots else {}),
        }
        manifest = {
            "apiVersion": "kubevirt.io/v1",
            "kind": "VirtualMachineInstance",
            "metadata": {"name": name, "namespace": "bench"},
            "spec": {"domain": domain},
        }
        path.write_text(json.dumps(manifest))
        return path

    def _kernel_boot(self) -> dict[str, object]:
        kernel, initrd = (str(self.folder / name) for name in _GUEST_FILES)
        return {"kernelArgs": "console=ttyS0 quiet", "container": {"kernelPath": kernel, "initrdPath": initrd}}


@contextmanager
def workplace() -> Iterator[Workplace]:
    """Make the folder in /tmp, whose short name leaves room for unix sockets (unix(7): 107 bytes), and remove it."""
    if len(os.sched_getaffinity(0)) < 2:
        raise BenchError("two CPUs are needed: one for a vCPU, one beside it")
    folder = Path(tempfile.mkdtemp(prefix="vl-bench-", dir="/tmp"))
    try:
        folder.chmod(0o755)
        for name in _GUEST_FILES:
            _copy_guest_file(name, folder)
        yield Workplace(folder=folder)
    finally:
        shutil.rmtree(folder)


def _copy_guest_file(name: str, folder: Path) -> None:
    source = CHECKOUT / ".cache/guest" / name
    if not source.exists():
        raise BenchError(f"{source} is not there: build the demo guest with `make guest`")
    shutil.copyfile(source, folder / name)
    (folder / name).chmod(0o644)
