"""Every golden guest is a domain that libvirt's QEMU driver accepts, validated, and makes a QEMU command line of."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import libvirt
import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.domain.parts import VirtType
from launcher.domain.render import render
from launcher.hypervisor.deadline import Call
from launcher.hypervisor.libvirt_driver import start_event_loop
from launcher.hypervisor.probes import ProbeWatch
from launcher.hypervisor.root import LauncherRoot
from tests.domain.blueprints import BLUEPRINTS
from tests.qemu.known import hand_out

CHECKOUT = Path(__file__).parent.parent.parent

# What an older libvirt refuses, with a word of its refusal. Debian 12's 9.0 was built without passt.
PASST = {"passt": (9_001_000, "passt")}
# Without validation, as for a command line, an older libvirt drops the element instead of refusing it.
SHARED_IOTHREADS = {"pool-shared": (10_000_000, "failed to validate")}
ANY = (0, "")


# libvirt probes a QEMU in a few seconds, on a busy machine in several times that.
PROBE_S = 60.0


class Driver:
    """libvirt's QEMU driver inside this process."""

    def __init__(self, connection: libvirt.virConnect, root: Path) -> None:
        self._connection = connection
        self._probes = ProbeWatch(root)
        self.version = connection.getLibVersion()

    def define(self, xml: str) -> None:
        """Define the domain with validation, and forget it again."""
        domain = self._answer(lambda: self._connection.defineXMLFlags(xml, libvirt.VIR_DOMAIN_DEFINE_VALIDATE))
        domain.undefineFlags(libvirt.VIR_DOMAIN_UNDEFINE_NVRAM | libvirt.VIR_DOMAIN_UNDEFINE_TPM)

    def command_line(self, xml: str) -> str:
        """Return the QEMU command line that the domain would become."""
        return str(self._answer(lambda: self._connection.domainXMLToNative("qemu-argv", xml, 0)))

    def _answer(self, ask: Callable[[], Any]) -> Any:
        """Ask libvirt, and once more where it had no answer from a QEMU that it asked in turn."""
        probes = self._probes
        return probes.asked_again(
            lambda: Call("libvirt", ask).result(PROBE_S, meanwhile=probes.look), libvirt.libvirtError
        )


@pytest.fixture(scope="module")
def driver(capabilities: Path) -> Iterator[Driver]:
    """The embedded driver over a root of its own, with what is known of QEMU's capabilities."""
    folder = Path(tempfile.mkdtemp(prefix="vl-", dir="/tmp"))
    hand_out(capabilities, folder / "cache")
    root = LauncherRoot(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIBVIRT_LOG_OUTPUTS", f"3:file:{folder}/log/libvirt.log")
        start_event_loop()
        connection = libvirt.open(root.uri)
        yield Driver(connection, folder)
        connection.close()
    root.close()
    shutil.rmtree(folder)


def _rendered(name: str, *, with_huge_pages: bool) -> str:
    """Return the domain as it is on any machine that runs tests: without KVM, on one node, the emulator on CPU 0.

    For a command line libvirt looks for a mounted hugetlbfs, which a container has not, and libvirt 11 for the node of
    the emulator's CPUs where QEMU takes its memory at the start.
    """
    blueprint = BLUEPRINTS[name]()
    cells = tuple(replace(cell, node=0) for cell in blueprint.pinning.cells)
    memory = blueprint.guest.memory if with_huge_pages else replace(blueprint.guest.memory, huge_page_bytes=None)
    blueprint = replace(
        blueprint,
        virt_type=VirtType.QEMU,
        pinning=replace(blueprint.pinning, cells=cells, emulator=CPUSet.of((0,))),
        guest=replace(blueprint.guest, memory=memory),
    )
    return render(blueprint, (CHECKOUT / f"templates/domain/{blueprint.arch}.xml").read_bytes(), "template")


def _assert_accepted(driver: Driver, ask: Callable[[str], object], xml: str, needed: tuple[int, str]) -> None:
    version, word = needed
    if driver.version < version:
        with pytest.raises(libvirt.libvirtError, match=word):
            ask(xml)
    else:
        ask(xml)


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_domain_is_accepted(name: str, driver: Driver) -> None:
    newer = PASST | SHARED_IOTHREADS
    _assert_accepted(driver, driver.define, _rendered(name, with_huge_pages=True), newer.get(name, ANY))


@pytest.mark.parametrize("name", BLUEPRINTS)
def test_a_domain_becomes_a_command_line(name: str, driver: Driver) -> None:
    xml = _rendered(name, with_huge_pages=False)
    _assert_accepted(driver, driver.command_line, xml, PASST.get(name, ANY))


# The golden guest, and what its manifest's words have become of QEMU's: a newer one has properties for old options.
WORDS: dict[str, tuple[str | tuple[str, str], ...]] = {
    "windows": (
        '"driver":"e1000e"',
        "hv-stimer-direct=on",
        "hv-spinlocks=0x1fff",
        "kvm=off",
        ("-no-hpet", "hpet=off"),
        "driftfix=slew",
        "property=secure,value=on",
        "tpm-crb",
        '"driver":"usb-tablet"',
        '"driver":"hda-duplex"',
        "vnc=unix:",
        "-smbios",
        "sku=k-1",
    ),
    "devices": (
        '"driver":"i6300esb"',
        "-watchdog-action poweroff",
        '"driver":"virtio-rng-pci"',
        '"free-page-reporting":true',
        '"driver":"vhost-vsock-pci"',
        '"driver":"AC97"',
        '"driver":"bochs-display"',
        "hv-crash",
        ("-no-acpi", "acpi=off"),
        "kvm-pv-eoi=on",
        "kvm-pv-unhalt=on",
        "vmx=off",
        "graphics=off",
    ),
    # libvirt shows every card on a tap, whatever carries its packets.
    "networks": ('"driver":"virtio-net-pci"', '"driver":"rtl8139"'),
    "smallest": ('"name":"org.qemu.guest_agent.0"',),
    "aarch64": ("tpm-tis-device", '"driver":"virtio-gpu-pci"', "-cpu max"),
}


@pytest.mark.parametrize("name", WORDS)
def test_every_word_of_the_manifest_reaches_qemu(name: str, driver: Driver) -> None:
    command_line = driver.command_line(_rendered(name, with_huge_pages=False)).replace("'", "")
    choices = [(word,) if isinstance(word, str) else word for word in WORDS[name]]
    assert [words for words in choices if not any(word in command_line for word in words)] == [], command_line
