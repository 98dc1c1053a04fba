"""The machine of a real guest beside its disks: what the guest itself sees of it."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.qemu.guests import Launcher, manifest

Launch = Callable[..., Launcher]

# PCI ids by vendor and device (pci.ids): virtio's of version 1.0 are 1af4:1040 and the number of the device.
WATCHDOG, E1000E, VIRTIO_VGA, XHCI, HDA = "8086:25ab", "8086:10d3", "1af4:1050", "1b36:000d", "8086:293e"
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


def test_a_guest_of_nothing_has_a_bios_and_the_channel_for_its_agent(launch: Launch) -> None:
    report = _report(launch(_vmi()))
    assert (_fact(report, "firmware"), _fact(report, "port")) == ("bios", "org.qemu.guest_agent.0")
    assert [line for line in report if line.startswith("net=")] == []
    ids = set((_fact(report, "pci") or "").split(","))
    assert ids & {VIRTIO_NET, VIRTIO_RNG, VIRTIO_BALLOON, VIRTIO_INPUT, WATCHDOG, VIRTIO_VGA, XHCI, HDA} == set()
    assert VIRTIO_CONSOLE in ids


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


def test_secure_boot_starts_nothing_that_is_not_signed(launch: Launch) -> None:
    vmi = _vmi(features={"smm": {}})
    vmi["spec"]["domain"]["firmware"] = {"bootloader": {"efi": {}}}
    launcher = launch(vmi, "--grace-period", "1")
    launcher.wait_for("console .*EFI Internal Shell.*: Security Violation")
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 9, launcher.output


def test_a_guest_has_a_tpm_of_version_2(launch: Launch) -> None:
    report = _report(launch(_vmi({"tpm": {}})))
    assert _fact(report, "tpm") == "2"


def test_the_screen_of_a_guest_can_be_looked_at_and_its_agent_spoken_to(launch: Launch, root: Path) -> None:
    vmi = _vmi({"autoattachGraphicsDevice": True})
    vmi["spec"]["domain"]["firmware"]["kernelBoot"]["kernelArgs"] = "console=ttyS0 quiet no_timer_check nohz=off"
    launcher = launch(vmi)
    launcher.wait_for("guest: ready")
    with socket.socket(socket.AF_UNIX) as screen, socket.socket(socket.AF_UNIX) as agent:
        screen.connect(str(root / "run/vnc.sock"))
        assert screen.recv(12) == b"RFB 003.008\n"
        agent.connect(str(root / "run/agent.sock"))
    launcher.signal(signal.SIGTERM)
    assert launcher.wait() == 0, launcher.output
