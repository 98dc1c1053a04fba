"""Guests whose memory is bound to nodes, on real huge pages, under the seccomp profiles that let it be."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.boot_sector import READY
from tests.faults.conftest import Launch
from tests.faults.ends import destroy
from tests.faults.huge_pages import free_pages, makeable, reserved, with_mount
from tests.qemu.guests import CHECKOUT, manifest, small_manifest

PAGES = 64
UNDER = str(CHECKOUT / "tests/qemu/under_seccomp.py")
PROFILE = str(CHECKOUT / "templates/seccomp/memory-policy.json")


@pytest.fixture
def pages() -> Iterator[int]:
    """Reserve what a demo guest needs to boot."""
    with reserved(PAGES):
        yield free_pages()


def guest(pages: int, *, bound: bool = True) -> dict[str, Any]:
    vmi = small_manifest(cores=1)
    vmi["spec"]["domain"]["memory"] = {"guest": f"{pages * 2}Mi", "hugepages": {"pageSize": "2Mi"}}
    if bound:
        vmi["spec"]["domain"]["cpu"]["numa"] = {"guestMappingPassthrough": {}}
    return vmi


@pytest.mark.parametrize("profile", ["containerd+nice", "docker+nice", "crio", PROFILE], ids=lambda p: Path(p).name)
def test_a_bound_guest_boots_on_huge_pages_of_its_node(
    launch: Launch, tmp_path: Path, pages: int, profile: str
) -> None:
    prefix = (*with_mount(tmp_path / "pages"), sys.executable, UNDER, profile)
    launcher = launch(guest(PAGES), prefix=prefix)
    launcher.wait_for(READY)
    maps = Path(f"/proc/{launcher.qemu_pid()}/numa_maps").read_text()
    memory = [line for line in maps.splitlines() if " huge " in line]
    assert [re.sub(r"^\S+ ", "", line).split()[0] for line in memory] == ["bind:0"], maps
    assert f"N0={PAGES}" in memory[0]
    assert pages - free_pages() == PAGES
    assert destroy(launcher) in (0, 9)
    assert free_pages() == pages


@pytest.mark.parametrize("bound", [True, False])
def test_a_guest_for_which_the_free_pages_are_one_too_few_is_refused_before_qemu_is_asked(
    launch: Launch, tmp_path: Path, pages: int, *, bound: bool
) -> None:
    launcher = launch(guest(pages + 1, bound=bound), prefix=with_mount(tmp_path / "pages"))
    assert launcher.wait() == 5, launcher.output
    assert re.search(rf"needs {pages + 1}\b.*free or reserve 1 more", launcher.lines[-1]), launcher.output


@pytest.mark.parametrize(("made", "status"), [(PAGES, None), (PAGES - 1, 5)], ids=["enough", "one too few"])
def test_pages_that_the_kernel_makes_when_they_are_wanted_are_pages(
    launch: Launch, tmp_path: Path, made: int, status: int | None
) -> None:
    with makeable(made):
        launcher = launch(guest(PAGES + free_pages(), bound=False), prefix=with_mount(tmp_path / "pages"))
        if status is None:
            launcher.wait_for(READY)
            assert destroy(launcher) in (0, 9)
        else:
            assert launcher.wait() == status, launcher.output
            assert (
                f"and {made} more can be made (nr_overcommit_hugepages): free or reserve 1 more" in launcher.lines[-1]
            )


def test_a_plain_guest_lives_and_ends_in_order_under_our_profile(launch: Launch) -> None:
    vmi = manifest(cores=1)
    vmi["spec"]["domain"]["devices"] |= {"interfaces": [{"name": "default", "slirp": {}}], "tpm": {}, "rng": {}}
    vmi["spec"]["networks"] = [{"name": "default", "pod": {}}]
    launcher = launch(vmi, prefix=(sys.executable, UNDER, PROFILE))
    launcher.wait_for("guest: ready")
    launcher.end_by_force()
    assert launcher.wait() in (0, 9), launcher.output
