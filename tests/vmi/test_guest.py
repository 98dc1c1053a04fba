"""The guest that a manifest asks for: sizes from their several places, defaults, the examples, and machines."""

from __future__ import annotations

from pathlib import Path

import pytest

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.guest import (
    Disk,
    DiskBus,
    DiskDevice,
    Guest,
    GuestCPU,
    GuestMemory,
    IOThreadDemand,
    IOThreadsPolicy,
    KernelBoot,
    SerialConsole,
    Topology,
)
from launcher.vmi.guest_machine import (
    Balloon,
    Board,
    CPUFeature,
    FeaturePolicy,
    Interface,
    InterfaceBackend,
    Peripherals,
    Video,
    VideoModel,
)
from launcher.vmi.guest_storage import Claim, CloudInit, CloudInitKind
from launcher.vmi.load import admitted, load_guest
from launcher.vmi.manifest import Document, Value
from tests.vmi.manifests import ABSENT, EXAMPLES, Changes, document, machine

CPU = "spec.domain.cpu"
LIMITS = "spec.domain.resources.limits"
REQUESTS = "spec.domain.resources.requests"
MEMORY = "spec.domain.memory"
DISKS = "spec.domain.devices.disks"
NO_MEMORY: Changes = {f"{MEMORY}.guest": ABSENT}
GIB = 2**30
# uuid5 of the name "guest" by KubeVirt's old rule, made by Python's own uuid module.
UUID = "cf689bc3-d2d8-5754-a86f-7e707afacfc2"
# What KubeVirt gives a guest of which nothing is said, and one whose memory is its own.
CARD = Interface(name="default", backend=InterfaceBackend.POD)
SCREEN = Video(model=VideoModel.VGA, memory_kib=16384)
USUAL = Peripherals(interfaces=(CARD,), balloon=Balloon(reports_free_pages=True), video=SCREEN)
OWNER = Peripherals(interfaces=(CARD,), balloon=Balloon(), video=SCREEN)
NO_MPX = (CPUFeature(name="mpx", policy=FeaturePolicy.DISABLE),)

TOPOLOGIES: list[tuple[str, Changes, Topology]] = [
    ("nothing_is_one_vcpu", {}, Topology()),
    ("zero_counts_as_one", {f"{CPU}.cores": 4, f"{CPU}.sockets": 0}, Topology(cores=4)),
    ("only_threads", {f"{CPU}.threads": 2}, Topology(threads=2)),
    ("all_three", {CPU: {"sockets": 2, "cores": 3, "threads": 4}}, Topology(sockets=2, cores=3, threads=4)),
    ("limits_become_sockets", {f"{LIMITS}.cpu": 4}, Topology(sockets=4)),
    ("limits_are_rounded_up", {f"{LIMITS}.cpu": "1001m"}, Topology(sockets=2)),
    ("requests_become_sockets", {f"{REQUESTS}.cpu": "2500m"}, Topology(sockets=3)),
    ("limits_come_before_requests", {f"{REQUESTS}.cpu": 1, f"{LIMITS}.cpu": 2}, Topology(sockets=2)),
    ("limits_of_0_are_none", {f"{REQUESTS}.cpu": 3, f"{LIMITS}.cpu": 0}, Topology(sockets=3)),
    ("the_topology_comes_before_limits", {f"{CPU}.cores": 2, f"{LIMITS}.cpu": 8}, Topology(cores=2)),
]

# What IOThreads are counted by: requests.cpu, else limits.cpu, else one CPU.
CPU_COUNTS: list[tuple[str, Changes, int]] = [
    ("one_cpu", {f"{CPU}.cores": 6}, 1),
    ("the_limits", {f"{CPU}.cores": 6, f"{LIMITS}.cpu": "2500m"}, 3),
    ("the_requests_first", {f"{CPU}.cores": 6, f"{LIMITS}.cpu": 4, f"{REQUESTS}.cpu": "100m"}, 1),
]

