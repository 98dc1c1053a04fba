"""The launcher inside of its Pod's constraints: no root, no capability, nothing to write on but what is mounted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast
from urllib.request import urlopen

import pytest
import yaml

from launcher.pod.manifest import MANIFEST_FILE, MANIFEST_FOLDER, PORT, ROOT, PodManifest, pod_manifest
from launcher.pod.options import PodOptions
from launcher.vmi.document import parse_document
from launcher.vmi.load import admitted
from tests.e2e.boot_sector import Sector
from tests.processes import PROC, fields_of, is_running
from tests.qemu.guests import CHECKOUT, Launcher, manifest, small_manifest

ENTER_POD = Path(__file__).parent / "enter-pod"
USER = 107
# For tests that are not run by root: then they are run by somebody without rights already.
PLAIN = ("env", "-i", f"PATH={os.defpath}", f"PYTHONPATH={CHECKOUT}", "setpriv", "--no-new-privs", "--")


class Container(Launcher):
    """The launcher's container of a Pod, as a child process."""

    def __init__(self, pod: PodManifest, folder: Path) -> None:
        """Start it; what the Pod mounts lies in the folder."""
        self.root = folder / "root"
        self.lines = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            command(pod, folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def status(self, pid: int) -> dict[str, str]:
        """Return /proc/<pid>/status."""
        return fields_of(PROC / str(pid) / "status")

    def get(self, page: str) -> int:
        """Return the HTTP status of a probe."""
        address = json.loads(self.wait_for('"event": "listening"'))["message"]
        with urlopen(f"http://{address}{page}", timeout=10) as answer:
            return int(answer.status)

    def end(self) -> list[int]:
        """Kill the launcher, if it runs, and its QEMU; returns the pid of a QEMU that was left behind."""
        self.process.kill()
        self.process.wait()
        pids = [int(path.read_text()) for path in self.root.glob("run/qemu/*.pid") if path.name != "driver.pid"]
        left = [pid for pid in pids if is_running(pid)]
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        return left


def command(pod: PodManifest, folder: Path) -> list[str]:
    """Return what runs the container's arguments: as root in a view of this machine that is like the Pod's."""
    (container,) = cast("list[dict[str, Any]]", cast("dict[str, Any]", pod.pod["spec"])["containers"])
    # Another port than the Pod's, which may be in use here, outside of a network namespace of its own.
    arguments = ["127.0.0.1:0" if word == f":{PORT}" else str(word) for word in container["args"]]
    if os.geteuid() != 0:
        places = {f"{MANIFEST_FOLDER}/{MANIFEST_FILE}": str(folder / "vmi/vmi.yaml"), ROOT: str(folder / "root")}
        own = [places.get(word, word) for word in arguments]
        return [*PLAIN, sys.executable, "-m", "launcher", *own]
    # /etc cannot be added to once it is read-only; everything else is where the Pod has it (/var/run is /run).
    own = [word.replace(MANIFEST_FOLDER, "/run/vmi") for word in arguments]
    mounted = (CHECKOUT, folder / "root", folder / "vmi", folder / "tmp", sys.prefix)
    python = f"/run/python/bin/{Path(sys.executable).name}"
    return ["unshare", "--mount", str(ENTER_POD), *map(str, mounted), python, "-m", "launcher", *own]


def pod_of(vmi: dict[str, Any]) -> PodManifest:
    """Return the Pod of a guest whose kernel lies where the container sees it."""
    boot = vmi["spec"]["domain"]["firmware"]["kernelBoot"]["container"]
    if os.geteuid() == 0:
        boot |= {name: f"/run/checkout/{Path(path).relative_to(CHECKOUT)}" for name, path in boot.items()}
    document = parse_document("test", yaml.safe_dump(vmi).encode())
    return pod_manifest(document, admitted(document), PodOptions(image="launcher:1", kvm_resource=None))


@pytest.fixture
def folder(root: Path) -> Path:
    """What the Pod mounts, as the kubelet makes it: an empty folder is root's, and the Pod's group writes in it."""
    for name in ("root", "tmp"):
        path = root / name
        path.mkdir()
        if os.geteuid() == 0:
            os.chown(path, 0, USER)
            path.chmod(0o2777)
    (root / "vmi").mkdir()
    root.chmod(0o755)
    return root


@pytest.fixture
def start(folder: Path, two_cpus: tuple[int, int]) -> Iterator[Any]:
    """Start containers; what still runs at the end of the test is killed."""
    started: list[Container] = []

    def run(pod: PodManifest) -> Container:
        data = cast("dict[str, str]", pod.carrier["data"])
        (folder / "vmi" / MANIFEST_FILE).write_text(data[MANIFEST_FILE])
        started.append(Container(pod, folder))
        return started[-1]

    yield run
    assert [container.end() for container in started] == [[] for _ in started], "a QEMU was left running"


def test_a_guest_runs_to_its_end_in_the_pods_constraints(start: Any) -> None:
    container = start(pod_of(manifest()))
    container.wait_for("guest: ready")
    assert (container.get("/livez"), container.get("/readyz")) == (200, 200)
    qemu = container.qemu_pid()
    for pid in (container.process.pid, qemu):
        status = container.status(pid)
        assert status["NoNewPrivs"] == "1"
        assert {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapAmb")} == {0}
        if os.geteuid() == 0:
            assert set(status["Uid"].split()) == set(status["Gid"].split()) == {str(USER)}
            assert int(status["CapBnd"], 16) == 0
    container.process.terminate()
    assert container.wait() == 0, container.output
    assert not is_running(qemu)


def test_a_guest_that_powers_off_ends_the_pod_as_succeeded(start: Any) -> None:
    container = start(pod_of(small_manifest(sector=Sector(ticks=1), isolate=True, cores=1)))
    assert container.wait() == 0, container.output
    container.wait_for('"verified"')


def test_nothing_is_written_outside_of_what_the_pod_mounts(start: Any, folder: Path) -> None:
    container = start(pod_of(small_manifest(sector=Sector(ticks=1))))
    assert container.wait() == 0, container.output
    assert "Read-only file system" not in container.output
    assert sorted(path.name for path in (folder / "vmi").iterdir()) == [MANIFEST_FILE]
    assert (folder / "root/cache/qemu/capabilities").is_dir(), "the cache of QEMU's capabilities is in its volume"
