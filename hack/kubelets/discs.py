"""The two discs of a node with Kubernetes: its programs, and a containerd's root with the images that Pods want."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from hack.images.containerfile import Settings
from hack.images.layers import read_layer
from hack.images.oci import image_of, write_archive
from hack.kubelets.building import CACHE, CHECKOUT, Version, build_programs, check_go, is_built, version_named
from hack.kubelets.errors import GoError

LAUNCHER_IMAGE = CHECKOUT / ".cache/image/virt-launcher.tar"
# The demo guest, for Pods whose guest boots its kernel from an image.
DEMO_GUEST = CHECKOUT / ".cache/guest"
DEMO_FILES = ("vmlinuz", "initramfs")
DEMO_IMAGE = "localhost/demo-guest:1"
# What brings it up, of the checkout on the node.
NODE_UP = "hack/kubernetes/node-up"
_PAUSE = "localhost/pause:1"
# What the images take, and what containers write.
_IMAGES_SIZE = "3G"
# Plain blocks: an emulated node's time is dearer than a disk.
_SQUASH = ("-quiet", "-no-progress", "-noappend", "-all-root", "-noI", "-noD", "-noF", "-noX")
_START_S = 60.0
_OF_PODS = ("io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri")


def discs_of(name: str) -> tuple[tuple[str, Path], ...]:
    """Return the discs of a node with this version by their names, built where something is missing or outdated."""
    version = version_named(name)
    if not is_built(version):
        check_go()
    if not LAUNCHER_IMAGE.exists():
        raise GoError(f"{LAUNCHER_IMAGE} is not there: make image builds it")
    if not all((DEMO_GUEST / name).exists() for name in DEMO_FILES):
        raise GoError(f"{DEMO_GUEST} is not there: make guest builds it")
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        build_programs(version)
        return ("kubernetes", programs_disc(version)), ("images", images_disc(version))


def programs_disc(version: Version) -> Path:
    """Return a disc with a version's programs, and a key for its service accounts; made anew with each new program."""
    disc, key = version.folder / "programs.squashfs", version.folder / "service-accounts.key"
    if not key.exists():
        _run("openssl", "genrsa", "-out", str(key), "2048")
        key.chmod(0o644)
    programs = (*sorted((version.folder / "bin").iterdir()), key)
    if not disc.exists() or disc.stat().st_mtime < max(program.stat().st_mtime for program in programs):
        _run("mksquashfs", str(version.folder / "bin"), str(key), str(disc), *_SQUASH, "-keep-as-directory")
    return disc


def images_disc(version: Version) -> Path:
    """Return a disc with a containerd's root that holds what Pods want, made where needed.

    That is the images of the launcher, of a Pod's own container, and of the demo guest's kernel.

    They are imported here, by a containerd of ours that needs to be root: on the node it would take two minutes.
    """
    disc, stamp = CACHE / "images.ext4", CACHE / "images.stamp"
    pause = _archive(_PAUSE, {"pause": version.folder / "pause"}, version.folder, {"Entrypoint": ["/pause"]})
    guest = _archive(DEMO_IMAGE, {f"boot/{name}": DEMO_GUEST / name for name in DEMO_FILES}, CACHE, {})
    archives = (LAUNCHER_IMAGE, pause, guest)
    key = "".join(hashlib.sha256(archive.read_bytes()).hexdigest() for archive in archives)
    if disc.exists() and stamp.exists() and stamp.read_text() == key:
        return disc
    if os.geteuid() != 0:
        raise GoError("the images are imported by root alone (containerd mounts them): run this as root")
    with tempfile.TemporaryDirectory(prefix="images-", dir=CACHE) as folder:
        work = Path(folder)
        _import(archives, version, work)
        _make_disc(work / "root", disc)
    stamp.write_text(key)
    return disc


def _archive(name: str, files: dict[str, Path], folder: Path, settings: Settings) -> Path:
    """Write an image of one layer, of files by their paths in it, into the folder; the same for the same files."""
    stem = name.rpartition("/")[2].partition(":")[0]
    layer, archive = folder / f"{stem}-layer.tar", folder / f"{stem}.tar"
    with tarfile.open(layer, "w") as tar:
        for path, file in files.items():
            content = file.read_bytes()
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, BytesIO(content))
    write_archive(image_of(name, "amd64", settings, [read_layer(layer)]), archive)
    return archive


def _import(archives: tuple[Path, ...], version: Version, work: Path) -> None:
    with _containerd(version, work) as socket:
        for archive in archives:
            ctr = (str(version.folder / "bin" / "ctr"), "--address", socket, "--namespace", "k8s.io")
            _run(*ctr, "images", "import", "--snapshotter", "overlayfs", str(archive))


@contextmanager
def _containerd(version: Version, work: Path) -> Iterator[str]:
    """Run a containerd over a root of its own, without the part that runs Pods, and yield its socket."""
    # A socket's path may have 107 bytes, whatever the checkout's has.
    with tempfile.TemporaryDirectory(prefix="containerd-") as state:
        socket = f"{state}/containerd.sock"
        config = work / "config.toml"
        config.write_text(
            f'version = 3\nroot = "{work / "root"}"\nstate = "{state}/state"\n'
            f"disabled_plugins = {json.dumps(_OF_PODS)}\n"
            f'[grpc]\n  address = "{socket}"\n'
        )
        program = str(version.folder / "bin" / "containerd")
        with (work / "log").open("wb") as log:
            process = subprocess.Popen((program, "--config", str(config)), stdout=log, stderr=log)
        try:
            _wait_for(Path(socket), process, work / "log")
            yield socket
        finally:
            process.terminate()
            process.wait(_START_S)


def _wait_for(socket: Path, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while not socket.exists():
        if process.poll() is not None or time.monotonic() > deadline:
            raise GoError(f"containerd does not start here: {log.read_text(errors='replace')[-300:]}")
        time.sleep(0.1)


def _make_disc(folder: Path, disc: Path) -> None:
    partial = disc.with_suffix(".part")
    partial.unlink(missing_ok=True)
    _run("mkfs.ext4", "-q", "-d", str(folder), "-O", "^has_journal", "-m", "0", str(partial), _IMAGES_SIZE)
    partial.replace(disc)


def _run(*words: str) -> None:
    if shutil.which(words[0]) is None:
        raise GoError(f"{words[0]} is missing: hack/install-packages node installs it")
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        raise GoError(f"{Path(words[0]).name} ended with status {done.returncode}: {done.stderr.strip()[-300:]}")
