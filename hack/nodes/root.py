"""The node's root file system, kernel and initramfs: made once of Debian packages, and cached by what they are made of."""

from __future__ import annotations

import gzip
import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.commands import CHECKOUT, as_owner_of_files, digest, remove_others, run
from hack.nodes.errors import NodeError
from hack.nodes.machine import Kernel

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
# In the order of loading; what they need besides is found in modules.dep. ext4 is built into Debian's cloud kernel.
BOOT_MODULES = (
    *("virtio_ring", "virtio", "virtio_pci_legacy_dev", "virtio_pci_modern_dev", "virtio_pci"),
    "virtio_blk",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What was built: the image, which no run writes to, and the kernel that its modules belong to."""

    image: Path
    kernel: Kernel


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
    return Root(image=folder / "root.ext4", kernel=Kernel(image=folder / "vmlinuz", initramfs=folder / "initramfs"))


def _key() -> str:
    """Name what the root is made of; the packages' versions are those of the day on which it is built."""
    if not (GUEST / "kernel.deb").exists():
        raise NodeError(f"{GUEST}/kernel.deb is not there: `make guest` fetches it")
    made_of = (GUEST / "kernel.deb", Path(__file__), CHECKOUT / "hack/pack-root", CHECKOUT / "hack/node-start")
    return digest(_suite().encode(), *(path.read_bytes() for path in made_of))


def _make_root(work: Path) -> None:
    run(*debootstrap_command(work / "root.tar", _suite(), apt_sources(Path("/"))))
    shutil.copyfile(GUEST / "kernel.deb", work / "kernel.deb")
    run(*as_owner_of_files(str(CHECKOUT / "hack/pack-root"), str(work)))
    (work / "initramfs").write_bytes(_initramfs(work))
    shutil.rmtree(work / "modules")


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


def _initramfs(work: Path) -> bytes:
    """Pack busybox, hack/node-start and the drivers of the discs into a cpio archive."""
    root = work / "initramfs-root"
    for name in ("bin", "dev", "proc", "sys", "root", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(_busybox(), root / "bin/busybox")
    (root / "bin/sh").symlink_to("busybox")
    shutil.copy(CHECKOUT / "hack/node-start", root / "init")
    _copy_modules(work / "modules", root / "modules")
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*"))) + "\n"
    archive = run(_busybox(), "cpio", "-o", "-H", "newc", "-R", "0:0", cwd=root, stdin=names.encode())
    shutil.rmtree(root)
    return gzip.compress(archive, compresslevel=1, mtime=0)


def _busybox() -> str:
    found = shutil.which("busybox")
    if found is None:
        raise NodeError("busybox is missing: hack/install-packages node installs it")
    return found


def _copy_modules(modules: Path, target: Path) -> None:
    (release,) = modules.iterdir()
    paths = loading_order((release / "modules.dep").read_text(), BOOT_MODULES)
    for path in paths:
        shutil.copy(release / path, target)
    (target / "order").write_text("".join(f"{Path(path).name}\n" for path in paths))


def loading_order(dependencies: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of the modules and of all that they need, each after what it needs (modules.dep(5))."""
    needs = {path: needed.split() for path, _, needed in (line.partition(":") for line in dependencies.splitlines())}
    at = {Path(path).name.partition(".")[0].replace("-", "_"): path for path in needs}
    order: dict[str, None] = {}
    for name in wanted:
        if name not in at:
            raise NodeError(f"the kernel has no module {name}")
        order.update(dict.fromkeys(_with_needed(at[name], needs)))
    return tuple(order)


def _with_needed(path: str, needs: dict[str, list[str]]) -> Iterator[str]:
    # modules.dep lists all that is needed, the direct ones first: the last has no needs of its own.
    yield from reversed(needs[path])
    yield path
