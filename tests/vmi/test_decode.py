"""Strict decoding: every fault at once, each with its path, what was found and what is wanted."""

from __future__ import annotations

import pytest
from msgspec import Struct, structs

from launcher.errors import Fault, InvalidVMI
from launcher.quantity import Quantity
from launcher.vmi import schema, schema_devices, schema_machine, schema_storage
from launcher.vmi.advice import advice_for
from launcher.vmi.decode import MAX_FAULTS, decode
from launcher.vmi.kubevirt_fields import is_known
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Document, Value
from launcher.vmi.other_kinds import advice_on
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.schema_base import KubeVirtStruct
from tests.vmi.manifests import ABSENT, Changes, document, machine, manifest

CPU = "spec.domain.cpu"
DISKS = "spec.domain.devices.disks"
FILL_IN = "fill it in first (helm template, jinja2, oc process, envsubst)"
NULL = "null; leave it out, or say what it is"
STRATEGIES = ("Always", "Halted", "Manual", "Once", "RerunOnFailure", "WaitAsReceiver")
QUOTE = "is not text; put it in quotes"
NO_MEMORY = "missing; give it here, or as spec.domain.resources.requests.memory or spec.domain.resources.limits.memory"

# (sentence, changes to a valid manifest, every fault)
FAULTS: list[tuple[str, Changes, list[str]]] = [
    ("text_is_no_count", {f"{CPU}.cores": "two"}, [f"{CPU}.cores: 'two' is not a positive integer"]),
    ("a_number_in_quotes_is_no_count", {f"{CPU}.cores": "2"}, [f"{CPU}.cores: '2' is not a positive integer"]),
    ("a_negative_count", {f"{CPU}.cores": -1}, [f"{CPU}.cores: -1 is not a positive integer"]),
    ("a_fraction_is_no_count", {f"{CPU}.cores": 1.5}, [f"{CPU}.cores: 1.5 is not a positive integer"]),
    ("a_boolean_is_no_count", {f"{CPU}.cores": True}, [f"{CPU}.cores: true is not a positive integer"]),
    ("a_count_beyond_uint32", {f"{CPU}.cores": 2**32}, [f"{CPU}.cores: 4294967296 is more than 4294967295"]),
    (
        "text_is_no_boolean",
        {f"{CPU}.dedicatedCpuPlacement": "true"},
        [f"{CPU}.dedicatedCpuPlacement: 'true' is not true or false"],
    ),
    ("a_number_is_no_boolean", {f"{DISKS}[0].disk.readonly": 1}, [f"{DISKS}[0].disk.readonly: 1 is not true or false"]),
    ("a_number_is_no_text", {"metadata.name": 5}, [f"metadata.name: 5 {QUOTE}"]),
    ("a_label_is_text", {"metadata.labels": {"a": True}}, [f"metadata.labels.a: true {QUOTE}"]),
    (
        "an_annotation_is_text",
        {"metadata.annotations": {"a.b/c": 1}},
        [f"metadata.annotations['a.b/c']: 1 {QUOTE}"],
    ),
    ("a_mapping_is_wanted", {CPU: 4}, [f"{CPU}: 4 is not a mapping"]),
    ("a_list_is_no_mapping", {CPU: [{"cores": 1}]}, [f"{CPU}: a list is not a mapping"]),
    ("a_list_is_wanted", {DISKS: {"name": "root"}}, [f"{DISKS}: a mapping is not a list"]),
    ("labels_are_a_mapping", {"metadata.labels": ["a"]}, ["metadata.labels: a list is not a mapping"]),
    ("an_item_of_the_wrong_type", {f"{DISKS}[1]": "data"}, [f"{DISKS}[1]: 'data' is not a mapping"]),
    ("null_is_no_item", {f"{DISKS}[1]": None}, [f"{DISKS}[1]: null is not an item; leave it out"]),
    (
        "a_quantity_that_does_not_parse",
        {"spec.domain.memory.guest": "1GiB"},
        ["spec.domain.memory.guest: '1GiB' is not a quantity such as 4, 500m, 1.5Gi or 2e3"],
    ),
    (
        "a_boolean_is_no_quantity",
        {"spec.domain.memory.guest": True},
        ["spec.domain.memory.guest: true is not a quantity such as 4, 500m or 1.5Gi"],
    ),
    (
        "a_mapping_is_no_quantity",
        {"spec.domain.resources.limits.cpu": {}},
        ["spec.domain.resources.limits.cpu: a mapping is not a quantity such as 4, 500m or 1.5Gi"],
    ),
    (
        "an_unknown_choice",
        {"spec.domain.ioThreadsPolicy": "dedicated"},
        ["spec.domain.ioThreadsPolicy: 'dedicated' is not one of shared, auto, supplementalPool"],
    ),
    (
        "a_choice_of_another_type",
        {f"{DISKS}[0].disk.bus": ["virtio"]},
        [f"{DISKS}[0].disk.bus: a list is not one of virtio, scsi, sata, usb"],
    ),
    (
        "an_unknown_type_of_volume",
        {"spec.volumes[0].hostDisk.type": "File"},
        ["spec.volumes[0].hostDisk.type: 'File' is not Disk or DiskOrCreate"],
    ),
    ("an_unknown_architecture", {"spec.architecture": "s390x"}, ["spec.architecture: 's390x' is not amd64 or arm64"]),
    (
        "a_pointer_to_no_text",
        {"spec.domain.ioThreadsPolicy": ""},
        ["spec.domain.ioThreadsPolicy: '' is not one of shared, auto, supplementalPool"],
    ),
    (
        "one_second_before_now",
        {"spec.terminationGracePeriodSeconds": -1},
        ["spec.terminationGracePeriodSeconds: -1 is not a number of seconds"],
    ),
    (
        "a_grace_period_of_a_century",
        {"spec.terminationGracePeriodSeconds": 2**31},
        ["spec.terminationGracePeriodSeconds: 2147483648 is more than 2147483647"],
    ),
    ("a_boot_order_of_0", {f"{DISKS}[0].bootOrder": 0}, [f"{DISKS}[0].bootOrder: 0 is not a positive integer"]),
    ("a_missing_name", {f"{DISKS}[1].name": ABSENT}, [f"{DISKS}[1].name: missing"]),
    ("a_required_field_that_is_null", {f"{DISKS}[1].name": None}, [f"{DISKS}[1].name: missing"]),
    ("no_spec", {"spec": ABSENT}, ["spec: missing"]),
    ("no_domain", {"spec.domain": ABSENT}, ["spec.domain: missing"]),
    (
        "a_disk_without_path_or_type",
        {"spec.volumes[0].hostDisk": {}},
        ["spec.volumes[0].hostDisk.path: missing", "spec.volumes[0].hostDisk.type: missing"],
    ),
    ("no_page_size", {"spec.domain.memory.hugepages": {}}, ["spec.domain.memory.hugepages.pageSize: missing"]),
    (
        "another_version",
        {"apiVersion": "kubevirt.io/v2"},
        ["apiVersion: 'kubevirt.io/v2' is not kubevirt.io/v1 or kubevirt.io/v1alpha3"],
    ),
    (
        "another_version_hides_nothing",
        {"apiVersion": "kubevirt.io/v1alpha1", "metadata.name": "A", "spec.domain.cpu.cores": "x"},
        [
            "apiVersion: 'kubevirt.io/v1alpha1' is not kubevirt.io/v1 or kubevirt.io/v1alpha3",
            "metadata.name: 'A' is not a DNS label: 1 to 63 of a-z, 0-9 and -, neither first nor last -",
            "spec.domain.cpu.cores: 'x' is not a positive integer",
        ],
    ),
    ("no_version", {"apiVersion": ABSENT}, ["apiVersion: missing; wanted kubevirt.io/v1 or kubevirt.io/v1alpha3"]),
    (
        "a_mask_without_quotes",
        {CPU: {"realtime": {"mask": 0}, "dedicatedCpuPlacement": True, "cores": 1}},
        [f"{CPU}.realtime.mask: 0 {QUOTE}"],
    ),
    (
        "a_field_that_belongs_elsewhere",
        {"spec.domain.hostname": "a", "spec.hugepages": {"pageSize": "2Mi"}},
        [
            "spec.domain.hostname: no such field here; it belongs at spec.hostname",
            "spec.hugepages: no such field here; it belongs at spec.domain.memory.hugepages",
        ],
    ),
    (
        "a_set_of_machines",
        {"kind": "VirtualMachineInstanceReplicaSet"},
        [
            f"kind: a VirtualMachineInstanceReplicaSet {advice_on('VirtualMachineInstanceReplicaSet')}",
        ],
    ),
    (
        "a_template_in_quotes",
        {"metadata.name": "{{ name }}", "spec.domain.cpu.cores": "{{ cores }}", "spec.domain.cpu.threads": -1},
        [
            f"metadata.name: is of a template, not of a manifest: '{{{{ name }}}}', and 1 more; {FILL_IN}",
            "spec.domain.cpu.threads: -1 is not a positive integer",
        ],
    ),
    (
        "another_kind",
        {"kind": "Pod"},
        ["kind: 'Pod' is not a kind that this program runs; wanted VirtualMachineInstance or VirtualMachine"],
    ),
    (
        "a_kind_that_is_no_text",
        {"kind": ["VirtualMachine"]},
        ["kind: a list is not a kind that this program runs; wanted VirtualMachineInstance or VirtualMachine"],
    ),
    ("no_kind", {"kind": ABSENT}, ["kind: missing; wanted VirtualMachineInstance or VirtualMachine"]),
    ("a_misspelt_field", {f"{CPU}.coers": 2}, [f'{CPU}.coers: no such field; did you mean "cores"?']),
    (
        "a_field_in_the_wrong_case",
        {f"{CPU}.dedicatedCPUPlacement": True},
        [f'{CPU}.dedicatedCPUPlacement: no such field; did you mean "dedicatedCpuPlacement"?'],
    ),
    (
        "a_misspelt_field_that_is_null",
        {f"{CPU}.coers": None},
        [f'{CPU}.coers: no such field; did you mean "cores"?'],
    ),
    (
        "a_field_that_nobody_has",
        {"spec.domain.memory.xyzzy": 1},
        ["spec.domain.memory.xyzzy: no such field; Memory has guest, maxGuest, hugepages, reservedOverhead"],
    ),
    (
        "a_field_where_there_are_none",
        {f"{CPU}.numa": {"guestMappingPassthrough": {"strict": True}}},
        [
            f"{CPU}.numa.guestMappingPassthrough: needs {CPU}.dedicatedCpuPlacement: true",
            f"{CPU}.numa.guestMappingPassthrough.strict: no such field; NUMAGuestMappingPassthrough has none",
        ],
    ),
    (
        "a_name_with_a_newline_stays_on_one_line",
        {"spec.domain.memory.a\nb": 1},
        ["spec.domain.memory['a\\nb']: no such field; Memory has guest, maxGuest, hugepages, reservedOverhead"],
    ),
    (
        "a_field_of_kubevirt",
        {"spec.utilityVolumes": [{}]},
        [f"spec.utilityVolumes: {advice_for('VirtualMachineInstanceSpec', 'utilityVolumes')}"],
    ),
    (
        "a_device_of_kubevirt",
        {"spec.domain.launchSecurity": {"sev": {}}},
        [f"spec.domain.launchSecurity: {advice_for('DomainSpec', 'launchSecurity')}"],
    ),
]

