"""The admission rules: each on its own, on a manifest that is valid otherwise."""

from __future__ import annotations

import pytest

from launcher.errors import Fault, InvalidVMI
from launcher.vmi.admission import RULES, guest_arch
from launcher.vmi.decode import decode
from launcher.vmi.load import admitted
from launcher.vmi.rules import Subject
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.volume_rules import SOURCES
from tests.vmi.access_rows import ACCESS_ACCEPTED, ACCESS_FAULTS, METRICS_FAULTS
from tests.vmi.assigned_rows import ASSIGNED_ACCEPTED, ASSIGNED_FAULTS
from tests.vmi.function_rows import FUNCTION_ACCEPTED, FUNCTION_FAULTS
from tests.vmi.machine_rows import MACHINE_ACCEPTED, MACHINE_FAULTS
from tests.vmi.manifests import ABSENT, Changes, document, manifest
from tests.vmi.pod_rows import POD_ACCEPTED, POD_FAULTS
from tests.vmi.storage_rows import STORAGE_ACCEPTED, STORAGE_FAULTS

CPU = "spec.domain.cpu"
DEDICATED = f"{CPU}.dedicatedCpuPlacement"
PASSTHROUGH = f"{CPU}.numa.guestMappingPassthrough"
MEMORY = "spec.domain.memory"
LIMITS = "spec.domain.resources.limits"
REQUESTS = "spec.domain.resources.requests"
FIRMWARE = "spec.domain.firmware"
KERNEL = f"{FIRMWARE}.kernelBoot"
POOL = "spec.domain.ioThreads.supplementalPoolThreadCount"
DISKS = "spec.domain.devices.disks"
VOLUMES = "spec.volumes"
NO_SIDECAR = (
    "not supported: a sidecar would change the domain behind the launcher's back; "
    "take it out, and write what it changes into a domain template (--template)"
)
NO_LABEL = "is not a DNS label: 1 to 63 of a-z, 0-9 and -, neither first nor last -"
NO_LABEL_NAME = "is not [prefix/]name: a name of 1 to 63 of A-Z, a-z, 0-9, -, _ and ., a prefix of a-z, 0-9, - and ."
NO_LABEL_VALUE = "is not a label's value: at most 63 of A-Z, a-z, 0-9, -, _ and ., first and last a letter or digit"
RESOURCES = "wanted cpu, memory, ephemeral-storage, hugepages-<size> or <vendor>/<name>"
KVM = "the most that KVM can have"
MOST = 2**32 - 1
E_ACUTE = "\u00e9"

# A guest with four dedicated vCPUs, and the same with NUMA passthrough.
PINNED: Changes = {DEDICATED: True, f"{CPU}.cores": 4}
NUMA: Changes = {**PINNED, PASSTHROUGH: {}, f"{MEMORY}.hugepages": {"pageSize": "2Mi"}}
# And with two of them dedicated.
MASK = "metadata.annotations['virt-launcher/dedicated-vcpus']"


def _mask(mask: str) -> Changes:
    return {**PINNED, "metadata.annotations": {"virt-launcher/dedicated-vcpus": mask}}


MIXED = _mask("0-1")
VHOST = "metadata.annotations['virt-launcher/vhost-cpus']"


def _vhost(cpus: str) -> Changes:
    return {**PINNED, "metadata.annotations": {"virt-launcher/vhost-cpus": cpus}}


def _hard_disk(path: str) -> Changes:
    return {f"{VOLUMES}[0].hostDisk.path": path}


def _cdrom(**fields: object) -> Changes:
    return {f"{DISKS}[0].disk": ABSENT, f"{DISKS}[0].cdrom": fields}


def _kernel(**fields: object) -> Changes:
    return {f"{KERNEL}.container": fields}


