"""hack/unpack-kernel and the demo guest's list of modules, for kernel packages as each Debian release lays them out."""

from __future__ import annotations

import lzma
import subprocess
from pathlib import Path

import pytest

from tests.qemu.guests import CHECKOUT

RELEASE = "6.12.1-cloud-amd64"
CONTROL = (
    "Package: linux-image-test\nVersion: 1\nArchitecture: amd64\nMaintainer: nobody <n@n>\nDescription: a kernel\n"
)


def package(folder: Path, modules: str, *, suffix: str) -> Path:
    """Make a kernel's package with one module, below the given folder and packed as its suffix says."""
    content = {".ko": b"module", ".ko.xz": lzma.compress(b"module"), ".ko.zst": b"packed"}[suffix]
    files = {
        "DEBIAN/control": CONTROL.encode(),
        f"boot/vmlinuz-{RELEASE}": b"kernel",
        f"{modules}/{RELEASE}/kernel/drivers/block/virtio_blk{suffix}": content,
        f"{modules}/{RELEASE}/modules.builtin": b"kernel/drivers/virtio/virtio_pci.ko\n",
    }
    for name, data in files.items():
        path = folder / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    subprocess.run(["dpkg-deb", "--build", folder / "tree", folder / "kernel.deb"], check=True, capture_output=True)
    return folder / "kernel.deb"


def unpack(package: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Unpack a package as build-guest and hack/node do."""
    command = [CHECKOUT / "hack/unpack-kernel", package, folder]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    ("modules", "suffix"),
    [
        pytest.param("lib/modules", ".ko", id="Debian 12: below lib, plain"),
        pytest.param("usr/lib/modules", ".ko.xz", id="Debian 13: below usr/lib, packed"),
    ],
)
def test_a_kernels_package_is_unpacked_the_same_whichever_release_made_it(
    tmp_path: Path, modules: str, suffix: str
) -> None:
    out = tmp_path / "out"
    ended = unpack(package(tmp_path, modules, suffix=suffix), out)
    assert ended.returncode == 0, ended.stderr
    release = out / "lib/modules" / RELEASE
    assert (out / "vmlinuz").read_bytes() == b"kernel"
    assert (release / "kernel/drivers/block/virtio_blk.ko").read_bytes() == b"module"
    assert "kernel/drivers/block/virtio_blk.ko:" in (release / "modules.dep").read_text()
    assert sorted(path.name for path in out.iterdir()) == ["lib", "vmlinuz"]


@pytest.mark.parametrize(
    ("modules", "suffix", "said"),
    [
        pytest.param("lib/modules", ".ko.zst", "packed in a way that is not known: virtio_blk.ko.zst", id="unknown"),
        pytest.param("opt/modules", ".ko", "kernel.deb holds no modules", id="no modules at all"),
    ],
)
def test_a_package_laid_out_otherwise_is_told(tmp_path: Path, modules: str, suffix: str, said: str) -> None:
    ended = unpack(package(tmp_path, modules, suffix=suffix), tmp_path / "out")
    assert (ended.returncode, said in ended.stderr) == (1, True), ended.stderr


def test_what_is_no_package_is_told(tmp_path: Path) -> None:
    (tmp_path / "kernel.deb").write_bytes(b"half a downl")
    ended = unpack(tmp_path / "kernel.deb", tmp_path / "out")
    assert (ended.returncode, ended.stderr.splitlines()[-1]) == (
        1,
        f"unpack-kernel: {tmp_path}/kernel.deb is damaged: remove it and try again",
    )
