"""What a run tells people and programs of its plan."""

from __future__ import annotations

import logging
from argparse import Namespace

import pytest

from launcher.cli.show import show_plan
from launcher.cpuset import CPUSet
from launcher.planner.model import Pinning, VCPUPin

CPUS = CPUSet.parse("2-5")


def _pins(count: int) -> tuple[VCPUPin, ...]:
    return tuple(VCPUPin(vcpu=vcpu, cpu=2 + vcpu, core=vcpu, socket=0, node=0) for vcpu in range(count))


@pytest.mark.parametrize(
    ("vcpus", "words"),
    [
        pytest.param(2, "planned: 2 vCPUs on CPU 2-5", id="dedicated CPUs are counted"),
        pytest.param(1, "planned: 1 vCPU on CPU 2-5", id="one is one"),
        pytest.param(0, "planned: all vCPUs together on CPU 2-5", id="a guest without dedicated CPUs has vCPUs, too"),
    ],
)
def test_the_plan_is_logged_in_one_line(vcpus: int, words: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    show_plan(Namespace(log_format="json"), Pinning(vcpus=_pins(vcpus), emulator=CPUS, cpuset=CPUS, source="a test"))
    assert [record.getMessage() for record in caplog.records] == [words]
