"""Guests under the default seccomp profiles of containerd, Docker and CRI-O: what starts, and what says why not."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.boot_sector import READY
from tests.qemu.guests import Launcher, manifest, small_manifest

Launch = Callable[..., Launcher]

UNDER = str(Path(__file__).parent / "under_seccomp.py")
every_runtime = pytest.mark.parametrize("runtime", ["containerd", "docker", "crio"])


def _under(runtime: str) -> tuple[str, ...]:
    return (sys.executable, UNDER, runtime)


def _bound_guest() -> dict[str, Any]:
    vmi = small_manifest(cores=1)
    vmi["spec"]["domain"]["cpu"]["numa"] = {"guestMappingPassthrough": {}}
    vmi["spec"]["domain"]["memory"] = {"guest": "64Mi", "hugepages": {"pageSize": "2Mi"}}
    return vmi


@every_runtime
def test_a_guest_with_a_disk_a_tpm_and_user_networking_lives_and_ends_in_order(runtime: str, launch: Launch) -> None:
    vmi = manifest(cores=1)
    vmi["spec"]["domain"]["ioThreadsPolicy"] = "auto"
    vmi["spec"]["domain"]["devices"] |= {
        "disks": [
            {"name": "empty", "disk": {"bus": "virtio"}},
            {"name": "seed", "disk": {"bus": "sata"}},
        ],
        "interfaces": [{"name": "default", "slirp": {}}],
        "tpm": {},
        "rng": {},
    }
    vmi["spec"]["networks"] = [{"name": "default", "pod": {}}]
    vmi["spec"]["volumes"] = [
        {"name": "empty", "emptyDisk": {"capacity": "8Mi"}},
        {"name": "seed", "cloudInitNoCloud": {"userData": "#cloud-config\n"}},
    ]
    launcher = launch(vmi, prefix=_under(runtime))
    launcher.wait_for("guest: ready")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
    assert "verified" in launcher.output


@pytest.mark.parametrize("runtime", ["containerd", "docker"])
@pytest.mark.parametrize("pages", ["huge", "plain"])
def test_numa_passthrough_that_the_profile_denies_is_told_with_the_cure(
    runtime: str, pages: str, launch: Launch, root: Path
) -> None:
    vmi = _bound_guest()
    if pages == "plain":
        del vmi["spec"]["domain"]["memory"]["hugepages"]
    launcher = launch(vmi, prefix=_under(runtime))
    assert launcher.wait() == 7, launcher.output
    left = [path.name for kind in ("run/qemu/*.xml", "run/qemu/*.pid", "lib/qemu/domain-*") for path in root.glob(kind)]
    assert left == ["driver.pid"]
    assert launcher.lines[-1].endswith(
        "numa.guestMappingPassthrough: the guest's memory cannot be bound to nodes (get_mempolicy: Operation not "
        "permitted): give the container the capability SYS_NICE (a Pod's capabilities.add, podman's --cap-add; the "
        "process itself need not hold it), or a seccomp profile that allows get_mempolicy, mbind and set_mempolicy"
    )


@pytest.mark.parametrize("runtime", ["containerd+nice", "docker+nice", "crio"])
def test_numa_passthrough_that_the_profile_lets_through_comes_to_the_huge_pages(runtime: str, launch: Launch) -> None:
    # This machine need not have any: where it has, the guest starts.
    launcher = launch(_bound_guest(), prefix=_under(runtime))
    launcher.wait_for(f"huge pages|hugetlbfs|{READY}")
    launcher.signal(signal.SIGTERM)
    launcher.wait()
    assert "seccomp" not in launcher.output


@every_runtime
def test_passt_that_could_make_no_namespace_is_told_with_the_cure(runtime: str, launch: Launch) -> None:
    vmi = small_manifest(cores=1)
    vmi["spec"]["domain"]["devices"]["interfaces"] = [{"name": "lan", "passtBinding": {}}]
    vmi["spec"]["networks"] = [{"name": "lan", "pod": {}}]
    launcher = launch(vmi, prefix=_under(runtime))
    assert launcher.wait() == 7, launcher.output
    assert "interface lan: passt may not make its user namespace here: give the container a seccomp" in launcher.output
