"""vhost's worker: a kernel thread beside QEMU before Linux 6.4, a thread of QEMU's own since; watched in both cases.

What is asserted is read from the node's kernel. The guest has a vsock, whose worker is there before the guest runs.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.confined import confined
from tests.e2e.containers import wait_until
from tests.processes import affinities_of
from tests.qemu.guests import Launcher, manifest


@pytest.fixture(scope="module")
def cpus(every_cpu: tuple[int, ...]) -> tuple[int, ...]:
    """Return the CPUs that the launcher is given: one for the vCPU, one for vhost, one for everything else."""
    first, *_, before, last = every_cpu
    return first, before, last


@pytest.fixture(scope="module")
def launcher(cpus: tuple[int, ...]) -> Iterator[Launcher]:
    """A launcher whose guest runs."""
    subprocess.run(["modprobe", "vhost_vsock"], check=True)
    vmi = manifest(cores=1, isolate=True)
    vmi["spec"]["domain"]["devices"]["autoattachVSOCK"] = True
    vmi["metadata"]["annotations"] = {"virt-launcher/vhost-cpus": "1"}
    with confined(vmi, cpus) as launcher:
        yield launcher


@pytest.fixture(scope="module")
def worker(launcher: Launcher) -> Path:
    """The worker's folder in /proc, whosever thread it is."""
    name = f"vhost-{launcher.qemu_pid()}\n"
    (found,) = [path.parent for path in Path("/proc").glob("[0-9]*/task/[0-9]*/comm") if path.read_text() == name]
    return found


def test_whose_thread_it_is_depends_on_the_kernel(launcher: Launcher, worker: Path) -> None:
    release = tuple(int(part) for part in platform.release().split(".")[:2])
    owner = int(worker.parent.parent.name)
    assert (owner == launcher.qemu_pid()) == (release >= (6, 4))


def test_it_is_proved_with_the_others_alone_on_the_cpu_reserved_for_it(launcher: Launcher, worker: Path) -> None:
    tid = int(worker.name)
    (own,) = os.sched_getaffinity(tid)
    others = affinities_of(launcher.qemu_pid())
    assert {cpu for other, cpus in others.items() if other != tid for cpu in cpus}.isdisjoint({own})
    threads = json.loads(launcher.ask("status", "--format", "json"))["threads"]
    (shown,) = [thread for thread in threads if thread["tid"] == tid]
    assert (shown["role"], shown["planned"]) == ("vhost", shown["actual"])


def test_it_is_put_back_where_it_was_moved(launcher: Launcher, worker: Path, cpus: tuple[int, ...]) -> None:
    tid, planned = int(worker.name), os.sched_getaffinity(int(worker.name))
    os.sched_setaffinity(tid, set(cpus) - planned)
    wait_until(lambda: os.sched_getaffinity(tid) == planned, "the worker is back")
    launcher.wait_for("repaired: vhost to CPU")
