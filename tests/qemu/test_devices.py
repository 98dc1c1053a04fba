"""The machine of a real guest beside its disks: what the guest itself sees of it."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.boot_sector import READY, Sector
from tests.processes import daemons_of
from tests.qemu.efi_disk import write_efi_disk
from tests.qemu.guests import CHECKOUT, Launcher, manifest, small_manifest
from tests.qemu.screen import read_picture

Launch = Callable[..., Launcher]

# PCI ids by vendor and device (pci.ids): virtio's of version 1.0 are 1af4:1040 and the number of the device.
WATCHDOG, E1000E, VIRTIO_VGA, XHCI, HDA = "8086:25ab", "8086:10d3", "1af4:1050", "1b36:000d", "8086:293e"
VGA = "1234:1111"
VIRTIO_NET, VIRTIO_CONSOLE, VIRTIO_RNG, VIRTIO_BALLOON, VIRTIO_INPUT = (
    f"1af4:{0x1040 + device:04x}" for device in (1, 3, 4, 5, 18)
)


def _vmi(devices: dict[str, Any] | None = None, **domain: object) -> dict[str, Any]:
    """Return the manifest of a demo guest with these devices, which ends by itself."""
    vmi = manifest(cores=1, kernel_arguments="guest.exit=poweroff")
    vmi["spec"]["domain"]["devices"] |= devices or {}
    for name, value in domain.items():
        vmi["spec"]["domain"][name] = vmi["spec"]["domain"].get(name, {}) | value
    return vmi


def _report(launcher: Launcher) -> list[str]:
    """Return what the guest said of itself, once it has ended."""
    assert launcher.wait() == 0, launcher.output
    return [line.partition("guest: ")[2] for line in launcher.lines if "guest: " in line]


def _fact(report: list[str], name: str) -> str | None:
    return next((line.partition("=")[2] for line in report if line.startswith(f"{name}=")), None)


_DECLINED = {f"autoattach{name}": False for name in ("PodInterface", "GraphicsDevice", "MemBalloon")}


def test_a_guest_that_declines_everything_has_a_bios_and_the_channel_for_its_agent(launch: Launch) -> None:
    report = _report(launch(_vmi(_DECLINED)))
    assert (_fact(report, "firmware"), _fact(report, "port")) == ("bios", "org.qemu.guest_agent.0")
    assert [line for line in report if line.startswith("net=")] == []
    ids = set((_fact(report, "pci") or "").split(","))
    assert ids & {VIRTIO_NET, VIRTIO_RNG, VIRTIO_BALLOON, VIRTIO_INPUT, WATCHDOG, VIRTIO_VGA, XHCI, HDA} == set()
    assert VIRTIO_CONSOLE in ids


def test_a_guest_of_which_nothing_is_said_has_what_kubevirt_gives(launch: Launch) -> None:
    report = _report(launch(_vmi()))
    ids = set((_fact(report, "pci") or "").split(","))
    assert ids & {VIRTIO_NET, VIRTIO_BALLOON, VGA} == {VIRTIO_NET, VIRTIO_BALLOON, VGA}
    assert ids & {VIRTIO_RNG, VIRTIO_INPUT, WATCHDOG, XHCI, HDA} == set()


def test_a_guest_sees_its_cards_with_their_macs_and_models(launch: Launch) -> None:
    vmi = _vmi(
        {
            "interfaces": [
                {"name": "first", "slirp": {}, "macAddress": "52-54-00-AA-BB-01", "acpiIndex": 4},
                {"name": "second", "slirp": {}, "macAddress": "52:54:00:aa:bb:02", "model": "e1000e"},
            ]
        }
    )
    vmi["spec"]["networks"] = [{"name": "first", "pod": {}}, {"name": "second", "pod": {}}]
    report = _report(launch(vmi))
    # The demo guest has a driver for virtio alone.
    assert [line for line in report if line.startswith("net=")] == ["net=eth0 mac=52:54:00:aa:bb:01"]
    assert {VIRTIO_NET, E1000E} <= set((_fact(report, "pci") or "").split(","))


def test_a_guest_sees_the_devices_that_it_asked_for(launch: Launch) -> None:
    devices: dict[str, Any] = {
        "rng": {},
        "watchdog": {"name": "dog", "i6300esb": {"action": "reset"}},
        "autoattachMemBalloon": True,
        "autoattachGraphicsDevice": True,
        "video": {"type": "virtio"},
        "sound": {"name": "sound"},
        "inputs": [{"name": "usb"}, {"name": "virtio", "bus": "virtio"}],
    }
    vmi = _vmi(devices, firmware={"serial": 'S/N 42, "x" <&>'}, chassis={"asset": "asset-7"})
    report = _report(launch(vmi))
    ids = set((_fact(report, "pci") or "").split(","))
    assert {VIRTIO_RNG, VIRTIO_BALLOON, VIRTIO_INPUT, WATCHDOG, VIRTIO_VGA, XHCI, HDA} <= ids
    assert (_fact(report, "rng"), _fact(report, "chassis")) == ("virtio_rng.0", "asset-7")
    assert _fact(report, "serial") == 'S/N 42, "x" <&>'


def test_a_guest_boots_by_uefi(launch: Launch) -> None:
    firmware = {"bootloader": {"efi": {"secureBoot": False}}}
    report = _report(launch(_vmi(firmware=firmware)))
    assert (_fact(report, "firmware"), _fact(report, "port")) == ("efi", "org.qemu.guest_agent.0")


def _with_program(folder: Path, **efi: bool) -> dict[str, Any]:
    """Return the manifest of a guest with a disk that UEFI boots from: the demo's kernel, which it does not trust."""
    write_efi_disk(folder / "efi.img", (CHECKOUT / ".cache/guest/vmlinuz").read_bytes())
    vmi = _vmi(features={"smm": {}})
    vmi["spec"]["domain"]["firmware"] = {"bootloader": {"efi": efi}}
    vmi["spec"]["domain"]["devices"]["disks"] = [{"name": "efi", "disk": {"bus": "virtio"}, "bootOrder": 1}]
    vmi["spec"]["volumes"] = [{"name": "efi", "hostDisk": {"path": str(folder / "efi.img"), "type": "Disk"}}]
    return vmi


