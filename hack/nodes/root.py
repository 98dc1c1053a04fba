"""The node's root file system and kernel: made once of Debian packages, and cached by what they are made of."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.commands import CHECKOUT, as_owner_of_files, digest, remove_others, run
from hack.nodes.errors import NodeError

CACHE = CHECKOUT / ".cache/node"
GUEST = CHECKOUT / ".cache/guest"

# What runs guests; what tests call; podman and what it needs to run containers without a network; the node's own tools.
PACKAGES = (
    *("libvirt-daemon-driver-qemu", "qemu-system-x86", "qemu-utils", "python3"),
    *("procps", "iproute2", "util-linux", "e2fsprogs"),
    *("podman", "crun", "catatonit", "netavark"),
    *("kmod", "busybox-static"),
)
_UNWANTED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What was built: the image, which no run writes to, the kernel, and the kernel's modules."""

    image: Path
    kernel: Path
    modules: Path


def build_root() -> Root:
    """Return the cached root, built anew where what it is made of has changed (a minute or two)."""
    folder = CACHE / f"root-{_key()}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
            whole = Path(work) / "whole"
            whole.mkdir()
            _make_root(whole)
            whole.rename(folder)
        remove_others(folder, CACHE.glob("root-*"))
    return Root(image=folder / "root.ext4", kernel=folder / "vmlinuz", modules=folder / "modules")


def _key() -> str:
    """Name what the root is made of; the packages' versions are those of the day on which it is built."""
    if not (GUEST / "kernel.deb").exists():
        raise NodeError(f"{GUEST}/kernel.deb is not there: `make guest` fetches it")
    made_of = (GUEST / "kernel.deb", Path(__file__), CHECKOUT / "hack/pack-root")
    return digest(_suite().encode(), *(path.read_bytes() for path in made_of))


def _make_root(work: Path) -> None:
    run(*debootstrap_command(work / "root.tar", _suite(), apt_sources(Path("/"))))
    shutil.copyfile(GUEST / "kernel.deb", work / "kernel.deb")
    run(*as_owner_of_files(str(CHECKOUT / "hack/pack-root"), str(work)))


def debootstrap_command(tar: Path, suite: str, sources: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the command that makes the root; its mirrors are those of this machine's own apt."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    without = (f"--dpkgopt=path-exclude={path}" for path in _UNWANTED)
    # libvirt's driver, run as root, does not start without its user; only its daemon's package would make it.
    user = 'chroot "$1" useradd --system --user-group --no-create-home libvirt-qemu'
    return (
        *("mmdebstrap", "--quiet", f"--mode={mode}", "--variant=minbase", "--format=tar", *without),
        *(f"--include={','.join(PACKAGES)}", f"--customize-hook={user}"),
        *(suite, str(tar), *map(str, sources)),
    )


def apt_sources(root: Path) -> tuple[Path, ...]:
    """Return the files in which apt's sources are written (sources.list(5))."""
    folder = root / "etc/apt"
    listed = sorted((*folder.glob("sources.list.d/*.list"), *folder.glob("sources.list.d/*.sources")))
    files = (folder / "sources.list", *listed)
    found = tuple(file for file in files if file.exists() and file.read_text().strip())
    if not found:
        raise NodeError("this machine's apt has no sources: the node is made of Debian's packages")
    return found


def _suite() -> str:
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    if codename is None:
        raise NodeError("/etc/os-release names no VERSION_CODENAME: the node is made of a Debian machine's packages")
    return codename