# What asks for nothing, or for what others have done already.
ACCEPTED: list[tuple[str, Changes]] = [
    ("null_of_the_metadata_is_as_absent", {"metadata.labels": None, "metadata.namespace": None, "status": None}),
    ("an_annotation_that_is_null_is_empty", {"metadata.annotations": {"a": None}}),
    ("an_empty_list_of_what_is_not_supported", {"spec.networks": [], "spec.domain.devices.interfaces": []}),
    ("a_cpu_of_0_is_as_absent", {f"{CPU}.cores": 0, f"{CPU}.threads": 0, f"{CPU}.maxSockets": 0}),
    (
        "what_the_scheduler_has_acted_on",
        {
            "spec.nodeSelector": {"cpumanager": "true"},
            "spec.affinity": {"nodeAffinity": {}},
            "spec.tolerations": [{"operator": "Exists"}],
            "spec.topologySpreadConstraints": [{}],
            "spec.schedulerName": "default-scheduler",
            "spec.priorityClassName": "high",
            "spec.serviceAccountName": "default",
            "spec.evictionStrategy": "LiveMigrate",
        },
    ),
    (
        "what_the_api_server_adds",
        {
            "status": {"phase": "Running", "conditions": [{}]},
            "metadata.uid": "5d307ca9",
            "metadata.generateName": "guest-",
            "metadata.resourceVersion": "12",
            "metadata.generation": 3,
            "metadata.creationTimestamp": None,
            "metadata.deletionTimestamp": "2026-01-31T12:00:00Z",
            "metadata.deletionGracePeriodSeconds": 30,
            "metadata.selfLink": "",
            "metadata.finalizers": ["foregroundDeletion"],
            "metadata.ownerReferences": [{"kind": "VirtualMachine"}],
            "metadata.managedFields": [{"fieldsV1": {"f:spec": {}}}],
        },
    ),
    (
        "toggles_that_say_what_is_so",
        {
            "spec.domain.devices.autoattachGraphicsDevice": False,
            "spec.domain.devices.autoattachInputDevice": False,
            "spec.domain.devices.autoattachMemBalloon": False,
            "spec.domain.devices.autoattachPodInterface": False,
            "spec.domain.devices.autoattachVSOCK": False,
            "spec.domain.devices.blockMultiQueue": False,
            "spec.domain.devices.networkInterfaceMultiqueue": False,
            "spec.domain.devices.useVirtioTransitional": False,
            "spec.domain.devices.disableHotplug": True,
            "spec.domain.firmware.bootloader": {"bios": {"useSerial": False}},
            "spec.volumes[0].hostDisk.shared": True,
        },
    ),
    (
        "other_resources_are_the_schedulers",
        {"spec.domain.resources.limits": {"a.vendor/device": 1, "ephemeral-storage": "1Gi", "hugepages-2Mi": "1Gi"}},
    ),
]


