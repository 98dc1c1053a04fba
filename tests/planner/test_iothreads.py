"""How many IOThreads a guest has, their ids, and which serve a disk."""

from __future__ import annotations

import pytest

from launcher.planner.iothreads import lay_out_iothreads
from launcher.vmi.guest import Disk, Guest, IOThreadsPolicy
from tests.planner.guests import a_guest, sata, virtio

_AUTO, _SHARED, _POOL = IOThreadsPolicy.AUTO, IOThreadsPolicy.SHARED, IOThreadsPolicy.SUPPLEMENTAL_POOL
_TWO_AND_ONE_DEDICATED = (virtio("a"), virtio("b", dedicated=True), virtio("c"))


def _guest(
    *disks: Disk, policy: IOThreadsPolicy | None = None, pool: int = 0, cpus: int = 1, isolate: bool = False
) -> Guest:
    return a_guest(disks=disks, policy=policy, pool=pool, cpu_count=cpus, isolate=isolate)


@pytest.mark.parametrize(
    ("guest", "shared", "dedicated", "pool"),
    [
        pytest.param(_guest(virtio("a")), 0, 0, 0, id="no policy and no dedicated disk: none"),
        pytest.param(_guest(policy=_SHARED), 0, 0, 0, id="shared without a disk: none"),
        pytest.param(_guest(virtio("a"), virtio("b"), policy=_SHARED), 1, 0, 0, id="shared: one for all"),
        pytest.param(_guest(*_TWO_AND_ONE_DEDICATED), 1, 1, 0, id="a dedicated disk alone: one more for the others"),
        pytest.param(_guest(virtio("a", dedicated=True)), 0, 1, 0, id="only a dedicated disk: no shared thread"),
        pytest.param(
            _guest(*_TWO_AND_ONE_DEDICATED, policy=_AUTO, cpus=2), 2, 1, 0, id="auto below the limit: one for each disk"
        ),
        pytest.param(
            _guest(*(virtio(f"d{n}") for n in range(9)), policy=_AUTO, cpus=2), 4, 0, 0, id="auto: at most 2 x CPUs"
        ),
        pytest.param(
            _guest(*(virtio(f"d{n}") for n in range(9)), virtio("x", dedicated=True), policy=_AUTO, cpus=2),
            3,
            1,
            0,
            id="auto: dedicated ones count against the limit",
        ),
        pytest.param(
            _guest(*(virtio(f"d{n}", dedicated=n > 0) for n in range(5)), policy=_AUTO, cpus=1),
            1,
            4,
            0,
            id="auto: one shared thread even where dedicated ones pass the limit",
        ),
        pytest.param(
            _guest(*(virtio(f"d{n}", dedicated=True) for n in range(5)), policy=_AUTO, cpus=1),
            0,
            5,
            0,
            id="auto: no shared thread where no other disk is, even where dedicated ones pass the limit",
        ),
        pytest.param(
            _guest(virtio("a"), virtio("b"), policy=_AUTO, cpus=8, isolate=True), 1, 0, 0, id="isolated emulator: one"
        ),
        pytest.param(
            _guest(virtio("a"), sata("s"), policy=_AUTO, cpus=8), 2, 0, 0, id="a SATA disk counts as an other disk"
        ),
        pytest.param(_guest(virtio("a"), policy=_POOL, pool=3), 0, 0, 3, id="pool: as many as it says"),
    ],
)
def test_iothread_counts_follow_the_policy(guest: Guest, shared: int, dedicated: int, pool: int) -> None:
    layout = lay_out_iothreads(guest)
    assert (len(layout.shared), len(layout.dedicated), len(layout.pool)) == (shared, dedicated, pool)
    assert layout.ids == tuple(range(1, shared + dedicated + pool + 1))


def test_shared_threads_go_round_and_dedicated_ones_follow_in_disk_order() -> None:
    disks = (
        virtio("a"),
        virtio("b", dedicated=True),
        virtio("c"),
        sata("s"),
        virtio("d"),
        virtio("e", dedicated=True),
    )
    layout = lay_out_iothreads(_guest(*disks, policy=_AUTO, cpus=2))
    assert {entry.disk: entry.iothreads for entry in layout.disks} == {
        "a": (1,),
        "b": (3,),
        "c": (2,),
        "d": (1,),
        "e": (4,),
    }
    assert layout.serving("s") == ()


def test_every_pool_thread_serves_every_virtio_disk() -> None:
    layout = lay_out_iothreads(_guest(virtio("a"), sata("s"), virtio("b", dedicated=True), policy=_POOL, pool=2))
    assert [(entry.disk, entry.iothreads) for entry in layout.disks] == [("a", (1, 2)), ("b", (1, 2))]
