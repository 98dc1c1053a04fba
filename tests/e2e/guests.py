"""The guests of the node: every example, and others beside them, each with the shape that it runs on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct

from launcher.quantity import parse_quantity
from tests.e2e.boot_sector import make_disk
from tests.e2e.containers import IMAGES, Manifest
from tests.qemu.guests import CHECKOUT

EXAMPLES = CHECKOUT / "templates/examples"
SMT, KVM, FOUR_NODES = "smt-2n", "kvm-2n", "four-nodes-offline"
# Its guests are those of test_devices.py alone.
DEVICES = "vfio-2n"


class Roles(Struct, frozen=True, kw_only=True):
    """What DESIGN's table asks for: CPUs of their own for emulator and IOThread pool, CPUs left over, and IOThreads."""

    isolated: int = 0
    pool: int = 0
    left_over: int = 0
    io_threads: int = 0


class Case(Struct, frozen=True, kw_only=True):
    """One guest, the node's shape that it runs on, how the kubelet is configured there, and what has to come of it.

    `neighbours` are the CPUs of other containers that were there before it. `cells` is how many NUMA nodes it sees,
    0 where it is given none. Where `boots` is false its end is by force.
    """

    name: str
    manifest: Manifest
    shape: str
    vcpus: int
    kubelet: str = ""
    neighbours: tuple[int, ...] = (2,)
    threads: int = 1
    roles: Roles = Roles()
    dedicated: bool = True
    cells: int = 0
    realtime: frozenset[int] = frozenset()
    boots: bool = True
    example: str | None = None

    @property
    def guest_bytes(self) -> int:
        """How much memory the guest has."""
        return parse_quantity(self.manifest["spec"]["domain"]["memory"]["guest"]).ceil

    @property
    def page_bytes(self) -> int:
        """The size of the huge pages that the guest's memory is in; 0 where it is in none."""
        huge_pages: dict[str, str] = self.manifest["spec"]["domain"]["memory"].get("hugepages", {"pageSize": "0"})
        return parse_quantity(huge_pages["pageSize"]).ceil

    @property
    def kvm(self) -> bool:
        """Whether the node has a /dev/kvm for it."""
        return self.shape == KVM


def example(name: str) -> Manifest:
    """Return an example as it stands."""
    manifest: Manifest = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return manifest


def with_memory(manifest: Manifest, memory: str) -> Manifest:
    """Return the manifest with less memory: what is in huge pages is all taken from the machine under the node."""
    domain = manifest["spec"]["domain"]
    domain["memory"]["guest"] = domain["resources"]["limits"]["memory"] = memory
    return manifest


def dedicated(cpu: dict[str, Any], **domain: Any) -> Manifest:
    """Return the example `dedicated` with other CPUs, and more of a domain where wanted."""
    manifest = example("dedicated")
    own = {"cpu": {"dedicatedCpuPlacement": True, **cpu}, "memory": {"guest": "192Mi"}, "resources": {}}
    manifest["spec"]["domain"] |= own | domain
    return manifest


def _pool(threads: int) -> dict[str, Any]:
    return {"ioThreadsPolicy": "supplementalPool", "ioThreads": {"supplementalPoolThreadCount": threads}}


CASES = (
    Case(
        name="guest cores on host cores",
        example="dedicated", manifest=example("dedicated"),
        shape=SMT, kubelet="full-pcpus-only", vcpus=4, threads=2,
    ),
    Case(
        name="an isolated emulator of two CPUs that every IOThread shares",
        example="isolated-iothreads", manifest=example("isolated-iothreads"),
        shape=SMT, kubelet="full-pcpus-only", vcpus=4, roles=Roles(isolated=2, io_threads=2),
    ),
    Case(
        name="two cells of huge pages on two nodes",
        example="numa-hugepages", manifest=with_memory(example("numa-hugepages"), "512Mi"),
        shape=SMT, kubelet="full-pcpus-only,distribute-cpus-across-numa", neighbours=(2, 0), vcpus=8, threads=2,
        cells=2,
    ),
    Case(
        name="a pool of IOThreads beside guest cores",
        manifest=dedicated({"cores": 2, "threads": 2}, **_pool(2)),
        shape=SMT, vcpus=4, threads=2, roles=Roles(pool=2, io_threads=2),
    ),
    Case(
        name="CPUs left over for QEMU's own threads",
        manifest=dedicated({"cores": 2, "threads": 2}, ioThreadsPolicy="auto"),
        shape=SMT, neighbours=(1, 2), vcpus=4, threads=2, roles=Roles(left_over=2, io_threads=2),
    ),
    Case(
        name="two vCPUs that Linux would boot on",
        example="demo", manifest=example("demo"),
        shape=KVM, vcpus=2, boots=False,
    ),
    Case(
        name="two vCPUs of four under SCHED_FIFO, locked in huge pages of 1 GiB",
        example="realtime", manifest=example("realtime"),
        shape=KVM, neighbours=(1,), vcpus=4, roles=Roles(isolated=1), cells=1,
        realtime=frozenset({2, 3}),
    ),
    Case(
        name="a guest in the shared pool",
        example="smallest", manifest=example("smallest"),
        shape=KVM, neighbours=(2, 1), vcpus=1, dedicated=False,
    ),
    Case(
        name="a claim, a cloud-init disc and a network",
        example="cloud-init", manifest=example("cloud-init"),
        shape=FOUR_NODES, vcpus=2,
    ),
    Case(
        name="two sockets around the CPU that is offline",
        manifest=dedicated({"sockets": 2, "cores": 2}, ioThreadsPolicy="shared"),
        shape=FOUR_NODES, neighbours=(2, 0), vcpus=4, roles=Roles(io_threads=1),
    ),
    Case(
        name="two cells of huge pages, and the emulator where a core's other thread is offline",
        manifest=dedicated(
            {"cores": 3, "threads": 2, "isolateEmulatorThread": True, "numa": {"guestMappingPassthrough": {}}},
            memory={"guest": "384Mi", "hugepages": {"pageSize": "2Mi"}},
        ),
        shape=FOUR_NODES, kubelet="distribute-cpus-across-numa", vcpus=6, threads=2, roles=Roles(isolated=1), cells=2,
    ),
)  # fmt: skip


def make_images(folder: Path = IMAGES) -> None:
    """Make the disks that the manifests name on the node; each that a guest may boot from does boot."""
    folder.chmod(0o777)
    make_disk(folder / "root.qcow2", "qcow2")
    make_disk(folder / "root.img", "raw")
    (folder / "tools.iso").write_bytes(bytes(1 << 20))