def _faults(manifest: Document) -> list[str]:
    try:
        admitted(manifest)
    except InvalidVMI as error:
        return [str(fault) for fault in error.faults]
    return []


@pytest.mark.parametrize(("changes", "expected"), [row[1:] for row in FAULTS], ids=[row[0] for row in FAULTS])
def test_a_fault_is_told_with_its_path(changes: Changes, expected: list[str]) -> None:
    assert _faults(document(changes)) == expected


@pytest.mark.parametrize("changes", [row[1] for row in ACCEPTED], ids=[row[0] for row in ACCEPTED])
def test_what_asks_for_nothing_is_accepted(changes: Changes) -> None:
    assert _faults(document(changes)) == []


def test_every_fault_is_told_at_once_in_the_documents_order() -> None:
    changes: Changes = {
        "spec.volumes[1].name": "Data",
        f"{CPU}.cores": "two",
        "metadata.name": "-",
        "spec.domain.launchSecurity": {"sev": {}},
        "spec.domain.memory.guest": "512k",
        "spec.domain.resources.limits.cpu": -1,
    }
    assert [fault.partition(":")[0] for fault in _faults(document(changes))] == [
        "metadata.name",
        f"{CPU}.cores",
        "spec.domain.memory.guest",
        "spec.domain.resources.limits.cpu",
        f"{DISKS}[1].name",
        "spec.domain.launchSecurity",
        "spec.volumes[1].name",
    ]