MEMORIES: list[tuple[str, Changes, GuestMemory]] = [
    ("the_guests", {f"{MEMORY}.guest": "2Gi", f"{LIMITS}.memory": "4Gi"}, GuestMemory(guest_bytes=2 * GIB)),
    (
        "else_the_request",
        {**NO_MEMORY, f"{LIMITS}.memory": "4G", f"{REQUESTS}.memory": "2G"},
        GuestMemory(guest_bytes=2 * 10**9),
    ),
    ("else_the_limit", {**NO_MEMORY, f"{LIMITS}.memory": GIB}, GuestMemory(guest_bytes=GIB)),
    (
        "a_request_of_0_is_none",
        {**NO_MEMORY, f"{REQUESTS}.memory": 0, f"{LIMITS}.memory": GIB},
        GuestMemory(guest_bytes=GIB),
    ),
    (
        "else_one_huge_page",
        {**NO_MEMORY, f"{MEMORY}.hugepages": {"pageSize": "1Gi"}},
        GuestMemory(guest_bytes=GIB, huge_page_bytes=GIB),
    ),
    ("a_fraction_of_a_byte_is_one", {f"{MEMORY}.guest": "1000000.5"}, GuestMemory(guest_bytes=1_000_001)),
    (
        "in_huge_pages",
        {f"{MEMORY}.hugepages": {"pageSize": "2Mi"}},
        GuestMemory(guest_bytes=GIB, huge_page_bytes=2**21),
    ),
]

CONSOLES: list[tuple[str, Changes, SerialConsole]] = [
    ("attached_and_logged", {}, SerialConsole(attached=True, logged=True)),
    (
        "not_logged",
        {"spec.domain.devices.logSerialConsole": False},
        SerialConsole(attached=True, logged=False),
    ),
    (
        "not_attached_is_not_logged",
        {"spec.domain.devices.autoattachSerialConsole": False},
        SerialConsole(attached=False, logged=False),
    ),
]

# (sentence, disk of the manifest, architecture, its bus, its device)
BUSES: list[tuple[str, Changes, str, DiskBus, DiskDevice]] = [
    ("the_one_that_is_set", {"disk": {"bus": "scsi"}}, "x86_64", DiskBus.SCSI, DiskDevice.DISK),
    ("sata", {"disk": {}}, "x86_64", DiskBus.SATA, DiskDevice.DISK),
    ("sata_for_a_disk_without_target", {}, "x86_64", DiskBus.SATA, DiskDevice.DISK),
    ("sata_for_a_cd_rom", {"cdrom": {}}, "x86_64", DiskBus.SATA, DiskDevice.CDROM),
    ("virtio_on_arm64", {"disk": {}}, "aarch64", DiskBus.VIRTIO, DiskDevice.DISK),
    ("scsi_for_a_cd_rom_on_arm64", {"cdrom": {}}, "aarch64", DiskBus.SCSI, DiskDevice.CDROM),
]


def _guest(changes: Changes, arch: str = "x86_64") -> Guest:
    return admitted(document(changes), arch=arch).guest


def _disk(name: str, path: str) -> Disk:
    return Disk(name=name, path=path)


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in TOPOLOGIES], ids=[row[0] for row in TOPOLOGIES])
def test_the_topology_comes_from(changes: Changes, expected: Topology) -> None:
    assert _guest(changes).cpu.topology == expected


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in CPU_COUNTS], ids=[row[0] for row in CPU_COUNTS])
def test_iothreads_are_counted_by(changes: Changes, expected: int) -> None:
    assert _guest(changes).io_threads == IOThreadDemand(cpu_count=expected)


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in MEMORIES], ids=[row[0] for row in MEMORIES])
def test_the_memory_is(changes: Changes, expected: GuestMemory) -> None:
    assert _guest(changes).memory == expected


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in CONSOLES], ids=[row[0] for row in CONSOLES])
def test_the_console_is(changes: Changes, expected: SerialConsole) -> None:
    assert _guest(changes).serial == expected


@pytest.mark.parametrize(("target", "arch", "bus", "device"), [row[1:] for row in BUSES], ids=[row[0] for row in BUSES])
def test_the_bus_of_a_disk_is(target: Changes, arch: str, bus: DiskBus, device: DiskDevice) -> None:
    disk = _guest({f"{DISKS}[0]": {"name": "root", **target}}, arch).disks[0]
    assert (disk.bus, disk.device, disk.readonly) == (bus, device, device is DiskDevice.CDROM)