@pytest.mark.parametrize(
    ("efi", "said"),
    [
        pytest.param(
            {}, "console .*failed to (load|start) Boot0001 .*: (Access Denied|Security Violation)", id="secure"
        ),
        pytest.param({"secureBoot": False}, "console .*BdsDxe: starting Boot0001 ", id="not secure"),
    ],
)
def test_secure_boot_starts_nothing_that_is_not_signed(
    launch: Launch, tmp_path: Path, efi: dict[str, bool], said: str
) -> None:
    launcher = launch(_with_program(tmp_path, **efi), "--grace-period", "1")
    launcher.wait_for(said)
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output
    assert bool(efi) == any("BdsDxe: starting Boot0001 " in line for line in launcher.lines)


def test_a_guest_has_a_tpm_of_version_2_which_runs_beside_its_vcpu(
    launch: Launch, root: Path, two_cpus: tuple[int, int]
) -> None:
    launcher = launch(_vmi({"tpm": {}}))
    launcher.wait_for("phase: running")
    assert [os.sched_getaffinity(pid) for pid in daemons_of(root, "swtpm")] == [{two_cpus[1]}]
    assert _fact(_report(launcher), "tpm") == "2"


@pytest.mark.parametrize(("persistent", "resets"), [(True, ["2", "3"]), (False, ["2", "2"])])
def test_a_tpm_keeps_its_state_over_two_lives_where_it_is_to(
    launch: Launch, *, persistent: bool, resets: list[str]
) -> None:
    # swtpm's own set-up is the first reset.
    vmi = _vmi({"tpm": {"persistent": persistent}})
    assert [_fact(_report(launch(vmi)), "tpm_resets") for _life in range(2)] == resets


def test_the_screen_of_a_guest_shows_a_picture_and_its_agent_is_spoken_to(
    launch: Launch, root: Path, tmp_path: Path
) -> None:
    vmi = _vmi({"autoattachGraphicsDevice": True})
    # Without "quiet" and with a console on the screen, the kernel writes there what it does.
    vmi["spec"]["domain"]["firmware"]["kernelBoot"]["kernelArgs"] = "console=tty0 console=ttyS0 no_timer_check nohz=off"
    launcher = launch(vmi)
    launcher.wait_for("guest: ready")
    with socket.socket(socket.AF_UNIX) as screen, socket.socket(socket.AF_UNIX) as agent:
        screen.connect(str(root / "run/vnc.sock"))
        screen.settimeout(60)
        picture = read_picture(screen)
        agent.connect(str(root / "run/agent.sock"))
    picture.write_png(tmp_path / "screen.png")
    assert (picture.width, picture.height) == (720, 400)
    # Text of the firmware and the kernel: letters of at least one colour on black, in rows of sixteen lines each.
    assert len(picture.colours) >= 2
    assert picture.lit_rows() >= 16
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output


def test_a_guest_that_is_to_end_at_a_reboot_ends(launch: Launch) -> None:
    vmi = small_manifest(cores=1, sector=Sector(ticks=1, resets=True))
    vmi["spec"]["domain"]["rebootPolicy"] = "Terminate"
    launcher = launch(vmi)
    assert launcher.wait() == 0, launcher.output
    assert sum(READY in line for line in launcher.lines) <= 1


def _licence() -> bytes:
    """Return an ACPI table SLIC: the header of 36 bytes with its length and checksum, and a licence."""
    table = bytearray(b"SLIC" + (376).to_bytes(4, "little") + b"\x01\x00" + b"ACME  ACMETABL" + bytes(12) + bytes(340))
    table[9] = -sum(table) % 256
    return bytes(table)


def test_a_guest_finds_ignitions_data_and_a_licence_in_its_firmware(launch: Launch, tmp_path: Path, root: Path) -> None:
    data = '{"ignition": {"version": "3.4.0"}, "passwd": "a,b=\\"c\\" <d> & \'e\'"}'
    (tmp_path / "secret/lic").mkdir(parents=True)
    (tmp_path / "secret/lic/slic.bin").write_bytes(_licence())
    vmi = _vmi(firmware={"acpi": {"slicNameRef": "lic"}})
    vmi["metadata"]["annotations"] = {"kubevirt.io/ignitiondata": data}
    vmi["spec"]["volumes"] = [{"name": "lic", "secret": {"secretName": "s"}}]
    report = _report(launch(vmi, "--volumes", str(tmp_path)))
    assert _fact(report, "fw_cfg") == f"opt/com.coreos/config md5={_md5(data.encode())}"
    assert _fact(report, "acpi") == f"SLIC md5={_md5(_licence())}"
    assert not (root / "storage").exists()


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def test_a_guest_has_slots_for_usb_devices_of_another_machine(launch: Launch, root: Path) -> None:
    launcher = launch(_vmi({"clientPassthrough": {}}))
    launcher.wait_for("phase: running")
    for slot in range(4):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(root / f"run/usbredir{slot}.sock"))
            # A greeting of usbredir's: a packet of type 0 (usb_redir_hello), whose text begins with who sent it.
            hello = client.recv(80)
            assert (hello[:4], b"qemu" in hello) == (bytes(4), True)
    assert XHCI in (_fact(_report(launcher), "pci") or "")
    assert list((root / "run").glob("usbredir*")) == []