# (sentence, changes to a valid manifest, every fault)
FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    ("no_name", {"metadata.name": ABSENT}, [("metadata.name", "missing")]),
    (
        "a_prefix_that_makes_no_name",
        {"metadata.name": ABSENT, "metadata.generateName": "Guest-"},
        [("metadata.generateName", f"'Guest' {NO_LABEL}")],
    ),
    (
        "a_prefix_that_is_only_a_dash",
        {"metadata.name": ABSENT, "metadata.generateName": "-"},
        [("metadata.generateName", f"'' {NO_LABEL}")],
    ),
    ("no_metadata", {"metadata": ABSENT}, [("metadata.name", "missing")]),
    ("a_name_in_capitals", {"metadata.name": "Guest"}, [("metadata.name", f"'Guest' {NO_LABEL}")]),
    (
        "a_name_with_two_dots_in_a_row",
        {"metadata.name": "a..b"},
        [
            (
                "metadata.name",
                "'a..b' is not the name of a Kubernetes object: labels of a-z, 0-9 and -, with dots between them",
            )
        ],
    ),
    (
        "a_name_with_a_dot_of_64",
        {"metadata.name": f"a.{'b' * 62}"},
        [("metadata.name", f"'a.{'b' * 55}'... {NO_LABEL}")],
    ),
    ("an_empty_name", {"metadata.name": ""}, [("metadata.name", "missing")]),
    ("a_name_of_64", {"metadata.name": "a" * 64}, [("metadata.name", f"'{'a' * 57}'... {NO_LABEL}")]),
    ("a_name_with_a_newline", {"metadata.name": "a\n"}, [("metadata.name", f"'a\\n' {NO_LABEL}")]),
    ("a_name_with_xml", {"metadata.name": "a<b/>"}, [("metadata.name", f"'a<b/>' {NO_LABEL}")]),
    ("a_namespace_with_a_slash", {"metadata.namespace": "../a"}, [("metadata.namespace", f"'../a' {NO_LABEL}")]),
    (
        "a_label_whose_name_no_object_may_have",
        {"metadata.labels": {"a b": "c", "a.b/c.D_e-1": "", "a..b/c": "x", "/": "x", "é/a": "x", "a/b/c": "x"}},
        [
            ("metadata.labels['a b']", f"the name 'a b' {NO_LABEL_NAME}"),
            ("metadata.labels['a..b/c']", f"the name 'a..b/c' {NO_LABEL_NAME}"),
            ("metadata.labels['/']", f"the name '/' {NO_LABEL_NAME}"),
            ("metadata.labels['é/a']", f"the name 'é/a' {NO_LABEL_NAME}"),
            ("metadata.labels['a/b/c']", f"the name 'a/b/c' {NO_LABEL_NAME}"),
        ],
    ),
    (
        "a_label_whose_value_no_object_may_have",
        {"metadata.labels": {"app": "x\ny", "tier": "-a", "long": "a" * 64, "env": "Prod_1.x"}},
        [
            ("metadata.labels.app", f"'x\\ny' {NO_LABEL_VALUE}"),
            ("metadata.labels.tier", f"'-a' {NO_LABEL_VALUE}"),
            ("metadata.labels.long", f"'{'a' * 57}'... {NO_LABEL_VALUE}"),
        ],
    ),
    (
        "an_annotation_that_changes_the_guest",
        {"metadata.annotations": {"hooks.kubevirt.io/hookSidecars": "[]"}},
        [
            (
                "metadata.annotations['hooks.kubevirt.io/hookSidecars']",
                NO_SIDECAR,
            )
        ],
    ),
    (
        "limits_that_disagree_with_the_topology",
        {DEDICATED: True, f"{CPU}.cores": 3, f"{CPU}.threads": 2, f"{LIMITS}.cpu": 4},
        [(f"{LIMITS}.cpu", f"4 differs from the size of {CPU}, 6 vCPUs (sockets 1 x cores 3 x threads 2)")],
    ),
    (
        "requests_that_disagree_with_the_topology",
        {DEDICATED: True, f"{CPU}.sockets": 2, f"{REQUESTS}.cpu": 4},
        [(f"{REQUESTS}.cpu", f"4 differs from the size of {CPU}, 2 vCPUs")],
    ),
    (
        "a_fraction_of_a_dedicated_cpu_as_limit",
        {DEDICATED: True, f"{LIMITS}.cpu": "1500m"},
        [(f"{LIMITS}.cpu", "1500m is not a whole number; dedicated CPUs are whole")],
    ),
    (
        "a_fraction_of_a_dedicated_cpu_as_request",
        {DEDICATED: True, f"{REQUESTS}.cpu": 0.5},
        [(f"{REQUESTS}.cpu", "500m is not a whole number; dedicated CPUs are whole")],
    ),
    (
        "dedicated_requests_below_the_limits",
        {DEDICATED: True, f"{REQUESTS}.cpu": 2, f"{LIMITS}.cpu": 4},
        [(f"{REQUESTS}.cpu", f"2 differs from {LIMITS}.cpu, 4; with dedicated CPUs they must be equal")],
    ),
    (
        "dedicated_requests_above_the_limits_are_told_once",
        {DEDICATED: True, f"{REQUESTS}.cpu": 6, f"{LIMITS}.cpu": 4},
        [(f"{REQUESTS}.cpu", f"6 differs from {LIMITS}.cpu, 4; with dedicated CPUs they must be equal")],
    ),
    (
        "dedicated_memory_requests_below_the_limits",
        {**PINNED, f"{REQUESTS}.memory": "1Gi", f"{LIMITS}.memory": "2Gi"},
        [(f"{REQUESTS}.memory", f"1Gi differs from {LIMITS}.memory, 2Gi; with dedicated CPUs they must be equal")],
    ),
    (
        "cpu_requests_above_the_limits",
        {f"{REQUESTS}.cpu": 4, f"{LIMITS}.cpu": "1500m"},
        [(f"{REQUESTS}.cpu", f"4 is more than {LIMITS}.cpu, 1500m")],
    ),
    (
        "memory_requests_above_the_limits",
        {f"{REQUESTS}.memory": "2Gi", f"{LIMITS}.memory": "1Gi"},
        [(f"{REQUESTS}.memory", f"2Gi is more than {LIMITS}.memory, 1Gi")],
    ),
    (
        "requests_of_a_vendors_resource_above_the_limits",
        {f"{REQUESTS}": {"a.b/c": 2}, f"{LIMITS}": {"a.b/c": 1}},
        [(f"{REQUESTS}['a.b/c']", f"2 is more than {LIMITS}['a.b/c'], 1")],
    ),
    ("a_negative_request", {f"{REQUESTS}.cpu": "-1"}, [(f"{REQUESTS}.cpu", "-1 is negative")]),
    (
        "a_negative_memory_limit",
        {f"{LIMITS}.memory": "-1Gi"},
        [(f"{LIMITS}.memory", "-1Gi is negative")],
    ),
    (
        "a_misspelt_resource",
        {f"{LIMITS}.memroy": "1Gi"},
        [
            (
                f"{LIMITS}.memroy",
                f"'memroy' is not a resource that Kubernetes has; {RESOURCES}",
            )
        ],
    ),
    (
        "more_vcpus_than_kvm_has",
        {f"{CPU}.sockets": MOST, f"{CPU}.cores": MOST},
        [
            (
                CPU,
                f"{2**64 - 2**33 + 1} vCPUs (sockets {MOST} x cores {MOST} x threads 1) are more than 4096, {KVM}",
            )
        ],
    ),
    (
        "more_vcpus_than_kvm_has_as_limit",
        {f"{LIMITS}.cpu": 4097},
        [(f"{LIMITS}.cpu", "4097 vCPUs are more than 4096, the most that KVM can have")],
    ),
    (
        "more_vcpus_than_kvm_has_as_request",
        {f"{REQUESTS}.cpu": "1M"},
        [(f"{REQUESTS}.cpu", "1000000 vCPUs are more than 4096, the most that KVM can have")],
    ),
    (
        "more_memory_than_ever_allowed",
        {"spec.domain.memory.guest": "2Gi", "spec.domain.memory.maxGuest": "1Gi"},
        [("spec.domain.memory.guest", "2Gi is more than spec.domain.memory.maxGuest, 1Gi")],
    ),
    (
        "more_sockets_than_ever_allowed",
        {f"{CPU}.sockets": 4, f"{CPU}.maxSockets": 2},
        [(f"{CPU}.sockets", f"4 is more than {CPU}.maxSockets, 2")],
    ),
    (
        "nine_threads_a_core",
        {f"{CPU}.threads": 9},
        [(f"{CPU}.threads", "9 is more than 8, the most that a core of any host has")],
    ),
    (
        "two_threads_a_core_on_arm64",
        {f"{CPU}.threads": 2, "spec.architecture": "arm64"},
        [(f"{CPU}.threads", "2 is more than 1; a core of an arm64 guest has one thread")],
    ),
    (
        "a_model_with_a_blank",
        {f"{CPU}.model": "Skylake -Server"},
        [(f"{CPU}.model", "'Skylake -Server' is not host-passthrough, host-model or the name of a CPU model")],
    ),
    (
        "a_model_with_xml",
        {f"{CPU}.model": "'/><x"},
        [(f"{CPU}.model", '"\'/><x" is not host-passthrough, host-model or the name of a CPU model')],
    ),
    (
        "an_isolated_emulator_without_dedicated_cpus",
        {f"{CPU}.isolateEmulatorThread": True},
        [(f"{CPU}.isolateEmulatorThread", f"needs {DEDICATED}: true")],
    ),
    (
        "numa_without_dedicated_cpus",
        {**NUMA, DEDICATED: False},
        [(PASSTHROUGH, f"needs {DEDICATED}: true")],
    ),
    (
        "mixed_without_dedicated_cpus",
        {**MIXED, DEDICATED: False},
        [(MASK, f"needs {DEDICATED}: true")],
    ),
    (
        "a_mask_that_is_none",
        _mask("0-"),
        [(MASK, "'0-' in the mask '0-' is not a vCPU n, a range a-b or a negation ^n")],
    ),
    ("an_empty_mask", _mask(""), [(MASK, "'' in the mask '' is not a vCPU n, a range a-b or a negation ^n")]),
    ("a_mask_backwards", _mask("2-1"), [(MASK, "'2-1' in the mask '2-1' is a range that runs backwards")]),
    (
        "a_mask_beyond_the_guest",
        _mask("0-4"),
        [(MASK, "'0-4' in the mask '0-4' names vCPU 4; the guest has vCPUs 0-3")],
    ),
    ("a_mask_of_nobody", _mask("0,^0"), [(MASK, "the mask '0,^0' names no vCPU; wanted some of 0-3")]),
    (
        "a_mask_of_everybody",
        _mask("0-3"),
        [(MASK, "the mask '0-3' names every vCPU, which needs no annotation: leave it out")],
    ),
    (
        "a_mask_that_divides_a_guest_core",
        {**_mask("0-2"), f"{CPU}.cores": 2, f"{CPU}.threads": 2},
        [
            (
                MASK,
                (
                    "names a part of guest core 1 (vCPUs 2-3): a dedicated vCPU beside one that floats is not alone; "
                    "name whole cores"
                ),
            )
        ],
    ),
    (
        "mixed_with_cells",
        {**MIXED, PASSTHROUGH: {}},
        [(MASK, f"not with {PASSTHROUGH}: a vCPU that floats is on no node")],
    ),
    (
        "realtime_vcpus_that_share",
        {**MIXED, PASSTHROUGH: {}, f"{CPU}.realtime": {"mask": "1-2"}},
        [
            (MASK, f"not with {PASSTHROUGH}: a vCPU that floats is on no node"),
            (MASK, f"leaves out vCPU 2, which is realtime ({CPU}.realtime.mask): name it here, too"),
        ],
    ),
    (
        "no_cpu_for_those_that_share",
        {**MIXED, f"{LIMITS}.cpu": 2},
        [(f"{LIMITS}.cpu", f"2 CPUs for 2 dedicated vCPUs and 2 that share the rest ({MASK}): wanted 3 to 4")],
    ),
    (
        "more_cpus_than_vcpus",
        {**MIXED, f"{REQUESTS}.cpu": 5, f"{LIMITS}.cpu": 5},
        [
            (f"{REQUESTS}.cpu", f"5 CPUs for 2 dedicated vCPUs and 2 that share the rest ({MASK}): wanted 3 to 4"),
            (f"{LIMITS}.cpu", f"5 CPUs for 2 dedicated vCPUs and 2 that share the rest ({MASK}): wanted 3 to 4"),
        ],
    ),
    ("vhost_without_a_number", _vhost("one"), [(VHOST, "'one' is not a number of CPUs from 0 to 999")]),
    ("vhost_with_less_than_none", _vhost("-1"), [(VHOST, "'-1' is not a number of CPUs from 0 to 999")]),
    ("vhost_without_dedicated_cpus", {**_vhost("1"), DEDICATED: False}, [(VHOST, f"needs {DEDICATED}: true")]),
    (
        "realtime_alone",
        {f"{CPU}.realtime": {}},
        [(f"{CPU}.realtime", f"needs {DEDICATED}: true"), (f"{CPU}.realtime", f"needs {PASSTHROUGH}")],
    ),
    (
        "realtime_without_numa",
        {**PINNED, f"{CPU}.realtime": {}},
        [(f"{CPU}.realtime", f"needs {PASSTHROUGH}")],
    ),
    (
        "realtime_for_a_vcpu_that_is_not_there",
        {**NUMA, f"{CPU}.realtime": {"mask": "2-4"}},
        [(f"{CPU}.realtime.mask", "'2-4' in the mask '2-4' names vCPU 4; the guest has vCPUs 0-3")],
    ),
    (
        "a_realtime_mask_that_does_not_parse",
        {**NUMA, f"{CPU}.realtime": {"mask": "a"}},
        [(f"{CPU}.realtime.mask", "'a' in the mask 'a' is not a vCPU n, a range a-b or a negation ^n")],
    ),
    (
        "a_pool_without_a_size",
        {"spec.domain.ioThreadsPolicy": "supplementalPool"},
        [(POOL, "missing; ioThreadsPolicy supplementalPool needs 1 or more")],
    ),
    (
        "an_empty_pool",
        {"spec.domain.ioThreadsPolicy": "supplementalPool", POOL: 0},
        [(POOL, "0; ioThreadsPolicy supplementalPool needs 1 or more")],
    ),
    (
        "a_pool_of_a_million",
        {"spec.domain.ioThreadsPolicy": "supplementalPool", POOL: 10**6},
        [(POOL, "1000000 is more than 1024")],
    ),
    (
        "no_memory",
        {f"{MEMORY}.guest": ABSENT},
        [(f"{MEMORY}.guest", f"missing; give it here, or as {REQUESTS}.memory or {LIMITS}.memory")],
    ),
    (
        "memory_below_one_megabyte",
        {f"{MEMORY}.guest": "999999"},
        [(f"{MEMORY}.guest", "999999 is less than 1M, the least memory of a guest")],
    ),
    (
        "memory_below_one_megabyte_as_limit",
        {f"{MEMORY}.guest": ABSENT, f"{LIMITS}.memory": "512k"},
        [(f"{LIMITS}.memory", "512k is less than 1M, the least memory of a guest")],
    ),
    (
        "memory_below_one_megabyte_as_request",
        {f"{MEMORY}.guest": ABSENT, f"{REQUESTS}.memory": 1024},
        [(f"{REQUESTS}.memory", "1024 is less than 1M, the least memory of a guest")],
    ),
    (
        "negative_memory",
        {f"{MEMORY}.guest": "-1Gi"},
        [(f"{MEMORY}.guest", "-1Gi is less than 1M, the least memory of a guest")],
    ),
    (
        "more_memory_than_can_be_addressed",
        {f"{MEMORY}.guest": "5Pi"},
        [(f"{MEMORY}.guest", "5Pi is more than 4Pi, the most that a machine can address")],
    ),
    (
        "memory_that_is_no_multiple_of_the_huge_page",
        {f"{MEMORY}.guest": "3Mi", f"{MEMORY}.hugepages": {"pageSize": "2Mi"}},
        [(f"{MEMORY}.guest", f"3Mi is not a multiple of {MEMORY}.hugepages.pageSize, 2Mi")],
    ),
    (
        "memory_of_less_than_one_huge_page",
        {f"{MEMORY}.guest": "512Mi", f"{MEMORY}.hugepages": {"pageSize": "1Gi"}},
        [(f"{MEMORY}.guest", f"512Mi is not a multiple of {MEMORY}.hugepages.pageSize, 1Gi")],
    ),
    (
        "a_huge_page_in_powers_of_ten",
        {f"{MEMORY}.hugepages": {"pageSize": "2M"}},
        [(f"{MEMORY}.hugepages.pageSize", "2M is not a power of two from 64Ki on, such as 2Mi or 1Gi")],
    ),
    (
        "a_huge_page_of_nothing",
        {f"{MEMORY}.hugepages": {"pageSize": 0}},
        [(f"{MEMORY}.hugepages.pageSize", "0 is not a power of two from 64Ki on, such as 2Mi or 1Gi")],
    ),
    (
        "a_huge_page_that_is_an_ordinary_one",
        {f"{MEMORY}.hugepages": {"pageSize": "4Ki"}},
        [(f"{MEMORY}.hugepages.pageSize", "4Ki is not a power of two from 64Ki on, such as 2Mi or 1Gi")],
    ),
    (
        "a_machine_of_another_architecture",
        {"spec.domain.machine.type": "virt"},
        [("spec.domain.machine.type", "'virt' is not a machine for x86_64; wanted q35 or pc-q35-<version>")],
    ),
    (
        "a_machine_with_a_slip_into_xml",
        {"spec.domain.machine.type": "q35'/>", "spec.architecture": "amd64"},
        [("spec.domain.machine.type", '"q35\'/>" is not a machine for x86_64; wanted q35 or pc-q35-<version>')],
    ),
    (
        "a_machine_that_arm64_lacks",
        {"spec.domain.machine.type": "q35", "spec.architecture": "arm64"},
        [("spec.domain.machine.type", "'q35' is not a machine for aarch64; wanted virt or virt-<version>")],
    ),
    (
        "a_uuid_that_is_none",
        {f"{FIRMWARE}.uuid": "5d307ca9b3ef428c886106e72d69f223"},
        [
            (
                f"{FIRMWARE}.uuid",
                "'5d307ca9b3ef428c886106e72d69f223' is not a UUID such as 5d307ca9-b3ef-428c-8861-06e72d69f223",
            )
        ],
    ),
    (
        "the_uuid_of_nobody",
        {f"{FIRMWARE}.uuid": "00000000-0000-0000-0000-000000000000"},
        [
            (
                f"{FIRMWARE}.uuid",
                "'00000000-0000-0000-0000-000000000000' is not a UUID such as 5d307ca9-b3ef-428c-8861-06e72d69f223",
            )
        ],
    ),
    (
        "a_bios_on_arm64",
        {f"{FIRMWARE}.bootloader": {"bios": {}}, "spec.architecture": "arm64"},
        [(f"{FIRMWARE}.bootloader.bios", "arm64 guests have no BIOS")],
    ),
    (
        "kernel_arguments_without_kernel",
        {KERNEL: {"kernelArgs": "quiet"}},
        [(f"{KERNEL}.container.kernelPath", "missing; kernelArgs and initrdPath need a kernel")],
    ),
    (
        "an_initrd_without_kernel",
        _kernel(initrdPath="/initrd"),
        [(f"{KERNEL}.container.kernelPath", "missing; kernelArgs and initrdPath need a kernel")],
    ),
    (
        "a_container_without_kernel",
        _kernel(),
        [(f"{KERNEL}.container.kernelPath", "missing; kernelArgs and initrdPath need a kernel")],
    ),
    (
        "an_empty_kernel_path",
        _kernel(kernelPath=""),
        [
            (f"{KERNEL}.container.kernelPath", "missing; kernelArgs and initrdPath need a kernel"),
        ],
    ),
    (
        "a_kernel_above",
        _kernel(kernelPath="a/../../vmlinuz"),
        [(f"{KERNEL}.container.kernelPath", "'a/../../vmlinuz' holds '..'; wanted a path without it")],
    ),
    (
        "an_initrd_above",
        _kernel(kernelPath="/vmlinuz", initrdPath=".."),
        [(f"{KERNEL}.container.initrdPath", "'..' holds '..'; wanted a path without it")],
    ),
    (
        "a_newline_in_the_kernel_arguments",
        {**_kernel(kernelPath="/vmlinuz"), f"{KERNEL}.kernelArgs": "quiet\nx"},
        [(f"{KERNEL}.kernelArgs", "'quiet\\nx' holds the character 0x0a; wanted printable text")],
    ),
    (
        "kernel_arguments_that_the_kernel_would_cut",
        {**_kernel(kernelPath="/vmlinuz"), f"{KERNEL}.kernelArgs": "\u00e9" * 1024},
        [(f"{KERNEL}.kernelArgs", "is longer than 2047 bytes, all that a kernel reads")],
    ),
    (
        "a_disk_without_volume",
        {f"{VOLUMES}": [{"name": "root", "hostDisk": {"path": "/a", "type": "Disk"}}]},
        [(f"{DISKS}[1].name", f"no volume is called 'data' ({VOLUMES})")],
    ),
    (
        "two_disks_of_one_name",
        {f"{DISKS}[1].name": "root"},
        [
            (f"{DISKS}[1].name", f"'root' is the name of {DISKS}[0], too"),
        ],
    ),
    (
        "two_volumes_of_one_name",
        {f"{VOLUMES}[1].name": "root"},
        [
            (f"{DISKS}[1].name", f"no volume is called 'data' ({VOLUMES})"),
            (f"{VOLUMES}[1].name", f"'root' is the name of {VOLUMES}[0], too"),
        ],
    ),
    (
        "a_disk_with_an_underscore",
        {f"{DISKS}[1].name": "da_ta", f"{VOLUMES}[1].name": "da_ta"},
        [(f"{DISKS}[1].name", f"'da_ta' {NO_LABEL}"), (f"{VOLUMES}[1].name", f"'da_ta' {NO_LABEL}")],
    ),
    (
        "a_disk_that_is_a_cd_rom_too",
        {f"{DISKS}[0].cdrom": {"bus": "sata"}},
        [(f"{DISKS}[0]", "is disk and cdrom at once; wanted one of them")],
    ),
    (
        "a_virtio_cd_rom",
        _cdrom(bus="virtio"),
        [(f"{DISKS}[0].cdrom.bus", "a CD-ROM cannot be virtio; wanted sata or scsi")],
    ),
    (
        "a_lun_that_is_a_file",
        {f"{DISKS}[0].disk": ABSENT, f"{DISKS}[0].lun": {}},
        [(f"{DISKS}[0].lun", "its volume, hostDisk, is a file; a lun needs a block device")],
    ),
    (
        "a_lun_that_is_not_scsi",
        {f"{DISKS}[0].disk": ABSENT, f"{DISKS}[0].lun": {"bus": "virtio"}},
        [
            (f"{DISKS}[0].lun", "its volume, hostDisk, is a file; a lun needs a block device"),
            (f"{DISKS}[0].lun.bus", "a lun cannot be virtio; wanted scsi"),
        ],
    ),
    (
        "a_read_only_sata_disk",
        {f"{DISKS}[0].disk": {"bus": "sata", "readonly": True}},
        [
            (
                f"{DISKS}[0].disk.readonly",
                "a sata disk cannot be read-only; wanted the bus virtio or scsi, or a cdrom",
            )
        ],
    ),
    (
        "sata_on_arm64",
        {f"{DISKS}[0].disk.bus": "sata", "spec.architecture": "arm64"},
        [(f"{DISKS}[0].disk.bus", "arm64 guests have no sata; wanted virtio or scsi")],
    ),
    (
        "an_iothread_for_a_scsi_disk",
        {f"{DISKS}[0].disk.bus": "scsi", f"{DISKS}[0].dedicatedIOThread": True},
        [(f"{DISKS}[0].dedicatedIOThread", "only a virtio disk has an IOThread; this one is scsi")],
    ),
    (
        "an_iothread_for_a_disk_on_kubevirts_default_bus",
        {f"{DISKS}[0].disk": {}, f"{DISKS}[0].dedicatedIOThread": True},
        [(f"{DISKS}[0].dedicatedIOThread", "only a virtio disk has an IOThread; this one is sata")],
    ),
    (
        "two_disks_that_boot_first",
        {f"{DISKS}[0].bootOrder": 1, f"{DISKS}[1].bootOrder": 1},
        [(f"{DISKS}[1].bootOrder", f"1 is the boot order of {DISKS}[0], too")],
    ),
    (
        "a_volume_of_nothing",
        {f"{VOLUMES}[0].hostDisk": ABSENT},
        [(f"{VOLUMES}[0]", f"has no source; wanted one of {', '.join(SOURCES)}")],
    ),
    ("an_empty_disk_path", _hard_disk(""), [(f"{VOLUMES}[0].hostDisk.path", "'' is not a path")]),
    (
        "a_disk_above",
        _hard_disk("/images/../etc/shadow"),
        [(f"{VOLUMES}[0].hostDisk.path", "'/images/../etc/shadow' holds '..'; wanted a path without it")],
    ),
    (
        "a_disk_path_with_a_nul",
        _hard_disk("/a\0b"),
        [(f"{VOLUMES}[0].hostDisk.path", "'/a\\x00b' holds the character 0x00; wanted printable text")],
    ),
    (
        "a_disk_path_with_a_lone_surrogate",
        _hard_disk("/\udcff"),
        [(f"{VOLUMES}[0].hostDisk.path", "'/\\udcff' holds the character 0xdcff; wanted printable text")],
    ),
    (
        "a_disk_path_with_a_noncharacter",
        _hard_disk("/\uffff"),
        [(f"{VOLUMES}[0].hostDisk.path", "'/\\uffff' holds the character 0xffff; wanted printable text")],
    ),
    (
        "a_file_name_of_256_bytes",
        _hard_disk("/" + 128 * E_ACUTE),
        [
            (
                f"{VOLUMES}[0].hostDisk.path",
                f"'/{56 * E_ACUTE}'... is too long: at most 4095 bytes, and 255 between slashes",
            )
        ],
    ),
    (
        "a_path_of_4096_bytes",
        _hard_disk("/a" * 2048),
        [
            (
                f"{VOLUMES}[0].hostDisk.path",
                f"'{'/a' * 28}/'... is too long: at most 4095 bytes, and 255 between slashes",
            )
        ],
    ),
    (
        "a_size_for_a_disk_that_exists",
        {f"{VOLUMES}[0].hostDisk.capacity": "1Gi"},
        [(f"{VOLUMES}[0].hostDisk.capacity", "has no effect on a disk that exists; wanted type DiskOrCreate")],
    ),
    (
        "a_disk_to_create_without_size",
        {f"{VOLUMES}[0].hostDisk.type": "DiskOrCreate"},
        [(f"{VOLUMES}[0].hostDisk.capacity", "missing; type DiskOrCreate needs it")],
    ),
    (
        "a_disk_to_create_of_no_size",
        {f"{VOLUMES}[0].hostDisk.type": "DiskOrCreate", f"{VOLUMES}[0].hostDisk.capacity": 0},
        [(f"{VOLUMES}[0].hostDisk.capacity", "0 is not a size from 1 to 1Ei")],
    ),
    (
        "a_disk_to_create_of_a_negative_size",
        {f"{VOLUMES}[0].hostDisk.type": "DiskOrCreate", f"{VOLUMES}[0].hostDisk.capacity": "-1Gi"},
        [(f"{VOLUMES}[0].hostDisk.capacity", "-1Gi is not a size from 1 to 1Ei")],
    ),
    *STORAGE_FAULTS,
    *MACHINE_FAULTS,
    *POD_FAULTS,
    *ACCESS_FAULTS,
    *METRICS_FAULTS,
    *ASSIGNED_FAULTS,
    *FUNCTION_FAULTS,
]

