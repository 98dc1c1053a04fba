"""What is said of a manifest that asks for something in vain: growth, tags that no guest would read."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.vmi.guest import Disk, DiskBus, Guest, GuestCPU, GuestMemory, IOThreadDemand, SerialConsole, Topology
from launcher.vmi.guest_devices import DeviceKind, DeviceRequest
from launcher.vmi.guest_machine import Interface, InterfaceBackend
from launcher.vmi.guest_storage import CloudInit, CloudInitKind
from launcher.vmi.notices import notices_of


def _guest(max_sockets: int | None, max_guest_bytes: int | None) -> Guest:
    return Guest(
        name="guest",
        cpu=GuestCPU(topology=Topology(sockets=2), max_sockets=max_sockets),
        memory=GuestMemory(guest_bytes=1 << 30, max_guest_bytes=max_guest_bytes),
    )


def test_bounds_of_growth_are_said_to_be_without_effect() -> None:
    assert list(notices_of(_guest(8, 4 << 30))) == [
        "spec.domain.cpu.maxSockets: 8: no socket is added to a running guest; it has 2 until its next start",
        "spec.domain.memory.maxGuest: 4Gi: no memory is added to a running guest; it has 1Gi until its next start",
    ]


def test_a_guest_that_has_all_that_it_may_have_is_told_nothing() -> None:
    assert list(notices_of(_guest(None, None))) == []


def test_cells_without_huge_pages_are_said_to_be_more_than_kubevirt_takes() -> None:
    guest = _guest(None, None)
    bound = replace(guest, cpu=replace(guest.cpu, dedicated=True, numa_passthrough=True))
    (notice,) = notices_of(bound)
    assert notice == (
        "spec.domain.cpu.numa.guestMappingPassthrough: without spec.domain.memory.hugepages, which KubeVirt wants with "
        "it: each cell is bound to its node in ordinary pages, all of them taken at the start"
    )
    huge = replace(bound, memory=replace(guest.memory, huge_page_bytes=2 << 20))
    assert list(notices_of(huge)) == []


def test_what_has_nothing_to_act_on_is_told() -> None:
    guest = replace(
        _guest(None, None),
        serial=SerialConsole(attached=False, logged=True),
        io_threads=IOThreadDemand(has_spare_count=True),
        memory=GuestMemory(guest_bytes=1 << 30, lower_limit_bytes=1 << 29),
    )
    count, policy = "spec.domain.ioThreads.supplementalPoolThreadCount", "spec.domain.ioThreadsPolicy"
    assert list(notices_of(guest)) == [
        "spec.domain.devices.logSerialConsole: without effect: autoattachSerialConsole is false",
        f"{count}: without effect unless {policy} is supplementalPool",
        (
            "spec.domain.memory.guest: is more than spec.domain.resources.limits.memory, 512Mi: a guest that uses it "
            "all is ended by the kernel for want of memory"
        ),
    ]


def test_memory_that_nobody_may_lock_is_told() -> None:
    guest = _guest(None, None)
    told = (
        "spec.domain.memory.reservedOverhead.memLock: without effect: no limit is raised without privilege; the node's "
        "container runtime says what the Pod may lock (RLIMIT_MEMLOCK)"
    )
    assert list(notices_of(replace(guest, memory=replace(guest.memory, is_lock_wanted=True)))) == [told]


@pytest.mark.parametrize(("text", "is_told"), [("", False), ('{"ignition": {}}', False), ("{}", True)])
def test_data_that_ignition_is_not_given_is_told(text: str, *, is_told: bool) -> None:
    told = (
        "metadata.annotations['kubevirt.io/ignitiondata']: without the word ignition the guest is given nothing, as by "
        "KubeVirt"
    )
    assert list(notices_of(replace(_guest(None, None), ignition=text))) == [told] * is_told


def test_a_serial_of_which_the_guest_sees_a_part_is_told() -> None:
    disks = tuple(Disk(name=bus, bus=bus, serial="x" * 21) for bus in (DiskBus.VIRTIO, DiskBus.SATA, DiskBus.SCSI))
    assert list(notices_of(replace(_guest(None, None), disks=disks))) == [
        f"spec.domain.devices.disks[{bus}].serial: a {bus} disk tells its guest the first 20 characters of it"
        for bus in ("virtio", "sata")
    ]


def test_changes_that_nobody_asks_for_are_told() -> None:
    disks = (Disk(name="a", is_tracked=True), Disk(name="b"))
    assert list(notices_of(replace(_guest(None, None), disks=disks))) == [
        "spec.domain.devices.disks[a].changedBlockTracking: without effect: nobody makes backups here"
    ]


def _tagged(*disks: Disk) -> Guest:
    card = Interface(name="front", backend=InterfaceBackend.POD, tag="web")
    plain = Interface(name="back", backend=InterfaceBackend.POD)
    device = DeviceRequest(kind=DeviceKind.GPU, index=0, name="g", resource="example.com/gpu", tag="card")
    guest = _guest(None, None)
    peripherals = replace(guest.peripherals, interfaces=(card, plain))
    return replace(guest, peripherals=peripherals, host_devices=(device,), disks=disks)


def _seed(kind: CloudInitKind) -> Disk:
    return Disk(name="seed", volume=CloudInit(kind=kind, user_data=b"x"))


@pytest.mark.parametrize("disks", [(), (_seed(CloudInitKind.NO_CLOUD),)], ids=["no disc", "a disc of NoCloud"])
def test_tags_without_a_config_drive_are_said_to_be_without_a_reader(disks: tuple[Disk, ...]) -> None:
    assert list(notices_of(_tagged(*disks))) == [
        "spec.domain.devices.interfaces[front].tag: the guest has no cloudInitConfigDrive, on which it would read it",
        "spec.domain.devices.gpus[g].tag: the guest has no cloudInitConfigDrive, on which it would read it",
    ]


def _of_card(**particulars: object) -> list[str]:
    card = Interface(name="front", **particulars)  # type: ignore[arg-type]  # a row's own words
    guest = _guest(None, None)
    return list(notices_of(replace(guest, peripherals=replace(guest.peripherals, interfaces=(card,)))))


@pytest.mark.parametrize("backend", [InterfaceBackend.POD, InterfaceBackend.SLIRP, InterfaceBackend.PASST])
def test_queues_that_user_networking_has_not_are_told(backend: InterfaceBackend) -> None:
    assert _of_card(backend=backend, queues=4) == [
        (
            "spec.domain.devices.networkInterfaceMultiqueue: without effect on front: user networking has one queue; "
            "a multus network whose device is a tap has as many as there are vCPUs"
        )
    ]
    assert _of_card(backend=backend) == []


def test_queues_of_a_tap_are_had() -> None:
    assert _of_card(backend=InterfaceBackend.TAP, queues=4) == []


def test_options_that_no_dhcp_server_gives_are_told() -> None:
    assert _of_card(backend=InterfaceBackend.POD, wants_options=True) == [
        (
            "spec.domain.devices.interfaces[front].dhcpOptions: without effect: the DHCP server here is QEMU's or "
            "passt's, and takes none"
        )
    ]


def test_a_bridge_that_is_not_had_is_told() -> None:
    (notice,) = _of_card(backend=InterfaceBackend.POD, is_l2_bridge=True)
    assert notice == (
        "spec.domain.devices.interfaces[front].binding.name: l2bridge: the guest is behind the Pod's address, not on "
        "its network with an address of its own; a multus network with a tap puts it there"
    )


def test_tags_beside_a_config_drive_are_read_there() -> None:
    assert list(notices_of(_tagged(_seed(CloudInitKind.CONFIG_DRIVE)))) == []