def test_a_fault_hides_no_other_and_brings_no_other_with_it() -> None:
    # Whether there are too few sockets cannot be known, but that the isolated emulator needs dedicated CPUs is.
    changes: Changes = {f"{CPU}.sockets": "x", f"{CPU}.maxSockets": 1, f"{CPU}.isolateEmulatorThread": True}
    assert _faults(document(changes)) == [
        f"{CPU}.sockets: 'x' is not a positive integer",
        f"{CPU}.isolateEmulatorThread: needs {CPU}.dedicatedCpuPlacement: true",
    ]


def test_a_misspelt_field_is_not_told_twice_as_missing() -> None:
    changes: Changes = {"spec.domain.memory": {"guets": "1Gi"}}
    assert _faults(document(changes)) == ['spec.domain.memory.guets: no such field; did you mean "guest"?']


def test_a_list_with_a_faulty_item_is_not_counted_wrongly() -> None:
    changes: Changes = {f"{DISKS}[0].name": ABSENT, f"{DISKS}[1].bootOrder": 1}
    assert _faults(document(changes)) == [f"{DISKS}[0].name: missing"]


def test_faults_without_number_are_cut() -> None:
    root = manifest() | {f"x{index}": 1 for index in range(40_000)}
    decoded = decode(root, VirtualMachineInstance)
    assert decoded.value is None
    assert len(decoded.faults) == MAX_FAULTS + 1
    assert decoded.faults[-1] == Fault("", "100 faults, perhaps more; mend these first")


def test_a_very_long_name_is_not_compared_with_others() -> None:
    root = manifest() | {"x" * 500_000: 1}
    assert _faults(Document(source="vmi.yaml", root=root)) == [
        f"['{'x' * 57}'...]: no such field; VirtualMachineInstance has spec, apiVersion, kind, metadata, status"
    ]