ACCEPTED: list[tuple[str, Changes]] = [
    ("a_cpu_for_vhost", _vhost("1")),
    ("no_cpu_for_vhost", {**_vhost("0"), DEDICATED: False}),
    ("a_mask", MIXED),
    ("a_mask_of_negations", _mask("^2-3")),
    ("a_mask_with_a_negation", _mask("0-2, ^1")),
    ("a_mask_and_its_cpus", {**MIXED, f"{LIMITS}.cpu": 3}),
    (
        "cells_of_ordinary_pages",
        {path: value for path, value in NUMA.items() if path != f"{MEMORY}.hugepages"},
    ),
    ("nothing_changed", {}),
    ("a_name_of_63", {"metadata.name": "a" * 63}),
    ("a_name_of_one_digit", {"metadata.name": "1"}),
    ("other_annotations", {"metadata.annotations": {"kubevirt.io/latest-observed-api-version": "v1", "a": ""}}),
    ("dedicated_by_topology", {DEDICATED: True, f"{CPU}.cores": 2}),
    ("dedicated_by_limits", {DEDICATED: True, f"{LIMITS}.cpu": 2}),
    ("dedicated_by_requests", {DEDICATED: True, f"{REQUESTS}.cpu": "2000m"}),
    ("dedicated_by_all", {**PINNED, f"{LIMITS}.cpu": 4, f"{REQUESTS}.cpu": "4"}),
    ("limits_of_0_are_as_absent", {**PINNED, f"{LIMITS}.cpu": 0, f"{REQUESTS}.cpu": 4}),
    ("shared_cpus_may_be_overcommitted", {f"{CPU}.cores": 8, f"{REQUESTS}.cpu": "100m", f"{LIMITS}.cpu": 2}),
    ("a_fraction_of_a_shared_cpu", {f"{REQUESTS}.cpu": "500m"}),
    ("the_most_vcpus", {f"{CPU}.cores": 4096}),
    ("the_most_threads", {f"{CPU}.threads": 8}),
    ("memory_up_to_the_maximum", {"spec.domain.memory.guest": "1Gi", "spec.domain.memory.maxGuest": "1Gi"}),
    ("memory_that_could_grow", {"spec.domain.memory.guest": "1Gi", "spec.domain.memory.maxGuest": "4Gi"}),
    ("sockets_up_to_the_maximum", {f"{CPU}.sockets": 2, f"{CPU}.maxSockets": 2}),
    ("one_thread_on_arm64", {f"{CPU}.threads": 1, "spec.architecture": "arm64"}),
    ("isolated_and_dedicated", {**PINNED, f"{CPU}.isolateEmulatorThread": True}),
    ("not_isolated_and_not_dedicated", {f"{CPU}.isolateEmulatorThread": False}),
    ("numa_with_all_it_needs", NUMA),
    ("numa_without_passthrough", {f"{CPU}.numa": {}}),
    ("realtime_with_all_it_needs", {**NUMA, f"{CPU}.realtime": {"mask": "0-3,^1"}}),
    ("a_pool", {"spec.domain.ioThreadsPolicy": "supplementalPool", POOL: 4}),
    ("one_megabyte", {f"{MEMORY}.guest": "1M"}),
    ("one_dedicated_cpu", {DEDICATED: True}),
    ("a_log_of_no_console",
     {"spec.domain.devices.autoattachSerialConsole": False, "spec.domain.devices.logSerialConsole": True}),
    ("a_pool_that_no_policy_asks_for", {POOL: 1}),
    ("more_memory_than_the_limit", {f"{MEMORY}.guest": "2Gi", f"{LIMITS}.memory": "1Gi"}),
    ("a_pull_secret_whose_name_no_secret_has",
     {"spec.domain.firmware.kernelBoot":
      {"container": {"image": "a", "kernelPath": "/k", "imagePullSecret": "IfNotPresent"}}}),
    ("less_memory_than_the_limit", {f"{LIMITS}.memory": "2Gi"}),
    ("more_memory_than_requested", {f"{REQUESTS}.memory": "512Mi"}),
    ("one_huge_page", {f"{MEMORY}.hugepages": {"pageSize": "1Gi"}}),
    ("a_model_of_libvirts", {f"{CPU}.model": "Skylake-Server-noTSX-IBRS"}),
    ("a_versioned_machine", {"spec.domain.machine.type": "pc-q35-rhel9.2.0"}),
    ("a_machine_of_arm64", {"spec.domain.machine.type": "virt-7.2", "spec.architecture": "arm64"}),
    ("an_empty_machine", {"spec.domain.machine.type": ""}),
    ("a_uuid_in_capitals", {f"{FIRMWARE}.uuid": "5D307CA9-B3EF-428C-8861-06E72D69F223"}),
    ("a_bios", {f"{FIRMWARE}.bootloader": {"bios": {}}}),
    ("a_kernel", {**_kernel(kernelPath="/vmlinuz", initrdPath="i"), f"{KERNEL}.kernelArgs": "a=\"b c\" <&>'"}),
    ("a_kernel_boot_of_nothing", {KERNEL: {}}),
    ("the_longest_kernel_arguments", {**_kernel(kernelPath="k"), f"{KERNEL}.kernelArgs": "x" * 2047}),
    ("a_relative_path", _hard_disk("images/root.img")),
    ("a_path_with_quotes_xml_and_dots", _hard_disk("/a b/\"<x/>'&/..x/...,y")),
    ("the_longest_file_name", _hard_disk("/" + "x" * 255)),
    ("the_longest_path", _hard_disk("a" + "/a" * 2047)),
    ("a_cd_rom", _cdrom(bus="sata")),
    ("a_cd_rom_on_kubevirts_default_bus", _cdrom(readonly=True)),
    ("a_cd_rom_that_says_it_can_be_written", _cdrom(readonly=False)),
    ("a_cd_rom_on_arm64", {**_cdrom(), "spec.architecture": "arm64"}),
    ("a_read_only_disk", {f"{DISKS}[0].disk": {"bus": "scsi", "readonly": True}}),
    ("an_iothread", {f"{DISKS}[0].dedicatedIOThread": True}),
    ("an_iothread_on_the_default_bus_of_arm64", {
        f"{DISKS}[0].disk": {}, f"{DISKS}[0].dedicatedIOThread": True, "spec.architecture": "arm64",
    }),
    ("no_iothread_for_a_sata_disk", {f"{DISKS}[0].disk": {"bus": "sata"}, f"{DISKS}[0].dedicatedIOThread": False}),
    ("boot_orders", {f"{DISKS}[0].bootOrder": 2, f"{DISKS}[1].bootOrder": 1}),
    ("a_disk_to_create", {
        f"{VOLUMES}[0].hostDisk.type": "DiskOrCreate", f"{VOLUMES}[0].hostDisk.capacity": "1Gi",
    }),
    ("no_console", {"spec.domain.devices.autoattachSerialConsole": False}),
    ("no_disk_at_all", {DISKS: ABSENT, VOLUMES: ABSENT}),
    *STORAGE_ACCEPTED,
    *MACHINE_ACCEPTED,
    *POD_ACCEPTED,
    *ACCESS_ACCEPTED,
    *ASSIGNED_ACCEPTED,
    *FUNCTION_ACCEPTED,
]  # fmt: skip


