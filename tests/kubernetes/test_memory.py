"""The memory and disk that `virt-launcher pod` asks for, against what a guest that writes to all its pages uses.

The Pod is its image's first one on the node, with nothing of it in the page cache: the kernel charges the files of
QEMU, libvirt and Python, some 70 MiB of which 40 are mapped, to whoever reads them first. A later Pod has them for
nothing; the limit has to hold for the first.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec import Struct

from launcher.quantity import parse_quantity
from tests.e2e.boot_sector import READY, Sector
from tests.kubernetes.api import Object
from tests.kubernetes.cluster import Cluster, group_of, qemus
from tests.kubernetes.guests import KVM, manifests, own_disk, pod_name, vmi

TABLE = Path(os.environ.get("NODE_RESULTS", "/node/results")) / "memory.txt"
# A limit may be so much of what was used at most.
_MOST = 1.25


class Row(Struct, frozen=True, kw_only=True):
    """A guest: its memory, the size of its pages, disks beside the first, and IOThreads."""

    memory: str
    page: str = ""
    disks: int = 0
    iothreads: bool = False

    def vmi(self, name: str) -> Object:
        """Return its manifest: a guest that writes to all of its memory before it is ready."""
        size = parse_quantity(self.memory).ceil
        memory = {"guest": self.memory, **({"hugepages": {"pageSize": self.page}} if self.page else {})}
        more: dict[str, Any] = {"ioThreadsPolicy": "auto"} if self.iothreads else {}
        guest = vmi(name, disk=own_disk(name, Sector(memory_bytes=size)), memory=memory, **more)
        for number in range(self.disks):
            disk = {"name": f"empty-{number}", "disk": {"bus": "virtio"}}
            guest["spec"]["domain"]["devices"]["disks"].append(disk)
            guest["spec"]["volumes"].append({"name": f"empty-{number}", "emptyDisk": {"capacity": "1Gi"}})
        return guest


ROWS = {
    "64 MiB": Row(memory="64Mi"),
    "512 MiB": Row(memory="512Mi"),
    "2 GiB": Row(memory="2Gi"),
    "3 GiB": Row(memory="3Gi"),
    "64 MiB of pages of 2 MiB": Row(memory="64Mi", page="2Mi"),
    "1 GiB of pages of 1 GiB": Row(memory="1Gi", page="1Gi"),
    "512 MiB with four disks and IOThreads": Row(memory="512Mi", disks=4, iothreads=True),
}


@pytest.fixture(scope="module", autouse=True)
def table(kvm: Cluster) -> None:
    """Head the table that comes back with the results."""
    assert kvm
    TABLE.write_text(f"{'guest':<40}{'limit MiB':>10}{'used MiB':>10}{'above':>8}{'files MiB':>10}{'disk MiB':>10}\n")


@pytest.mark.parametrize("name", ROWS)
def test_a_guest_that_writes_to_every_page_stays_below_its_limit_and_uses_most_of_it(
    cluster: Cluster, name: str
) -> None:
    guest = ROWS[name].vmi("written")
    forget_files()
    try:
        cluster.apply(manifests(guest, *KVM))
        pod = cluster.wait_until_ready(pod_name(guest))
        cluster.wait_for("guest that has written to its memory", lambda: READY in cluster.log(pod_name(guest)))
        # What people do with a guest is done inside the limit, too.
        asked = cluster.exec_(pod_name(guest), "virt-launcher", "status")
        assert asked.returncode == 0, asked.stderr
        group = group_of(qemus()[pod["metadata"]["uid"]])
        limit, peak = (int((group / file).read_text()) for file in ("memory.max", "memory.peak"))
        killed = [line for line in (group / "memory.events").read_text().splitlines() if line.startswith("oom")]
        files = next(int(line.split()[1]) for line in (group / "memory.stat").open() if line.startswith("file "))
        disk = written(cluster, pod)
        with TABLE.open("a") as table:
            above = (limit - peak) / peak
            table.write(f"{name:<40}{limit >> 20:>10}{peak >> 20:>10}{above:>8.0%}{files >> 20:>10}{disk >> 20:>10}\n")
        assert set(killed) <= {"oom 0", "oom_kill 0", "oom_group_kill 0"}
        assert limit <= peak * _MOST
        assert disk <= parse_quantity(pod["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"]).ceil
    finally:
        cluster.forget(pod_name(guest))


def forget_files() -> None:
    """Empty the node's page cache, as it is where nothing of the image has run yet."""
    os.sync()
    Path("/proc/sys/vm/drop_caches").write_text("3")


def written(cluster: Cluster, pod: Object) -> int:
    """Return the bytes of the node's disk that a Pod has by now, by the kubelet's own count."""
    summary = cluster.api.get("/api/v1/nodes/node/proxy/stats/summary")
    (found,) = (entry for entry in summary["pods"] if entry["podRef"]["uid"] == pod["metadata"]["uid"])
    return int(found.get("ephemeral-storage", {}).get("usedBytes", 0))
