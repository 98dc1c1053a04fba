"""The image run by crun alone, configured as a Kubernetes runtime configures it for the Pod of a realtime guest."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from launcher.pod.manifest import MANIFEST_FOLDER, ROOT
from launcher.pod.security import USER
from tests.e2e.podman import HUGE_PAGES, PATIENCE_S, RUNTIME_LIMITS, Podman, qemu_below

_NAME = "realtime"
_GRANTED = ("CAP_SYS_NICE",)


class Crun:
    """A container that crun runs in the foreground, its output in a file."""

    def __init__(self, bundle: Path) -> None:
        """Start it from a bundle (OCI runtime-spec)."""
        self._log = bundle / "log"
        with self._log.open("w") as log:
            command = (*RUNTIME_LIMITS, "crun", "run", "--bundle", bundle, _NAME)
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

    def wait_for(self, words: str) -> None:
        """Wait until the container has printed these words; fail with all that it printed where it never does."""
        ends_s = time.monotonic() + PATIENCE_S
        while words not in self.output():
            assert self._process.poll() is None, f"ended without {words!r}: {self.output()}"
            assert time.monotonic() < ends_s, f"no {words!r} in {PATIENCE_S:g} s: {self.output()}"
            time.sleep(1)

    def output(self) -> str:
        """Return all that the container has printed."""
        return self._log.read_text()

    def qemu(self) -> int:
        """Return the process id of the container's QEMU."""
        return qemu_below(self._process.pid)

    def stop(self) -> int:
        """Send SIGTERM to the container's process 1, and return the exit status."""
        subprocess.run(["crun", "kill", _NAME, signal.SIGTERM.name], check=True)
        return self._process.wait(PATIENCE_S)

    def remove(self) -> None:
        """Leave nothing of it, in whatever state it is."""
        subprocess.run(["crun", "delete", "--force", _NAME], capture_output=True, check=False)
        self._process.wait(PATIENCE_S)


@contextmanager
def started_as_by_kubernetes(podman: Podman, folder: Path, arguments: tuple[str, ...]) -> Iterator[Crun]:
    """Run the launcher in the image, with the folder of the manifest, the guest's disk and the cache."""
    bundle = folder / "bundle"
    bundle.mkdir()
    subprocess.run(["crun", "spec"], cwd=bundle, check=True)
    spec = json.loads((bundle / "config.json").read_text())
    # podman mounts no image of a store that is only read, but a container of it.
    container = podman.do("create", "--network", "none", podman.image).strip()
    try:
        root = podman.do("mount", container).strip()
        (bundle / "config.json").write_text(json.dumps(_configured(spec, root, _settings(podman), folder, arguments)))
        crun = Crun(bundle)
        try:
            yield crun
        finally:
            crun.remove()
    finally:
        podman.do("rm", "--force", "--volumes", container)


def _settings(podman: Podman) -> dict[str, Any]:
    (found,) = json.loads(podman.do("image", "inspect", podman.image))
    settings: dict[str, Any] = found["Config"]
    return settings


def _configured(
    spec: dict[str, Any], root: str, settings: dict[str, Any], folder: Path, arguments: tuple[str, ...]
) -> dict[str, Any]:
    """Return crun's own sample of a configuration as it is for such a container."""
    spec["root"] = {"path": root, "readonly": True}
    spec["process"] |= {
        "terminal": False,
        "args": [*settings["Entrypoint"], *arguments],
        "env": settings["Env"],
        "user": {"uid": USER, "gid": USER},
        # For a user other than root containerd and CRI-O make none inheritable and none ambient.
        "capabilities": {name: list(_GRANTED) for name in ("bounding", "permitted", "effective")},
        "noNewPrivileges": True,
        "rlimits": [],
    }
    spec["mounts"] += [_writable(ROOT), *(_bound(*pair) for pair in _binds(folder))]
    return spec


def _binds(folder: Path) -> tuple[tuple[Path, str], ...]:
    disk = folder / "root.img"
    return (
        (folder, MANIFEST_FOLDER),
        (disk, str(disk)),
        (folder / "cache", f"{ROOT}/cache"),
        (HUGE_PAGES, str(HUGE_PAGES)),
    )


def _writable(target: str) -> dict[str, Any]:
    options = [f"uid={USER}", f"gid={USER}", "mode=0700"]
    return {"destination": target, "type": "tmpfs", "source": "tmpfs", "options": options}


def _bound(source: Path, target: str) -> dict[str, Any]:
    return {"destination": target, "type": "bind", "source": str(source), "options": ["bind", "rw"]}