@pytest.mark.parametrize("amount", [2, "2", 2.0, "2000m", "2e0"])
def test_a_quantity_is_a_number_or_text(amount: object) -> None:
    decoded = decode(manifest({"spec.domain.resources.limits.cpu": amount}), VirtualMachineInstance)
    assert decoded.value is not None
    assert decoded.value.spec.domain.resources.limits == {"cpu": Quantity.of_units(2)}


def test_the_faults_of_a_machine_have_the_paths_of_its_template() -> None:
    changes: Changes = {"metadata.name": "A", f"{CPU}.cores": -1, "spec.domain.memory.guest": ABSENT}
    assert _faults(machine(changes)) == [
        "metadata.name: 'A' is not a DNS label: 1 to 63 of a-z, 0-9 and -, neither first nor last -",
        "spec.template.spec.domain.cpu.cores: -1 is not a positive integer",
        f"spec.template.spec.domain.memory.guest: {NO_MEMORY}",
    ]


# Expected: what the validator of KubeVirt's webhooks says of these, with its schema (pkg/util/openapi).
NULLS = [
    *(f"{CPU}.{name}" for name in ("sockets", "model", "features", "numa")),
    *(f"spec.domain.{name}" for name in ("cpu", "machine", "clock", "devices.interfaces", "devices.rng")),
    *("spec.nodeSelector", "spec.affinity", "spec.networks", "spec.terminationGracePeriodSeconds"),
]


@pytest.mark.parametrize("path", NULLS)
def test_a_null_in_the_spec_is_refused(path: str) -> None:
    assert _faults(document({path: None})) == [f"{path}: {NULL}"]


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"spec.domain.resources.limits": {"cpu": None}}, "spec.domain.resources.limits.cpu"),
        ({"spec.domain.devices.disks[0].disk": None}, "spec.domain.devices.disks[0].disk"),
        ({"spec.domain.devices.disks[0].cache": None}, "spec.domain.devices.disks[0].cache"),
        ({"spec.nodeSelector": {"a": None}}, "spec.nodeSelector.a"),
    ],
)
def test_a_null_below_a_field_is_refused(changes: Changes, path: str) -> None:
    assert f"{path}: {NULL}" in _faults(document(changes))


def test_what_go_writes_as_null_is_taken() -> None:
    vm = machine(metadata={"creationTimestamp": None})
    assert _faults(vm) == []


def test_a_null_of_the_metadata_of_a_template_is_refused() -> None:
    assert _faults(machine(metadata={"annotations": {"a": None}})) == [f"spec.template.metadata.annotations.a: {NULL}"]


@pytest.mark.parametrize(
    ("spec", "faults"),
    [
        ({}, ["spec.running: missing, and spec.runStrategy too; wanted runStrategy, such as Always or Halted"]),
        (
            {"running": True, "runStrategy": "Always"},
            ["spec.running: excludes spec.runStrategy; take running out, which is deprecated"],
        ),
        ({"running": "true"}, ["spec.running: 'true' is not true or false"]),
        (
            {"runStrategy": "Sometimes"},
            [f"spec.runStrategy: 'Sometimes' is not {' or '.join(STRATEGIES)}"],
        ),
        ({"running": False}, []),
    ],
)
def test_when_a_machine_runs_is_said_once(spec: dict[str, Value], faults: list[str]) -> None:
    vm = machine()
    vm.root["spec"] = {"template": {"spec": manifest()["spec"]}, **spec}
    assert _faults(vm) == faults


def test_a_machine_without_template_is_refused() -> None:
    vm = machine()
    vm.root["spec"] = {"running": True}
    assert _faults(vm) == ["spec.template: missing"]


STRUCTS = [
    struct
    for struct in {**vars(schema), **vars(schema_storage), **vars(schema_machine), **vars(schema_devices)}.values()
    if isinstance(struct, type) and issubclass(struct, Struct) and struct not in (Struct, KubeVirtStruct, Quantity)
]


@pytest.mark.parametrize("struct", STRUCTS, ids=[struct.__name__ for struct in STRUCTS])
def test_every_field_of_the_schema_is_kubevirts(struct: type[Struct]) -> None:
    unknown = [
        field.encode_name for field in structs.fields(struct) if not is_known(struct.__name__, field.encode_name)
    ]
    assert unknown == []
