"""The node's initramfs: busybox, hack/node-start, and the drivers of the discs that the root lies on."""

from __future__ import annotations

import gzip
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from hack.nodes.commands import CHECKOUT, digest, remove_others, run
from hack.nodes.errors import NodeError
from hack.nodes.release import Release
from hack.nodes.root import CACHE

# In the order of loading; what they need besides is found in modules.dep. ext4 is built into Debian's cloud kernels.
BOOT_MODULES = ("virtio_pci", "virtio_blk")
_START = CHECKOUT / "hack/node-start"


def build_initramfs(release: Release, modules: Path) -> Path:
    """Return the cached initramfs for the kernel with these modules, built anew where anything in it has changed."""
    busybox = _busybox()
    made_of = (Path(__file__), _START, busybox)
    key = digest(str(modules).encode(), *(path.read_bytes() for path in made_of))
    initramfs = CACHE / f"initramfs-{release.number}-{key}"
    if not initramfs.exists():
        with tempfile.TemporaryDirectory(prefix="work-", dir=CACHE) as work:
            whole = Path(work) / "whole"
            whole.write_bytes(_pack(_lay_out(Path(work) / "root", busybox, modules), busybox))
            whole.rename(initramfs)
        remove_others(initramfs, CACHE.glob(f"initramfs-{release.number}-*"))
    return initramfs


def _lay_out(root: Path, busybox: Path, modules: Path) -> Path:
    for name in ("bin", "dev", "proc", "sys", "root", "modules"):
        (root / name).mkdir(parents=True)
    shutil.copy(busybox, root / "bin/busybox")
    shutil.copy(_START, root / "init")
    _copy_modules(modules, root / "modules")
    return root


def _pack(root: Path, busybox: Path) -> bytes:
    names = "\n".join(sorted(str(path.relative_to(root)) for path in root.rglob("*"))) + "\n"
    archive = run(busybox, "cpio", "-o", "-H", "newc", "-R", "0:0", cwd=root, stdin=names.encode())
    return gzip.compress(archive, compresslevel=1, mtime=0)


def _busybox() -> Path:
    found = shutil.which("busybox")
    if found is None:
        raise NodeError("busybox is missing: hack/install-packages node installs it")
    return Path(found)


def _copy_modules(modules: Path, target: Path) -> None:
    (release,) = modules.iterdir()
    dependencies, built_in = ((release / name).read_text() for name in ("modules.dep", "modules.builtin"))
    paths = loading_order(dependencies, built_in, BOOT_MODULES)
    for path in paths:
        shutil.copy(release / path, target)
    (target / "order").write_text("".join(f"{Path(path).name}\n" for path in paths))


def loading_order(dependencies: str, built_in: str, wanted: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths of the modules and of all that they need, each after what it needs (modules.dep(5)).

    What is built into the kernel needs no loading; Debian's does so with virtio_pci from 13 on.
    """
    needs = {path: needed.split() for path, _, needed in (line.partition(":") for line in dependencies.splitlines())}
    at = {_module(path): path for path in needs}
    present = {_module(path) for path in built_in.split()}
    order: dict[str, None] = {}
    for name in wanted:
        if name in at:
            order.update(dict.fromkeys(_with_needed(at[name], needs)))
        elif name not in present:
            raise NodeError(f"the kernel has no module {name}")
    return tuple(order)


def _module(path: str) -> str:
    return Path(path).name.partition(".")[0].replace("-", "_")


def _with_needed(path: str, needs: dict[str, list[str]]) -> Iterator[str]:
    # modules.dep lists all that is needed, the direct ones first: the last has no needs of its own.
    yield from reversed(needs[path])
    yield path
