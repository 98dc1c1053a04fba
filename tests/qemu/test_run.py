"""The whole road with a real guest: started paused, proved, run, watched, ended; each end with its exit status."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.boot_sector import IGNORED, READY, Sector
from tests.processes import affinities_of, allowed_by_name, is_running, threads_by_name
from tests.qemu.guests import Launcher, environment_of_a_checkout, manifest, small_manifest

Launch = Callable[..., Launcher]


def test_a_guest_is_pinned_proved_and_powered_off_in_order(launch: Launch, two_cpus: tuple[int, int]) -> None:
    first, second = two_cpus
    launcher = launch(small_manifest())
    launcher.wait_for(READY)
    threads = allowed_by_name(launcher.qemu_pid())
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
    assert (threads["CPU 0/TCG"], threads["CPU 1/TCG"]) == (str(first), str(second))
    assert threads["qemu-system-x86"] == f"{first}-{second}" if second == first + 1 else f"{first},{second}"
    order = [launcher.output.index(word) for word in ("defined:", "verified:", "asked: resume", READY, "ended:")]
    assert order == sorted(order)


def test_the_guest_sees_the_topology_of_its_manifest(launch: Launch) -> None:
    vmi = manifest()
    # QEMU calls its fullest CPU model an AMD processor under TCG, whose threads Linux takes for cores.
    vmi["spec"]["domain"]["cpu"] |= {"sockets": 1, "cores": 1, "threads": 2, "model": "Haswell"}
    launcher = launch(vmi)
    report = launcher.wait_for(r"guest: cpus=")
    launcher.wait_for("guest: ready")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0
    assert "cpus=2 sockets=1 cores_per_socket=1 threads_per_core=2" in report


def test_an_isolated_emulator_and_its_iothread_have_their_own_cpu(
    launch: Launch, two_cpus: tuple[int, int], tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    launcher = launch(small_manifest(cores=1, isolate=True, disks=(disk,)))
    launcher.wait_for("phase: running")
    threads = allowed_by_name(launcher.qemu_pid())
    own = set(affinities_of(launcher.process.pid).values())
    launcher.end_by_force()
    vcpu, emulator = two_cpus
    if threads["CPU 0/TCG"] == str(emulator):
        vcpu, emulator = emulator, vcpu
    assert threads["CPU 0/TCG"] == str(vcpu)
    assert {cpus for name, cpus in threads.items() if name != "CPU 0/TCG"} == {str(emulator)}
    assert "IO iothread1" in threads
    assert own == {(emulator,)}, "the launcher's own threads keep off the vCPU's CPU"


def test_the_launcher_keeps_to_the_iothread_pool_where_the_emulator_has_no_cpu_of_its_own(
    launch: Launch, two_cpus: tuple[int, int], tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    vmi = small_manifest(cores=1, disks=(disk,))
    vmi["spec"]["domain"] |= {"ioThreadsPolicy": "supplementalPool", "ioThreads": {"supplementalPoolThreadCount": 1}}
    launcher = launch(vmi)
    launcher.wait_for("phase: running")
    threads = allowed_by_name(launcher.qemu_pid())
    own = set(affinities_of(launcher.process.pid).values())
    launcher.end_by_force()
    assert {int(threads[name]) for name in ("CPU 0/TCG", "IO iothread1")} == set(two_cpus)
    assert own == {(int(threads["IO iothread1"]),)}


def test_nothing_of_the_guest_runs_before_the_proof(launch: Launch, root: Path) -> None:
    launcher = launch(small_manifest())
    launcher.wait_for("verified:")
    log = root / "log/tests_demo-serial0.log"
    assert not any(
        "console |" in line for line in launcher.lines[: launcher.lines.index(launcher.wait_for("verified:"))]
    )
    assert log.exists()
    launcher.wait_for("phase: running")
    launcher.end_by_force()


def test_an_affinity_changed_from_outside_is_repaired(launch: Launch, two_cpus: tuple[int, int]) -> None:
    launcher = launch(small_manifest())
    launcher.wait_for("phase: running")
    pid = launcher.qemu_pid()
    os.sched_setaffinity(threads_by_name(pid)["CPU 1/TCG"], {two_cpus[0]})
    launcher.wait_for(r"drifted: vcpu 1")
    launcher.wait_for(r"repaired: vcpu 1")
    assert allowed_by_name(pid)["CPU 1/TCG"] == str(two_cpus[1])
    launcher.end_by_force()


def test_a_lost_pinning_ends_the_guest_under_the_policy_fail(launch: Launch, two_cpus: tuple[int, int]) -> None:
    launcher = launch(small_manifest(), "--drift", "fail")
    launcher.wait_for("phase: running")
    os.sched_setaffinity(launcher.qemu_pid(), {two_cpus[0]})
    assert launcher.wait() == 10
    assert "drifted: emulator" in launcher.output


def test_a_guest_that_ignores_the_button_is_destroyed_after_the_grace_period(launch: Launch) -> None:
    launcher = launch(small_manifest(sector=Sector(is_deaf=True)), "--grace-period", "1.5")
    launcher.wait_for(READY)
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9
    assert "not powered off within the grace period of 1.5 s" in launcher.output


def test_a_second_signal_destroys_at_once(launch: Launch) -> None:
    launcher = launch(small_manifest(sector=Sector(is_deaf=True)))
    launcher.wait_for(READY)
    launcher.signal(signal.SIGTERM)
    launcher.wait_for(f"console .*{IGNORED}")
    # Sooner it would be the same wish (Timing.repeat_s).
    time.sleep(0.3)
    launcher.signal(signal.SIGINT)
    assert launcher.wait() == 9


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, r"QEMU died: killed by signal 9 \(SIGKILL\)"),
        (signal.SIGSEGV, r"QEMU died: killed by signal 11 \(SIGSEGV\)"),
        (signal.SIGTERM, "QEMU was told to end by a signal"),
    ],
    ids=["killed", "crashed", "terminated"],
)
def test_qemus_death_is_a_crash_and_says_how(launch: Launch, number: signal.Signals, words: str) -> None:
    launcher = launch(small_manifest())
    launcher.wait_for("phase: running")
    os.kill(launcher.qemu_pid(), number)
    assert launcher.wait() == 8
    launcher.wait_for(words)


@pytest.mark.parametrize(("option", "status"), [("poweroff", 0), ("panic", 8)])
def test_a_guest_that_ends_by_itself_says_how(launch: Launch, option: str, status: int) -> None:
    panics = manifest(cores=1, kernel_arguments="guest.exit=panic")
    vmi = small_manifest(sector=Sector(ticks=1)) if option == "poweroff" else panics
    # A kernel that panics is heard of only through a device for that, which a guest has where it is asked for.
    vmi["spec"]["domain"]["devices"]["panicDevices"] = [{}]
    launcher = launch(vmi)
    assert launcher.wait() == status, launcher.output


def test_a_guest_survives_its_launcher_and_the_next_one_adopts_it(launch: Launch) -> None:
    killed = launch(small_manifest())
    killed.wait_for(READY)
    pid = killed.qemu_pid()
    killed.signal(signal.SIGKILL)
    killed.wait()
    assert is_running(pid)
    adopter = launch(small_manifest())
    adopter.wait_for("adopted: tests_demo, running")
    adopter.wait_for("verified:")
    assert adopter.qemu_pid() == pid
    adopter.signal(signal.SIGTERM)
    assert adopter.wait() == 0


def test_a_second_launcher_over_one_root_is_refused_and_the_guest_goes_on(launch: Launch) -> None:
    first = launch(small_manifest())
    first.wait_for("phase: running")
    second = launch(small_manifest())
    assert second.wait() == 7
    second.wait_for(rf"another launcher \(pid {first.process.pid}\) works over this root")
    first.end_by_force()


def test_a_qemu_that_is_not_there_is_one_clear_line(launch: Launch, tmp_path: Path) -> None:
    template = tmp_path / "template.xml"
    template.write_text("<domain><devices><emulator>/nonexistent/qemu</emulator></devices></domain>")
    launcher = launch(manifest(), "--template", str(template))
    assert launcher.wait() == 7
    launcher.wait_for("virt-launcher: start: .*/nonexistent/qemu")
    assert "Traceback" not in launcher.output


def test_a_misspelt_element_of_the_template_is_refused_and_nothing_is_left(launch: Launch, tmp_path: Path) -> None:
    template = tmp_path / "template.xml"
    template.write_text("<domain><devices><memballoonn model='none'/></devices></domain>")
    launcher = launch(manifest(), "--template", str(template))
    assert launcher.wait() == 7
    launcher.wait_for("virt-launcher: start: .*XML document failed to validate")


def test_a_guest_that_does_not_fit_is_refused_with_the_numbers(launch: Launch) -> None:
    launcher = launch(manifest(cores=3))
    assert launcher.wait() == 5
    assert "Traceback" not in launcher.output


def test_sigterm_before_the_guest_runs_ends_the_launcher_and_leaves_nothing(launch: Launch, root: Path) -> None:
    launcher = launch(manifest())
    launcher.wait_for("cpuset:|planned:")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9
    assert list((root / "run/qemu").glob("tests_demo.*")) == []


def test_the_console_can_be_attached_to(launch: Launch, root: Path) -> None:
    launcher = launch(small_manifest())
    launcher.wait_for("phase: running")
    with socket.socket(socket.AF_UNIX) as console:
        console.connect(str(root / "run/serial0.sock"))
    launcher.end_by_force()


def test_a_clean_end_leaves_no_domain_no_socket_and_no_pid_file(launch: Launch, root: Path) -> None:
    launcher = launch(small_manifest(sector=Sector(ticks=1)))
    assert launcher.wait() == 0
    left = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*")
        if path.is_socket() or path.suffix in (".pid", ".xml")
    }
    assert {path for path in left if not path.startswith("cache/")} <= {"run/qemu/driver.pid"}


def test_the_command_line_of_qemu_is_what_render_prints(tmp_path: Path, root: Path) -> None:
    vmi = tmp_path / "vmi.yaml"
    vmi.write_text(json.dumps(manifest()))
    command = [sys.executable, "-m", "launcher", "render", str(vmi), "--root", str(root), "--virt-type", "qemu"]
    result = subprocess.run(
        [*command, "--format", "argv"], capture_output=True, text=True, check=False, env=environment_of_a_checkout()
    )
    assert result.returncode == 0, result.stderr
    assert "-name guest=tests_demo,debug-threads=on" in result.stdout
    # libvirt writes every level that QEMU knows.
    assert re.search(r"-smp 2,sockets=1,dies=1,(clusters=1,)?cores=2,threads=1\b", result.stdout), result.stdout


def test_a_guest_that_starts_paused_is_proved_and_waits_for_somebody(launch: Launch) -> None:
    vmi = small_manifest()
    vmi["spec"]["startStrategy"] = "Paused"
    launcher = launch(vmi)
    launcher.wait_for("phase: paused")
    status = json.loads(launcher.ask("status", "--format", "json"))
    conditions = {one["type"]: (one["status"], one["reason"]) for one in status["conditions"]}
    assert conditions["PinningVerified"] == ("True", "AsPlanned")
    assert conditions["Paused"] == ("True", "StartStrategy")
    assert conditions["Ready"] == ("False", "Paused")
    assert READY not in launcher.output
    launcher.ask("resume")
    launcher.wait_for(READY)
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
