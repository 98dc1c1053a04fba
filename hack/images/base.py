"""The image's base: a root of Debian packages, trimmed to what is needed, as a tar archive."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

from hack.images.errors import ImageError
from hack.images.layers import EPOCH
from hack.programs import run_to_end

_TRIM = Path(__file__).parent / "trim-root"
# libvirt's QEMU driver and QEMU; what makes images, UEFI, TPMs and user networks; Python; process 1; tools of one file.
# libc-bin has the C.UTF-8 locale.
_PACKAGES = (
    "libvirt-daemon-driver-qemu", "qemu-system-x86", "qemu-utils", "ovmf", "swtpm", "swtpm-tools", "passt",
    "python3", "libc-bin", "tzdata", "tini", "busybox-static",
)  # fmt: skip
# Debian 12's virtiofsd is QEMU's own, which only root can run; one that needs no privilege comes with the next release.
_PACKAGES_SINCE_13 = ("virtiofsd",)
_USRMERGE = 'cd "$1" && for name in bin sbin lib lib64; do mkdir -p usr/$name && ln -s usr/$name $name; done'
_APT = Path("/etc/apt")


def base_key() -> str:
    """Return what tells one base from another: its release and packages, and how it is trimmed."""
    release = _release()
    return hashlib.sha256(
        b"\0".join((_TRIM.read_bytes(), *map(str.encode, (_suite(release), *packages(release)))))
    ).hexdigest()


def packages(release: Mapping[str, str]) -> tuple[str, ...]:
    """Return the packages that the base is made of on this release of Debian (os-release(5))."""
    return _PACKAGES if release.get("VERSION_ID") == "12" else _PACKAGES + _PACKAGES_SINCE_13


def write_base(path: Path) -> None:
    """Write the base with mmdebstrap from this machine's own apt sources; raises ImageError that says what is amiss.

    mmdebstrap works for a user without privileges, too, where that user may have subordinate ids (subuid(5)).
    """
    if platform.machine() != "x86_64":
        raise ImageError(f"the image is made of amd64 packages, and this machine is {platform.machine()}")
    partial, release = path.with_suffix(".part"), _release()
    command = [
        "mmdebstrap", "--quiet", "--variant=extract", "--skip=cleanup,output/dev", "--format=tar",
        f"--include={','.join(packages(release))}", '--aptopt=APT::Install-Recommends "false"',
        f"--setup-hook={_USRMERGE}", f"--extract-hook={_TRIM}", _suite(release), str(partial), *map(str, _sources()),
    ]  # fmt: skip
    try:
        done = run_to_end(command, environment=os.environ | {"SOURCE_DATE_EPOCH": str(EPOCH)}, capture=False)
    except FileNotFoundError:
        raise ImageError("mmdebstrap is not there: install the package mmdebstrap") from None
    if done.returncode != 0:
        raise ImageError(f"mmdebstrap failed (status {done.returncode}); its reason is above")
    partial.replace(path)


def _release() -> Mapping[str, str]:
    """Return what this machine is, for the launcher's modules are compiled against its packages."""
    return platform.freedesktop_os_release()


def _suite(release: Mapping[str, str]) -> str:
    """Return the name of a Debian release; raises ImageError where it is none."""
    if release.get("ID") != "debian" or "VERSION_CODENAME" not in release:
        raise ImageError(f"the image is made on Debian of Debian's packages, and this machine is {release['NAME']}")
    return release["VERSION_CODENAME"]


def _sources() -> Iterator[Path]:
    """Yield the files that say where this machine's packages come from."""
    found = [_APT / "sources.list", *sorted((_APT / "sources.list.d").glob("*"))]
    files = [file for file in found if file.is_file() and file.suffix in (".list", ".sources")]
    if not files:
        raise ImageError(f"{_APT}: no sources of packages")
    yield from files
