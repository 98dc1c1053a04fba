"""A guest behind a libvirtd of our own: run to its end, and through the death of libvirtd."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
from functools import partial
from pathlib import Path
from time import sleep

import pytest

from tests.e2e.boot_sector import POWERED_OFF, READY, Sector
from tests.faults.conftest import Launch
from tests.faults.ends import destroy, lines_of
from tests.faults.places import Cpuset, wait_until
from tests.faults.test_disks import speak
from tests.faults.test_exchanged_files import exchanged, open_in, runs_or_is_refused, with_claim
from tests.libvirt.daemon import PrivateLibvirtd
from tests.processes import allowed_by_name, is_running, threads_by_name
from tests.qemu.guests import manifest, small_manifest


def virsh(daemon: PrivateLibvirtd, *arguments: str) -> str:
    command = ["virsh", "--quiet", "--connect", daemon.uri, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def test_a_pinned_guest_runs_to_its_end(launch: Launch, daemon: PrivateLibvirtd, two_cpus: tuple[int, int]) -> None:
    launcher = launch(small_manifest())
    launcher.wait_for(f"console .*{READY}")
    threads = allowed_by_name(daemon.qemu_pid())
    assert (threads["CPU 0/TCG"], threads["CPU 1/TCG"]) == tuple(map(str, two_cpus))
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
    launcher.wait_for(f"console .*{POWERED_OFF}")


def test_a_guest_outlives_its_libvirtd_and_is_ended_in_order_by_the_next(
    launch: Launch, daemon: PrivateLibvirtd, two_cpus: tuple[int, int]
) -> None:
    launcher = launch(small_manifest())
    launcher.wait_for(READY)
    pid = daemon.qemu_pid()
    daemon.kill()
    launcher.wait_for("connection lost: .*; the guest goes on")
    tid = threads_by_name(pid)["CPU 1/TCG"]
    os.sched_setaffinity(tid, {two_cpus[0]})
    wait_until(lambda: os.sched_getaffinity(tid) == {two_cpus[1]}, "a thread is put right without libvirtd")
    verified = len(lines_of(launcher, "verified:"))
    daemon.start()
    wait_until(lambda: len(lines_of(launcher, "verified:")) > verified, "the guest is proved again")
    assert daemon.qemu_pid() == pid
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
    assert len(lines_of(launcher, "connection lost")) == 1
    assert len(lines_of(launcher, "asked: reconnect")) == 1


def test_qemus_end_is_seen_without_libvirtd(launch: Launch, daemon: PrivateLibvirtd) -> None:
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("phase: running")
    pid = daemon.qemu_pid()
    daemon.kill()
    launcher.wait_for("connection lost")
    os.kill(pid, signal.SIGKILL)
    assert launcher.wait() == 8, launcher.output
    daemon.start()


def test_a_guest_is_ended_when_the_grace_period_is_over_without_libvirtd(
    launch: Launch, daemon: PrivateLibvirtd
) -> None:
    launcher = launch(small_manifest(cores=1), "--grace-period", "1")
    launcher.wait_for("phase: running")
    pid = daemon.qemu_pid()
    daemon.kill()
    launcher.wait_for("connection lost")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output
    assert not is_running(pid)
    daemon.start()


def test_libvirtd_killed_again_and_again_is_found_again_each_time(launch: Launch, daemon: PrivateLibvirtd) -> None:
    launcher = launch(small_manifest(cores=1))
    launcher.wait_for("phase: running")
    pid = daemon.qemu_pid()
    for time in range(1, 4):
        daemon.kill()
        wait_until(lambda: len(lines_of(launcher, "connection lost")) == time, "the loss is told")  # noqa: B023
        daemon.start()
        wait_until(lambda: len(lines_of(launcher, "verified:")) > time, "the guest is proved again")  # noqa: B023
    assert daemon.qemu_pid() == pid
    assert destroy(launcher) in (0, 9)


def test_a_launcher_killed_is_taken_over_from_behind_a_libvirtd_too(launch: Launch, daemon: PrivateLibvirtd) -> None:
    killed = launch(small_manifest(cores=1))
    killed.kill_once_running()
    pid = daemon.qemu_pid()
    adopter = launch(small_manifest(cores=1))
    adopter.wait_for("adopted: tests_demo, running")
    adopter.wait_for("verified:")
    assert daemon.qemu_pid() == pid
    assert destroy(adopter) == 9


def test_a_guest_behind_a_libvirtd_finds_ignitions_data_and_its_next_launcher_takes_it_away(
    launch: Launch, daemon: PrivateLibvirtd, root: Path
) -> None:
    data = '{"ignition": {"version": "3.4.0"}, "passwd": "a,b"}'
    vmi = manifest(cores=1, kernel_arguments="guest.exit=poweroff")
    vmi["metadata"]["annotations"] = {"kubevirt.io/ignitiondata": data}
    killed = launch(vmi)
    killed.kill_once_running()
    adopter = launch(vmi)
    adopter.wait_for("adopted: tests_demo, running")
    digest = hashlib.md5(data.encode(), usedforsecurity=False).hexdigest()
    adopter.wait_for(f"guest: fw_cfg=opt/com.coreos/config md5={digest}")
    assert adopter.wait() == 0, adopter.output
    assert not (root / "storage").exists()


def let_the_dog_bite(daemon: PrivateLibvirtd) -> None:
    """Have the watchdog fire 2 s later, as it does in a guest that started it and then hung.

    Its registers are written past the guest, which stands still meanwhile: the quick clock, then the start (QEMU's
    hw/watchdog/wdt_i6300esb.c), through the ports for the PCI configuration.
    """
    found = re.search(r"Bus +(\d+), device +(\d+), function 0:\s.*PCI device 8086:25ab", daemon.on_monitor("info pci"))
    assert found is not None
    card = 1 << 31 | int(found[1]) << 16 | int(found[2]) << 11
    for register, size, value in ((0x60, "h", 4), (0x68, "b", 2)):
        daemon.on_monitor(f"o/w 0xcf8 {card | register:#x}")
        daemon.on_monitor(f"o/{size} 0xcfc {value}")


@pytest.mark.parametrize(
    ("action", "status", "end"),
    [
        ("reset", 9, "rebooted: the guest has reset itself"),
        ("poweroff", 8, r"ended: the guest's watchdog fired \(poweroff\) \(exit status 8\)"),
    ],
    ids=["reset", "poweroff"],
)
def test_a_watchdog_that_fires_is_told_and_does_what_it_is_for(
    launch: Launch, daemon: PrivateLibvirtd, action: str, status: int, end: str
) -> None:
    vmi = small_manifest(cores=1, sector=Sector(is_deaf=True))
    vmi["spec"]["domain"]["devices"]["watchdog"] = {"name": "dog", "i6300esb": {"action": action}}
    launcher = launch(vmi)
    launcher.wait_for(READY)
    assert speak(launcher.root, "pause").returncode == 0
    launcher.wait_for("phase: paused")
    let_the_dog_bite(daemon)
    assert speak(launcher.root, "resume").returncode == 0
    launcher.wait_for(rf"ailing: the guest's watchdog fired \({action}\)")
    launcher.wait_for(end)
    assert (destroy(launcher) if action == "reset" else launcher.wait()) == status, launcher.output


def test_a_libvirtd_that_does_not_answer_keeps_no_launcher_from_ending(launch: Launch, daemon: PrivateLibvirtd) -> None:
    with daemon.stopped():
        launcher = launch(manifest(cores=1), "--verbose")
        # It waits for the connection, then for the manifest.
        launcher.wait_for("opening: ")
        launcher.signal(signal.SIGTERM)
        assert launcher.wait() == 9, launcher.output
    assert (
        launcher.lines[-1]
        == f"virt-launcher: stopped before the guest ran: open {daemon.uri} had no answer within 10 s more"
    )


def test_a_guest_is_ended_when_the_grace_period_is_over_and_libvirtd_does_not_answer(
    launch: Launch, daemon: PrivateLibvirtd
) -> None:
    launcher = launch(small_manifest(cores=1), "--grace-period", "1")
    launcher.wait_for("phase: running")
    pid = daemon.qemu_pid()
    with daemon.stopped():
        launcher.signal(signal.SIGTERM)
        assert launcher.wait() == 9, launcher.output
    assert not is_running(pid)
    assert "not powered off within the grace period of 1 s" in launcher.output


def test_another_manifest_over_a_root_whose_guest_still_runs_behind_a_libvirtd_is_refused_too(
    launch: Launch, daemon: PrivateLibvirtd
) -> None:
    killed = launch(small_manifest(cores=1))
    killed.kill_once_running()
    vmi = small_manifest(cores=1)
    vmi["metadata"]["name"] = "other"
    other = launch(vmi)
    assert other.wait() == 7, other.output
    assert "domain tests_demo, of an earlier launcher, runs over this root" in other.lines[-1]
    adopter = launch(small_manifest(cores=1))
    adopter.wait_for("adopted: tests_demo, running")
    assert destroy(adopter) == 9


def test_a_libvirtd_that_is_not_there_is_one_clear_line(launch: Launch, daemon: PrivateLibvirtd) -> None:
    daemon.kill()
    launcher = launch(manifest(cores=1))
    assert launcher.wait() == 7, launcher.output
    assert launcher.lines[-1].startswith(f"virt-launcher: open {daemon.uri}: ")
    assert "Traceback" not in launcher.output
    daemon.start()


def test_a_manifest_at_fault_is_told_where_libvirtd_is_not_there_either(
    launch: Launch, daemon: PrivateLibvirtd
) -> None:
    daemon.kill()
    launcher = launch(manifest(cores=-1))
    assert launcher.wait() == 3, launcher.output
    assert launcher.lines[-1].endswith("spec.domain.cpu.cores: -1 is not a positive integer")
    daemon.start()


def test_a_libvirtd_that_goes_while_the_launcher_waits_for_cpus_is_no_wish_to_stop(
    launch: Launch, daemon: PrivateLibvirtd, cpuset: Cpuset, two_cpus: tuple[int, int]
) -> None:
    cpuset.allow(two_cpus[0])
    launcher = launch(manifest(cores=2), "--settle-timeout", "60", prefix=cpuset.prefix)
    launcher.wait_for(f"cpuset: {two_cpus[0]}, read from ")
    daemon.kill()
    # So long it looks at the cpuset some times more.
    sleep(1)
    cpuset.allow(*two_cpus)
    assert launcher.wait() == 7, launcher.output
    assert launcher.lines[-1].endswith(f": the connection to {daemon.uri} is lost: the daemon is gone")
    assert "Traceback" not in launcher.output
    daemon.start()


def test_a_claims_image_is_handed_to_a_daemons_qemu_open(
    launch: Launch, daemon: PrivateLibvirtd, tmp_path: Path
) -> None:
    image, secret = tmp_path / "volumes/vmi-disks/data/disk.img", tmp_path / "secret"
    image.parent.mkdir(parents=True)
    image.write_bytes(bytes(1 << 20))
    secret.write_bytes(b"secret" * 100_000)
    with exchanged(image, secret):
        for _time in range(4):
            launcher = launch(with_claim("persistentVolumeClaim"), "--volumes", str(tmp_path / "volumes"))
            wait_until(partial(runs_or_is_refused, launcher), "it runs or is refused")
            if launcher.process.poll() is None:
                assert str(secret) not in open_in(daemon.qemu_pid()), launcher.output
                assert destroy(launcher) in (0, 9)
            else:
                assert launcher.wait() in (3, 7), launcher.output
    image.unlink(missing_ok=True)
    image.write_bytes(bytes(1 << 20))
    launcher = launch(with_claim("persistentVolumeClaim"), "--volumes", str(tmp_path / "volumes"))
    launcher.wait_for("phase: running")
    image.rename(tmp_path / "moved.img")
    assert str(tmp_path / "moved.img") in open_in(daemon.qemu_pid())
    assert destroy(launcher) in (0, 9)


def test_a_domain_that_somebody_else_has_defined_is_not_undefined(
    launch: Launch, daemon: PrivateLibvirtd, tmp_path: Path
) -> None:
    disk = tmp_path / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    definition = tmp_path / "domain.xml"
    definition.write_text(
        "<domain type='qemu'><name>tests_demo</name><memory>65536</memory><os><type>hvm</type></os></domain>"
    )
    virsh(daemon, "define", str(definition))
    launcher = launch(manifest(cores=1, disks=(disk,)))
    assert launcher.wait() == 7, launcher.output
    assert "domain tests_demo is defined already, and was not defined by virt-launcher" in launcher.lines[-1]
    assert "tests_demo" in virsh(daemon, "list", "--all", "--name")
    virsh(daemon, "undefine", "tests_demo")
