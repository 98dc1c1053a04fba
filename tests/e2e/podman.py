"""podman on this node: the launcher's image as the node has it, and containers that leave nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from tests.e2e.device_programs import detach_device_programs
from tests.e2e.kernel import PROC, Thread, threads_of
from tests.processes import children_of

IMAGE_DISC = Path("/node/image")
HUGE_PAGES = Path("/dev/hugepages")
# The control group above all of podman's containers and pods, where there is no systemd.
GROUP = Path("/sys/fs/cgroup/libpod_parent")
# As a node's container runtimes are started (LimitMEMLOCK=infinity): a realtime guest's memory is locked.
RUNTIME_LIMITS = ("prlimit", "--memlock=unlimited")
# Under emulation podman takes ten seconds for anything, a cold start of QEMU forty, on a busy machine three times that.
PATIENCE_S = 300.0

_STORAGE = """\
[storage]
driver = "overlay"
graphroot = "/var/lib/containers/storage"
runroot = "/run/containers/storage"
[storage.options]
additionalimagestores = ["{images}"]
"""
# Nothing of systemd is here; a network would need programs that no container of ours has a use for.
_CONTAINERS = """\
[containers]
log_driver = "k8s-file"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "netavark"
"""


class Podman:
    """podman, set up for a node without systemd and with the image's disc as a store that is only read."""

    def __init__(self, folder: Path) -> None:
        """Write the settings into a folder of their own."""
        (folder / "storage.conf").write_text(_STORAGE.format(images=IMAGE_DISC))
        (folder / "containers.conf").write_text(_CONTAINERS)
        self._environment = {
            **os.environ,
            "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
            "CONTAINERS_CONF": str(folder / "containers.conf"),
        }

    def run(self, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
        """Run podman with these arguments; its status is the caller's to judge."""
        command = (*RUNTIME_LIMITS, "podman", *map(str, arguments))
        return subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=PATIENCE_S, check=False
        )

    def do(self, *arguments: str | Path) -> str:
        """Run podman, which must succeed, and return what it printed."""
        result = self.run(*arguments)
        assert result.returncode == 0, f"podman {arguments}: {result.stderr}"
        return result.stdout

    @cached_property
    def image(self) -> str:
        """The name of the one image that the disc holds."""
        (image,) = json.loads(self.do("images", "--format", "json"))
        return str(image["Names"][0])

    @contextmanager
    def started(self, *arguments: str | Path) -> Iterator[Container]:
        """Start a container in the background, and remove it at the end, whatever state it is in."""
        container = Container(self, self.do("run", "--detach", *arguments).strip())
        try:
            yield container
        finally:
            self.run("rm", "--force", "--time", "0", "--volumes", container.id)

    @contextmanager
    def playing(self, manifest: Path, pod: str, container: str) -> Iterator[Container]:
        """Have `podman kube play` run a Pod without a network, yield one of its containers, and take all down."""
        self.do("kube", "play", "--network", "none", "--start=false", manifest)
        try:
            detach_device_programs(GROUP / self.do("pod", "inspect", "--format", "{{.ID}}", pod).strip())
            self.do("pod", "start", pod)
            yield Container(self, f"{pod}-{container}")
        finally:
            self.run("kube", "down", manifest)


class Container:
    """One container that runs, by its id or its name; to look at it costs no podman, which takes seconds here."""

    def __init__(self, podman: Podman, identity: str) -> None:
        """Take over a container that podman has started."""
        self._podman = podman
        self.id = identity
        found = self._inspected()
        self._pid = int(found["State"]["Pid"])
        self._log = Path(found["HostConfig"]["LogConfig"]["Path"])

    def wait_for(self, words: str) -> None:
        """Wait until the container has printed these words; fail with all that it printed where it never does."""
        ends_s = time.monotonic() + PATIENCE_S
        while words not in self.output():
            assert (PROC / str(self._pid)).exists(), f"ended without {words!r}: {self.output()}"
            assert time.monotonic() < ends_s, f"no {words!r} in {PATIENCE_S:g} s: {self.output()}"
            time.sleep(0.5)

    def output(self) -> str:
        """Return all that the container has printed, as its log has it: each line after its time and its stream."""
        return self._log.read_text()

    def stop(self, seconds: int) -> int:
        """Have podman send SIGTERM, and SIGKILL after these seconds; return the container's exit status."""
        self._podman.do("stop", "--time", str(seconds), self.id)
        return int(self._inspected()["State"]["ExitCode"])

    def qemu(self) -> int:
        """Return the process id of the container's QEMU, as the node numbers it."""
        return qemu_below(self._pid)

    def _inspected(self) -> dict[str, Any]:
        (found,) = json.loads(self._podman.do("inspect", self.id))
        assert isinstance(found, dict)
        return found


def qemu_below(pid: int) -> int:
    """Return the QEMU among the descendants of a process, told by its program."""
    (qemu,) = (child for child in _descendants(pid) if _program_of(child).startswith("qemu-system-"))
    return qemu


def _descendants(pid: int) -> Iterator[int]:
    try:
        children = children_of(pid)
    except (FileNotFoundError, ProcessLookupError):
        return
    for child in children:
        yield child
        yield from _descendants(child)


def _program_of(pid: int) -> str:
    """Return the name of a process's program, none where it has ended meanwhile."""
    try:
        return (PROC / str(pid) / "exe").readlink().name
    except (FileNotFoundError, ProcessLookupError):
        return ""


def vcpus_of(qemu: int) -> dict[str, Thread]:
    """Return QEMU's threads of vCPUs by their names."""
    return {thread.name: thread for thread in threads_of(qemu) if thread.name.startswith("CPU ")}
