"""The node's root file system and kernel: made once of Debian packages, and cached by what they are made of."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from hack.nodes.commands import CHECKOUT, as_owner_of_files, digest, remove_others, run
from hack.nodes.release import Release, own_codename, write_sources

CACHE = CHECKOUT / ".cache/node"
GUEST = CHECKOUT / ".cache/guest"

# What runs guests, with libvirt's Python binding; what tests call; podman and what it needs to run containers without a
# network; what containerd needs to run those of a real kubelet (hack/kubernetes); the node's own tools.
PACKAGES = (
    *("libvirt-daemon-driver-qemu", "qemu-system-x86", "qemu-utils", "python3", "python3-libvirt"),
    *("procps", "iproute2", "util-linux", "e2fsprogs"),
    *("podman", "crun", "catatonit", "netavark"),
    *("runc", "containernetworking-plugins"),
    *("kmod", "busybox-static"),
)
_UNWANTED = ("/usr/share/man/*", "/usr/share/locale/*", "/usr/share/doc/*", "/usr/share/info/*")


# The metapackage names the newest kernel's package. It is fetched by the new root's apt, and not installed.
_KERNEL = """
export APT_CONFIG="$MMDEBSTRAP_APT_CONFIG"
package=$(apt-cache show --no-all-versions linux-image-cloud-amd64 | sed -n 's/^Depends: *\\([^ ,]*\\).*/\\1/p')
cd "$1/boot" && apt-get -qq -o APT::Sandbox::User=root download "$package" && mv linux-image-*.deb kernel.deb
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Root:
    """What was built: the image, which no run writes to, the kernel, its modules, and Python as it is on the node."""

    image: Path
    kernel: Path
    modules: Path
    python: Path


def build_root(release: Release) -> Root:
    """Return the cached root, built anew where what it is made of has changed (a minute or two)."""
    folder = CACHE / f"root-{release.number}-{_key(release)}"
    if not folder.exists():
        with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
            whole = Path(work) / "whole"
            whole.mkdir()
            _make_root(release, whole)
            whole.rename(folder)
        remove_others(folder, CACHE.glob(f"root-{release.number}-*"))
    return Root(
        image=folder / "root.ext4", kernel=folder / "vmlinuz", modules=folder / "modules", python=folder / "python"
    )


def _key(release: Release) -> str:
    """Name what the root is made of; the packages' versions are those of the day on which it is built."""
    made_of = (Path(__file__), CHECKOUT / "hack/pack-root", CHECKOUT / "hack/unpack-kernel")
    return digest(release.codename.encode(), *(path.read_bytes() for path in made_of))


def _make_root(release: Release, work: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="apt-", dir=work) as folder:
        sources = write_sources(release, Path("/"), own_codename(), Path(folder))
        run(*debootstrap_command(work / "root.tar", release.codename, sources))
    run(*as_owner_of_files(str(CHECKOUT / "hack/pack-root"), str(work)))


def debootstrap_command(tar: Path, suite: str, sources: tuple[Path, ...]) -> tuple[str, ...]:
    """Return the command that makes the root and fetches its kernel, from these sources."""
    mode = "root" if os.geteuid() == 0 else "unshare"
    without = (f"--dpkgopt=path-exclude={path}" for path in _UNWANTED)
    # libvirt's driver, run as root, does not start without its user; Debian 12's daemon alone makes it.
    user = 'chroot "$1" sh -c "id libvirt-qemu || useradd --system --user-group --no-create-home libvirt-qemu" >&2'
    return (
        *("mmdebstrap", "--quiet", f"--mode={mode}", "--variant=minbase", "--format=tar", *without),
        *(f"--include={','.join(PACKAGES)}", f"--customize-hook={user}", f"--customize-hook={_KERNEL}"),
        *(suite, str(tar), *map(str, sources)),
    )


def python_command(root: Root) -> tuple[str, ...]:
    """Return the words that run the node's own Python here: by its own loader, with its own libraries."""
    libraries = root.python / "usr/lib/x86_64-linux-gnu"
    loader = (str(libraries / "ld-linux-x86-64.so.2"), "--library-path", str(libraries))
    return ("env", f"PYTHONHOME={root.python / 'usr'}", *loader, str(root.python / "usr/bin/python3"))
