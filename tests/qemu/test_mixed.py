"""A mixed guest under a real QEMU: one vCPU alone on its CPU, the others and the emulator on the other one."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from typing import Any

from tests.e2e.boot_sector import READY
from tests.processes import allowed_by_name, threads_by_name
from tests.qemu.guests import Launcher, small_manifest

Launch = Callable[..., Launcher]


def _mixed() -> dict[str, Any]:
    vmi = small_manifest(cores=3)
    vmi["metadata"]["annotations"] = {"virt-launcher/dedicated-vcpus": "0"}
    return vmi


def test_a_dedicated_vcpu_is_alone_and_the_others_share_with_the_emulator(
    launch: Launch, two_cpus: tuple[int, int]
) -> None:
    alone, shared = map(str, two_cpus)
    launcher = launch(_mixed())
    launcher.wait_for(READY)
    threads = allowed_by_name(launcher.qemu_pid())
    status = json.loads(launcher.ask("status", "--format", "json"))
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
    assert threads.pop("CPU 0/TCG") == alone
    assert {"CPU 1/TCG", "CPU 2/TCG", "qemu-system-x86"} <= set(threads)
    assert set(threads.values()) == {shared}
    assert status["plan"]["shared_vcpus"] == {"1": shared, "2": shared}
    assert status["plan"]["degraded"] is False
    assert [one["role"] for one in status["threads"] if one.get("shared")] == ["vcpu 1", "vcpu 2"]
    (verified,) = [one for one in status["conditions"] if one["type"] == "PinningVerified"]
    assert verified["status"] == "True"
    assert verified["message"].endswith("2 of 3 vCPUs share CPUs, as the manifest has it")
    assert "planned: 1 vCPU alone and 2 that share on CPU" in launcher.output


def test_a_vcpu_that_shares_is_put_back_to_where_it_shares(launch: Launch, two_cpus: tuple[int, int]) -> None:
    alone, shared = two_cpus
    launcher = launch(_mixed())
    launcher.wait_for("phase: running")
    thread = threads_by_name(launcher.qemu_pid())["CPU 2/TCG"]
    os.sched_setaffinity(thread, {alone})
    line = launcher.wait_for("repaired: vcpu 2")
    cpus = os.sched_getaffinity(thread)
    launcher.end_by_force()
    assert re.search(rf"repaired: vcpu 2 to CPU {shared}$", line)
    assert cpus == {shared}


def test_a_launcher_that_was_killed_takes_both_kinds_over(launch: Launch, two_cpus: tuple[int, int]) -> None:
    launch(_mixed()).kill_once_running()
    second = launch(_mixed())
    second.wait_for("verified: ")
    status = json.loads(second.ask("status", "--format", "json"))
    second.end_by_force()
    assert status["plan"]["shared_vcpus"] == {"1": str(two_cpus[1]), "2": str(two_cpus[1])}


def test_a_guest_without_dedicated_cpus_floats_on_its_own_and_qemu_on_the_shared_ones(
    launch: Launch, two_cpus: tuple[int, int]
) -> None:
    own, shared = map(str, two_cpus)
    told = {"OPENSHIFT_ISOLATED_CPUS": own, "OPENSHIFT_SHARED_CPUS": shared}
    launcher = launch(small_manifest(cores=2, dedicated=False), environment=told)
    launcher.wait_for("phase: running")
    threads = allowed_by_name(launcher.qemu_pid())
    status = json.loads(launcher.ask("status", "--format", "json"))
    launcher.end_by_force()
    assert {threads.pop("CPU 0/TCG"), threads.pop("CPU 1/TCG")} == {own}
    assert set(threads.values()) == {shared}
    (verified,) = [one for one in status["conditions"] if one["type"] == "PinningVerified"]
    assert (verified["status"], verified["message"].partition("; ")[2]) == ("True", "the guest has no dedicated CPUs")
