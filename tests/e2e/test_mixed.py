"""A mixed guest of four vCPUs on three CPUs: two alone, two and the emulator on the third, says the node's kernel."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.confined import confined
from tests.processes import allowed_by_name
from tests.qemu.guests import Launcher, manifest


@pytest.fixture
def launcher(every_cpu: tuple[int, ...]) -> Iterator[Launcher]:
    """A launcher whose guest runs on the three last CPUs."""
    vmi = manifest(cores=4)
    vmi["metadata"]["annotations"] = {"virt-launcher/dedicated-vcpus": "0-1"}
    with confined(vmi, every_cpu[-3:]) as launcher:
        yield launcher


def test_two_are_alone_and_two_share_the_third_cpu_with_everything_else(
    launcher: Launcher, every_cpu: tuple[int, ...]
) -> None:
    threads = allowed_by_name(launcher.qemu_pid())
    alone = {threads.pop(name) for name in list(threads) if name.startswith(("CPU 0/", "CPU 1/"))}
    assert len(alone) == 2
    assert {"CPU 2/TCG", "CPU 3/TCG", "qemu-system-x86"} <= set(threads)
    (third,) = set(threads.values())
    assert {*alone, third} == {str(cpu) for cpu in every_cpu[-3:]}