def _faults(changes: Changes, arch: str = "x86_64") -> list[Fault]:
    try:
        admitted(document(changes), arch=arch)
    except InvalidVMI as error:
        return list(error.faults)
    return []


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_rule_is_kept(changes: Changes, expected: list[tuple[str, str]]) -> None:
    assert sorted(_faults(changes)) == sorted(Fault(path, message) for path, message in expected)


@pytest.mark.parametrize("changes", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_what_no_rule_forbids_is_admitted(changes: Changes) -> None:
    assert _faults(changes) == []


def test_the_architecture_is_the_hosts_where_the_manifest_names_none() -> None:
    assert _faults({f"{CPU}.threads": 2}, "aarch64") == [
        Fault(f"{CPU}.threads", "2 is more than 1; a core of an arm64 guest has one thread")
    ]
    assert _faults({f"{CPU}.threads": 2, "spec.architecture": "amd64"}, "aarch64") == []


def test_power_has_cores_of_eight_threads() -> None:
    assert _faults({f"{CPU}.threads": 8, "spec.domain.machine.type": "pseries"}, "ppc64le") == []


def test_every_rule_is_broken_by_some_row() -> None:
    subjects = [_subject(changes) for _, changes, _ in FAULTS]
    unbroken = [rule for rule in RULES if not any(list(rule.check(subject)) for subject in subjects)]
    assert unbroken == []


def _subject(changes: Changes) -> Subject:
    vmi = decode(manifest(changes), VirtualMachineInstance).value
    assert vmi is not None
    return Subject(vmi=vmi, arch=guest_arch(vmi, "x86_64"))