def test_a_guest_has_everything_that_the_manifest_says() -> None:
    changes: Changes = {
        "metadata.namespace": "production",
        "metadata.annotations": {"alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity": ""},
        "spec.architecture": "amd64",
        "spec.terminationGracePeriodSeconds": 0,
        "spec.domain.machine.type": "pc-q35-7.2",
        "spec.domain.ioThreadsPolicy": "supplementalPool",
        "spec.domain.ioThreads.supplementalPoolThreadCount": 3,
        "spec.domain.firmware.uuid": "5D307CA9-B3EF-428C-8861-06E72D69F223",
        "spec.domain.firmware.kernelBoot": {
            "kernelArgs": "console=ttyS0",
            "container": {"kernelPath": "/boot/vmlinuz", "initrdPath": "initramfs"},
        },
        CPU: {
            "cores": 4,
            "model": "EPYC",
            "dedicatedCpuPlacement": True,
            "isolateEmulatorThread": True,
            "numa": {"guestMappingPassthrough": {}},
            "realtime": {"mask": "1-3,^2"},
        },
        MEMORY: {"guest": "4Gi", "hugepages": {"pageSize": "1Gi"}},
        f"{DISKS}[0]": {"name": "root", "disk": {"bus": "virtio", "readonly": True}, "bootOrder": 2},
        f"{DISKS}[1]": {"name": "data", "disk": {"bus": "virtio"}, "dedicatedIOThread": True},
        "spec.volumes[1].hostDisk": {"path": "data.img", "type": "DiskOrCreate", "capacity": "1.5Gi"},
    }
    assert _guest(changes, "aarch64") == Guest(
        name="guest",
        namespace="production",
        arch="x86_64",
        uuid="5d307ca9-b3ef-428c-8861-06e72d69f223",
        machine="pc-q35-7.2",
        cpu=GuestCPU(
            topology=Topology(cores=4),
            model="EPYC",
            dedicated=True,
            isolate_emulator_thread=True,
            emulator_even_parity=True,
            numa_passthrough=True,
            realtime_vcpus=frozenset({1, 3}),
            features=NO_MPX,
        ),
        memory=GuestMemory(guest_bytes=4 * GIB, huge_page_bytes=GIB),
        io_threads=IOThreadDemand(policy=IOThreadsPolicy.SUPPLEMENTAL_POOL, pool_count=3, cpu_count=1),
        peripherals=OWNER,
        disks=(
            Disk(name="root", path="/images/root.img", readonly=True, boot_order=2),
            Disk(name="data", path="data.img", dedicated_iothread=True, create_bytes=3 * GIB // 2),
        ),
        kernel_boot=KernelBoot(kernel="/boot/vmlinuz", initrd="initramfs", arguments="console=ttyS0"),
        grace_period_s=0,
    )


def test_a_guest_has_kubevirts_defaults() -> None:
    assert _guest({}) == Guest(
        name="guest",
        uuid=UUID,
        peripherals=USUAL,
        cpu=GuestCPU(topology=Topology()),
        memory=GuestMemory(guest_bytes=GIB),
        disks=(_disk("root", "/images/root.img"), _disk("data", "/images/data.img")),
    )


def test_a_disk_finds_its_volume_by_name() -> None:
    changes: Changes = {f"{DISKS}[0].name": "data", f"{DISKS}[1].name": "root"}
    assert _guest(changes).disks == (_disk("data", "/images/data.img"), _disk("root", "/images/root.img"))


def test_a_realtime_guest_without_mask_has_all_vcpus_realtime() -> None:
    changes: Changes = {
        CPU: {"cores": 2, "dedicatedCpuPlacement": True, "numa": {"guestMappingPassthrough": {}}, "realtime": {}},
        f"{MEMORY}.hugepages": {"pageSize": "2Mi"},
    }
    assert _guest(changes).cpu.realtime_vcpus == frozenset({0, 1})


@pytest.mark.parametrize("value", ["", None, "false"])
def test_an_annotation_that_is_there_counts_whatever_it_says(value: Value) -> None:
    changes: Changes = {"metadata.annotations": {"alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity": value}}
    assert _guest(changes).cpu.emulator_even_parity


def test_a_machine_asks_for_the_guest_of_its_template() -> None:
    annotations: dict[str, Value] = {"alpha.kubevirt.io/EmulatorThreadCompleteToEvenParity": ""}
    vm = machine({"metadata.namespace": "production"}, {"name": "other", "annotations": annotations})
    assert admitted(vm).guest == Guest(
        name="guest",
        namespace="production",
        uuid=UUID,
        board=Board(serial_number=UUID),
        peripherals=USUAL,
        cpu=GuestCPU(topology=Topology(), emulator_even_parity=True),
        memory=GuestMemory(guest_bytes=GIB),
        disks=(_disk("root", "/images/root.img"), _disk("data", "/images/data.img")),
    )


@pytest.mark.parametrize(("prefix", "name"), [("guest-", "guest"), ("guest.a--", "guest.a"), ("guest", "guest")])
def test_a_guest_whose_name_is_to_be_generated_has_the_same_one_at_each_start(prefix: str, name: str) -> None:
    changes: Changes = {"metadata.name": ABSENT, "metadata.generateName": prefix}
    assert _guest(changes).name == name
    assert admitted(machine(changes)).guest.name == name


def test_a_name_that_is_there_counts_before_one_that_is_to_be_generated() -> None:
    assert _guest({"metadata.generateName": "other-"}).name == "guest"


def test_the_older_version_of_the_api_asks_for_the_same_guest() -> None:
    assert _guest({"apiVersion": "kubevirt.io/v1alpha3"}) == _guest({})
    assert admitted(machine({"apiVersion": "kubevirt.io/v1alpha3"})).guest == admitted(machine()).guest


ROOT = _disk("root", "/var/lib/images/root.qcow2")
LOADED = {
    "demo": Guest(
        name="demo",
        uuid="c89d1344-ee03-5c55-99bd-5df16b72bea0",
        peripherals=Peripherals(interfaces=(CARD,), balloon=Balloon()),
        cpu=GuestCPU(topology=Topology(cores=2), dedicated=True),
        memory=GuestMemory(guest_bytes=GIB // 4),
        io_threads=IOThreadDemand(cpu_count=2),
        kernel_boot=KernelBoot(
            kernel=".cache/guest/vmlinuz",
            initrd=".cache/guest/initramfs",
            arguments="console=ttyS0 quiet no_timer_check nohz=off",
        ),
        grace_period_s=30,
    ),
    "smallest": Guest(
        name="smallest",
        uuid="40ab9dc9-2ff2-5b51-b632-013e17225391",
        peripherals=USUAL,
        cpu=GuestCPU(topology=Topology()),
        memory=GuestMemory(guest_bytes=GIB // 8),
        disks=(_disk("root", "/var/lib/images/root.img"),),
    ),
    "dedicated": Guest(
        name="dedicated",
        uuid="78379969-cc40-5782-ad02-73073cbe6562",
        peripherals=Peripherals(balloon=Balloon()),
        namespace="examples",
        machine="q35",
        cpu=GuestCPU(topology=Topology(cores=2, threads=2), model="host-passthrough", dedicated=True),
        memory=GuestMemory(guest_bytes=2 * GIB),
        io_threads=IOThreadDemand(cpu_count=4),
        disks=(
            Disk(name="root", path="/var/lib/images/root.qcow2", boot_order=1),
            Disk(name="scratch", path="/var/lib/images/scratch.img", create_bytes=10 * GIB),
        ),
        grace_period_s=60,
    ),
    "isolated-iothreads": Guest(
        name="isolated-iothreads",
        uuid="cd10f0f5-616e-59de-ad44-df0379299c33",
        peripherals=OWNER,
        cpu=GuestCPU(
            topology=Topology(cores=4), dedicated=True, isolate_emulator_thread=True, emulator_even_parity=True
        ),
        memory=GuestMemory(guest_bytes=4 * GIB),
        io_threads=IOThreadDemand(policy=IOThreadsPolicy.AUTO, cpu_count=4),
        disks=(
            ROOT,
            Disk(
                name="database",
                path="/var/lib/images/database.img",
                dedicated_iothread=True,
                create_bytes=100 * GIB,
            ),
            Disk(
                name="tools",
                path="/var/lib/images/tools.iso",
                bus=DiskBus.SATA,
                device=DiskDevice.CDROM,
                readonly=True,
            ),
        ),
        grace_period_s=60,
    ),
    "numa-hugepages": Guest(
        name="numa-hugepages",
        uuid="36c23036-69b6-5024-b629-b7c69c8e5898",
        peripherals=OWNER,
        cpu=GuestCPU(topology=Topology(sockets=2, cores=2, threads=2), dedicated=True, numa_passthrough=True),
        memory=GuestMemory(guest_bytes=4 * GIB, huge_page_bytes=2**21),
        io_threads=IOThreadDemand(cpu_count=8),
        disks=(ROOT,),
    ),
    "realtime": Guest(
        name="realtime",
        uuid="f74c96eb-cc5b-50c4-b08e-1c8d016c6dbf",
        peripherals=OWNER,
        cpu=GuestCPU(
            topology=Topology(cores=4),
            model="host-passthrough",
            dedicated=True,
            isolate_emulator_thread=True,
            numa_passthrough=True,
            realtime_vcpus=frozenset({2, 3}),
        ),
        memory=GuestMemory(guest_bytes=2 * GIB, huge_page_bytes=GIB),
        io_threads=IOThreadDemand(cpu_count=4),
        disks=(ROOT,),
    ),
    "cloud-init": Guest(
        name="cloud-init",
        uuid="988d8ec3-b54f-5fe1-bc38-eef6c9664328",
        cpu=GuestCPU(topology=Topology(cores=2), dedicated=True),
        memory=GuestMemory(guest_bytes=GIB),
        io_threads=IOThreadDemand(cpu_count=2),
        disks=(
            Disk(name="root", boot_order=1, volume=Claim(claim="debian")),
            Disk(
                name="seed",
                volume=CloudInit(
                    kind=CloudInitKind.NO_CLOUD,
                    user_data=b"#cloud-config\nhostname: cloud-init\nssh_pwauth: false\n",
                    network_data=b'version: 2\nethernets:\n  eth0:\n    match:\n      name: "e*"\n    dhcp4: true\n',
                ),
            ),
        ),
        peripherals=Peripherals(
            interfaces=(Interface(name="default", backend=InterfaceBackend.SLIRP, queues=1),),
            has_rng=True,
            balloon=Balloon(),
            video=SCREEN,
        ),
        grace_period_s=60,
    ),
}


def test_every_example_is_known_here() -> None:
    assert {file.stem for file in EXAMPLES.iterdir()} == set(LOADED)


@pytest.mark.parametrize("name", LOADED)
def test_an_example_is_loaded_whole(name: str) -> None:
    assert load_guest(str(EXAMPLES / f"{name}.yaml")) == LOADED[name]


def test_loading_tells_every_fault_with_its_file(tmp_path: Path) -> None:
    file = tmp_path / "vmi.yaml"
    file.write_text("apiVersion: kubevirt.io/v1\nkind: VirtualMachineInstance\nspec: {domain: {cpu: {cores: 1.5}}}\n")
    with pytest.raises(InvalidVMI) as refusal:
        load_guest(str(file))
    faults = (
        Fault("metadata.name", "missing"),
        Fault("spec.domain.memory.guest", f"missing; give it here, or as {REQUESTS}.memory or {LIMITS}.memory"),
        Fault("spec.domain.cpu.cores", "1.5 is not a positive integer"),
    )
    assert refusal.value.faults == faults
    assert str(refusal.value).splitlines() == [f"{file}: {fault}" for fault in faults]


def test_loading_tells_that_a_file_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(InvalidVMI, match="/none: cannot be read: No such file or directory"):
        load_guest(f"{tmp_path}/none")


def test_an_empty_mapping_is_no_manifest() -> None:
    with pytest.raises(InvalidVMI, match="kind: missing; wanted VirtualMachineInstance or VirtualMachine"):
        admitted(Document(source="vmi.yaml", root={}))
