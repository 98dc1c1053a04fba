"""The guest's IOThreads: how many there are, their libvirt ids, and which of them serve each disk."""

from __future__ import annotations

from itertools import cycle

from msgspec import Struct

from launcher.vmi.guest import DiskBus, Guest, IOThreadsPolicy


class DiskIOThreads(Struct, frozen=True, kw_only=True):
    """The IOThreads that serve one virtio disk."""

    disk: str
    iothreads: tuple[int, ...]


class IOThreadLayout(Struct, frozen=True, kw_only=True):
    """The ids of the IOThreads by kind, and the virtio disks in the manifest's order with the ids serving each."""

    shared: tuple[int, ...] = ()
    dedicated: tuple[int, ...] = ()
    pool: tuple[int, ...] = ()
    disks: tuple[DiskIOThreads, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """Every IOThread id, ascending."""
        return self.shared + self.dedicated + self.pool

    def serving(self, disk: str) -> tuple[int, ...]:
        """Return the ids that serve the disk of this name; none where it is not a virtio disk or nothing asks."""
        return next((entry.iothreads for entry in self.disks if entry.disk == disk), ())


def lay_out_iothreads(guest: Guest) -> IOThreadLayout:
    """Number the guest's IOThreads and give every virtio disk the ones that serve it.

    The counts are KubeVirt's (`getIOThreadsCountType` and the disk conversion of its pkg/virt-launcher/virtwrap):
    every disk that is not dedicated counts as an "other disk", whatever its bus, but only virtio disks are given a
    thread. No thread exists unless a policy is set or a disk asks for a dedicated one.
    """
    demand, dedicated_count = guest.io_threads, sum(disk.dedicated_iothread for disk in guest.disks)
    virtio = [disk for disk in guest.disks if disk.bus is DiskBus.VIRTIO]
    if demand.policy is IOThreadsPolicy.SUPPLEMENTAL_POOL:
        pool = tuple(range(1, demand.pool_count + 1))
        return IOThreadLayout(pool=pool, disks=tuple(DiskIOThreads(disk=disk.name, iothreads=pool) for disk in virtio))
    if demand.policy is None and not dedicated_count:
        return IOThreadLayout()
    # KubeVirt adds a shared thread, too, where more dedicated disks than the limit are all there are. It would serve
    # nothing: without another disk there is no shared thread, and the dedicated ones are numbered from 1.
    shared_count = min(len(guest.disks) - dedicated_count, max(_limit(guest) - dedicated_count, 1))
    shared = tuple(range(1, shared_count + 1))
    dedicated = tuple(range(shared_count + 1, shared_count + dedicated_count + 1))
    turns, own = cycle(shared), iter(dedicated)
    disks = tuple(
        DiskIOThreads(disk=disk.name, iothreads=(next(own if disk.dedicated_iothread else turns),)) for disk in virtio
    )
    return IOThreadLayout(shared=shared, dedicated=dedicated, disks=disks)


def _limit(guest: Guest) -> int:
    """Return the most threads that the policy allows before each other disk has its own."""
    if guest.io_threads.policy is not IOThreadsPolicy.AUTO or guest.cpu.isolate_emulator_thread:
        return 1
    return 2 * guest.io_threads.cpu_count
