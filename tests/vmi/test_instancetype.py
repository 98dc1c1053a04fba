"""Instancetypes and preferences: what becomes of a machine that names them, and what is told where that cannot be.

Expected: what KubeVirt's pkg/instancetype makes of the same; both were compared over all of its common bundle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.errors import InvalidVMI
from launcher.vmi.document import read_document
from launcher.vmi.guest import Topology
from launcher.vmi.load import admitted
from launcher.vmi.manifest import Choice, Companion, Document, Value
from tests.vmi.manifests import manifest

VERSION = "instancetype.kubevirt.io/v1beta1"
SIZES: dict[str, Value] = {"cpu": {"guest": 4}, "memory": {"guest": "8Gi"}}
Fields = Mapping[str, Value]


def _instancetype(
    spec: Fields, kind: str = "VirtualMachineClusterInstancetype", name: str = "small"
) -> dict[str, Value]:
    return {"apiVersion": VERSION, "kind": kind, "metadata": {"name": name}, "spec": dict(spec)}


def _preference(spec: Fields, kind: str = "VirtualMachineClusterPreference") -> dict[str, Value]:
    return {"apiVersion": VERSION, "kind": kind, "metadata": {"name": "linux"}, "spec": dict(spec)}


def _machine(domain: Fields | None = None, fields: Fields | None = None, **spec: Value) -> dict[str, Value]:
    """Return a machine of the instancetype `small`, with this domain beside its disks."""
    disks: Value = [{"name": "root", "disk": {"bus": "virtio"}}]
    instance: dict[str, Value] = {
        "domain": {"devices": {"disks": disks}, **(domain or {})},
        "volumes": [{"name": "root", "hostDisk": {"path": "/images/root.img", "type": "Disk"}}],
        **(fields or {}),
    }
    return {
        "apiVersion": "kubevirt.io/v1",
        "kind": "VirtualMachine",
        "metadata": {"name": "guest"},
        "spec": {
            "runStrategy": "Always",
            "instancetype": {"name": "small"},
            **spec,
            "template": {"metadata": {}, "spec": instance},
        },
    }


def _document(machine: dict[str, Value], *companions: dict[str, Value]) -> Document:
    beside = tuple(Companion(source=f"types.yaml ({n})", root=root) for n, root in enumerate(companions))
    return Document(source="vm.yaml", root=machine, companions=beside)


def _template(machine: dict[str, Value], *companions: dict[str, Value]) -> dict[str, Value]:
    """Return the template of the machine as it is with what came with it."""
    root = admitted(_document(machine, *companions)).root
    return cast("dict[str, dict[str, dict[str, Value]]]", root)["spec"]["template"]


def _domain(machine: dict[str, Value], *companions: dict[str, Value]) -> dict[str, Value]:
    return cast("dict[str, dict[str, Value]]", _template(machine, *companions)["spec"])["domain"]


def _faults(document: Document) -> list[str]:
    try:
        admitted(document)
    except InvalidVMI as error:
        return [str(fault) for fault in error.faults]
    return []


@pytest.mark.parametrize(
    ("preferred", "vcpus", "topology"),
    [
        ({}, 4, Topology(sockets=4)),
        ({"preferredCPUTopology": "sockets"}, 4, Topology(sockets=4)),
        ({"preferredCPUTopology": "preferCores"}, 4, Topology(cores=4)),
        ({"preferredCPUTopology": "threads"}, 4, Topology(threads=4)),
        ({"preferredCPUTopology": "any"}, 4, Topology(sockets=4)),
        ({"preferredCPUTopology": "preferAny"}, 1, Topology()),
        ({"preferredCPUTopology": "spread"}, 4, Topology(sockets=2, cores=2)),
        ({"preferredCPUTopology": "preferSpread", "spreadOptions": {"ratio": 4}}, 8, Topology(sockets=2, cores=4)),
        (
            {"preferredCPUTopology": "spread", "spreadOptions": {"across": "CoresThreads"}},
            8,
            Topology(cores=4, threads=2),
        ),
        (
            {"preferredCPUTopology": "spread", "spreadOptions": {"across": "SocketsCoresThreads", "ratio": 4}},
            16,
            Topology(sockets=2, cores=4, threads=2),
        ),
    ],
)
def test_vcpus_are_laid_out_as_the_preference_wants(preferred: Fields, vcpus: int, topology: Topology) -> None:
    machine = _machine(preference={"name": "linux"})
    types = _instancetype({"cpu": {"guest": vcpus}, "memory": {"guest": "1Gi"}})
    guest = admitted(_document(machine, types, _preference({"cpu": dict(preferred)}))).guest
    assert guest.cpu.topology == topology


def test_an_instancetype_says_how_large_a_guest_is() -> None:
    sizes: dict[str, Value] = {
        "cpu": {
            "guest": 2,
            "dedicatedCPUPlacement": True,
            "isolateEmulatorThread": True,
            "model": "host-passthrough",
            "numa": {"guestMappingPassthrough": {}},
            "maxSockets": 8,
        },
        "memory": {"guest": "2Gi", "hugepages": {"pageSize": "2Mi"}},
        "ioThreadsPolicy": "auto",
        "nodeSelector": {"a": "b"},
        "schedulerName": "own",
        "annotations": {"x": "y"},
    }
    template = _template(_machine(), _instancetype(sizes))
    domain = cast("dict[str, Value]", template["spec"])["domain"]
    assert domain == {
        "devices": {"disks": [{"name": "root", "disk": {"bus": "virtio"}}]},
        "cpu": {
            "model": "host-passthrough",
            "dedicatedCpuPlacement": True,
            "isolateEmulatorThread": True,
            "numa": {"guestMappingPassthrough": {}},
            "maxSockets": 8,
            "sockets": 2,
            "cores": 1,
            "threads": 1,
        },
        "memory": {"guest": "2Gi", "hugepages": {"pageSize": "2Mi"}},
        "ioThreadsPolicy": "auto",
    }
    assert template["metadata"] == {"annotations": {"x": "y"}}
    spec = cast("dict[str, Value]", template["spec"])
    assert (spec["nodeSelector"], spec["schedulerName"]) == ({"a": "b"}, "own")


def test_memory_that_is_overcommitted_is_requested_in_part() -> None:
    sizes = {"cpu": {"guest": 1}, "memory": {"guest": "2Gi", "overcommitPercent": 50}}
    assert _domain(_machine(), _instancetype(cast("Fields", sizes)))["resources"] == {"requests": {"memory": "1Gi"}}


def test_the_references_are_taken_out_of_what_a_pod_is_given() -> None:
    root = admitted(_document(_machine(preference={"name": "linux"}), _instancetype(SIZES), _preference({}))).root
    assert set(cast("dict[str, Value]", root["spec"])) == {"runStrategy", "template"}


def test_the_manifest_that_was_read_stays_as_it_is() -> None:
    machine = _machine()
    before = json.dumps(machine)
    admitted(_document(machine, _instancetype(SIZES)))
    assert json.dumps(machine) == before


ALREADY = "the instancetype says it already; take it out here"
CONFLICTS = [
    ("cpu.sockets", {"cpu": {"sockets": 1}}, {}),
    ("cpu.cores", {"cpu": {"cores": 2}}, {}),
    ("cpu.threads", {"cpu": {"threads": 1}}, {}),
    ("cpu.model", {"cpu": {"model": "host-model"}}, {"cpu": {"guest": 1, "model": "host-passthrough"}}),
    (
        "cpu.dedicatedCpuPlacement",
        {"cpu": {"dedicatedCpuPlacement": True}},
        {"cpu": {"guest": 1, "dedicatedCPUPlacement": False}},
    ),
    ("cpu.numa", {"cpu": {"numa": {}}}, {"cpu": {"guest": 1, "numa": {}}}),
    ("memory.guest", {"memory": {"guest": "1Gi"}}, {}),
    (
        "memory.hugepages",
        {"memory": {"hugepages": {"pageSize": "1Gi"}}},
        {"memory": {"guest": "1Gi", "hugepages": {"pageSize": "2Mi"}}},
    ),
    ("resources.requests.cpu", {"resources": {"requests": {"cpu": 1}}}, {}),
    ("resources.limits.cpu", {"resources": {"limits": {"cpu": 1}}}, {}),
    ("resources.requests.memory", {"resources": {"requests": {"memory": "1Gi"}}}, {}),
    ("resources.limits.memory", {"resources": {"limits": {"memory": "1Gi"}}}, {}),
    ("ioThreadsPolicy", {"ioThreadsPolicy": "auto"}, {"ioThreadsPolicy": "shared"}),
]


@pytest.mark.parametrize(("path", "domain", "sizes"), CONFLICTS, ids=[row[0] for row in CONFLICTS])
def test_what_both_set_is_a_conflict_that_names_the_field(path: str, domain: Fields, sizes: Fields) -> None:
    document = _document(_machine(domain), _instancetype({**SIZES, **sizes}))
    assert f"spec.template.spec.domain.{path}: {ALREADY}" in _faults(document)


def test_what_is_not_in_conflict_is_no_fault() -> None:
    domain: Fields = {"cpu": {"features": [{"name": "invtsc"}], "sockets": 0}, "resources": {"requests": {}}}
    assert _faults(_document(_machine(domain), _instancetype(SIZES))) == []


def test_every_conflict_is_told_and_hides_no_other_fault() -> None:
    machine = _machine({"cpu": {"cores": 1, "sockets": 1}, "memory": {"guest": "1Gi"}, "machine": {"type": 5}})
    assert _faults(_document(machine, _instancetype(SIZES))) == [
        f"spec.template.spec.domain.cpu.cores: {ALREADY}",
        f"spec.template.spec.domain.cpu.sockets: {ALREADY}",
        f"spec.template.spec.domain.memory.guest: {ALREADY}",
        "spec.template.spec.domain.machine.type: 5 is not text; put it in quotes",
    ]


def test_annotations_that_differ_are_a_conflict() -> None:
    machine = _machine()
    cast("dict[str, dict[str, dict[str, Value]]]", machine)["spec"]["template"]["metadata"] = {
        "annotations": {"x": "z"}
    }
    document = _document(machine, _instancetype({**SIZES, "annotations": {"x": "y"}}))
    assert _faults(document) == [f"spec.template.metadata.annotations.x: {ALREADY}"]


DISKS: Value = [{"name": "a"}, {"name": "b", "cdrom": {}}, {"name": "c", "disk": {"bus": "sata"}, "cache": "writeback"}]
VOLUMES: Value = [
    {"name": name, "hostDisk": {"path": f"/images/{name}.img", "type": "Disk"}} for name in ("a", "b", "c")
]


def test_disks_are_as_the_preference_has_them_where_they_say_nothing() -> None:
    preferred: Value = {
        "preferredDiskBus": "virtio",
        "preferredCdromBus": "scsi",
        "preferredDiskCache": "none",
        "preferredDiskDedicatedIoThread": True,
    }
    machine = _machine({"devices": {"disks": DISKS}}, {"volumes": VOLUMES}, preference={"name": "linux"})
    domain = _domain(machine, _instancetype(SIZES), _preference({"devices": preferred}))
    assert domain["devices"] == {
        "disks": [
            {"name": "a", "disk": {"bus": "virtio"}, "cache": "none", "dedicatedIOThread": True},
            {"name": "b", "cdrom": {"bus": "scsi"}},
            {"name": "c", "disk": {"bus": "sata"}, "cache": "writeback"},
        ],
    } | {name: value for name, value in cast("Fields", domain["devices"]).items() if name != "disks"}


@pytest.mark.parametrize(
    ("preferred", "own", "expected"),
    [
        ({"preferredUseEfi": True, "preferredUseSecureBoot": False}, None, {"efi": {"secureBoot": False}}),
        ({"preferredEfi": {"persistent": True}, "preferredUseSecureBoot": False}, None, {"efi": {"persistent": True}}),
        ({"preferredUseBios": True, "preferredUseBiosSerial": True}, None, {"bios": {"useSerial": True}}),
        ({"preferredEfi": {}}, {"bios": {}}, {"bios": {}}),
        ({"preferredUseBios": True}, {"efi": {"secureBoot": False}}, {"efi": {"secureBoot": False}}),
        ({"preferredUseSecureBoot": False}, {"efi": {}}, {"efi": {"secureBoot": False}}),
    ],
)
def test_firmware_is_as_the_preference_has_it_where_none_is_given(
    preferred: Value, own: Value, expected: Value
) -> None:
    domain: dict[str, Value] = {"features": {"smm": {}}}
    if own is not None:
        domain["firmware"] = {"bootloader": own}
    machine = _machine(domain, preference={"name": "linux"})
    expanded = _domain(machine, _instancetype(SIZES), _preference({"firmware": preferred}))
    assert expanded["firmware"] == {"bootloader": expected}


def test_a_preference_adds_what_the_machine_leaves_open_and_no_more() -> None:
    preferred: dict[str, Value] = {
        "clock": {"preferredClockOffset": {"timezone": "UTC"}, "preferredTimer": {"hpet": {"present": False}}},
        "cpu": {
            "preferredCPUFeatures": [{"name": "invtsc", "policy": "require"}, {"name": "pcid", "policy": "require"}]
        },
        "features": {"preferredHyperv": {"relaxed": {}, "vapic": {}}, "preferredAcpi": {"enabled": True}},
        "machine": {"preferredMachineType": "q35"},
        "preferredTerminationGracePeriodSeconds": 7,
        "annotations": {"x": "preferred"},
    }
    own: Fields = {
        "cpu": {"features": [{"name": "pcid", "policy": "disable"}]},
        "clock": {"utc": {}},
        "features": {"hyperv": {"relaxed": {"enabled": False}}},
    }
    template = _template(_machine(own, preference={"name": "linux"}), _instancetype(SIZES), _preference(preferred))
    domain = cast("dict[str, dict[str, Value]]", cast("Fields", template["spec"])["domain"])
    assert domain["clock"] == {"utc": {}, "timer": {"hpet": {"present": False}}}
    assert domain["cpu"]["features"] == [
        {"name": "pcid", "policy": "disable"},
        {"name": "invtsc", "policy": "require"},
    ]
    assert domain["features"] == {"hyperv": {"relaxed": {"enabled": False}, "vapic": {}}, "acpi": {"enabled": True}}
    assert domain["machine"] == {"type": "q35"}
    assert cast("Fields", template["spec"])["terminationGracePeriodSeconds"] == 7
    assert template["metadata"] == {"annotations": {"x": "preferred"}}


def test_what_yaml_says_once_for_two_places_is_changed_in_one() -> None:
    shared: Value = {}
    disks: Value = [{"name": "a", "disk": shared}, {"name": "b", "cdrom": shared}]
    machine = _machine({"devices": {"disks": disks}}, {"volumes": VOLUMES}, preference={"name": "linux"})
    preferred: Value = {"preferredDiskBus": "virtio"}
    devices = cast("Fields", _domain(machine, _instancetype(SIZES), _preference({"devices": preferred}))["devices"])
    assert cast("list[Value]", devices["disks"])[:2] == [
        {"name": "a", "disk": {"bus": "virtio"}},
        {"name": "b", "cdrom": {}},
    ]


REQUIREMENTS = [
    ("enough", {"cpu": {"guest": 4}, "memory": {"guest": "8Gi"}}, []),
    ("too_few_vcpus", {"cpu": {"guest": 5}}, ["spec.instancetype: has 4 vCPUs; the preference requires 5"]),
    (
        "too_little_memory",
        {"memory": {"guest": "9Gi"}},
        ["spec.instancetype: 8Gi of memory; the preference requires 9Gi"],
    ),
    (
        "another_architecture",
        {"architecture": "arm64"},
        ["spec.template.spec.architecture: 'amd64'; the preference requires 'arm64'"],
    ),
]


@pytest.mark.parametrize(("wanted", "faults"), [row[1:] for row in REQUIREMENTS], ids=[row[0] for row in REQUIREMENTS])
def test_what_a_preference_requires_is_checked(wanted: Value, faults: list[str]) -> None:
    machine = _machine(preference={"name": "linux"})
    document = _document(machine, _instancetype(SIZES), _preference({"requirements": wanted}))
    assert _faults(document) == faults


def test_a_machine_without_instancetype_is_measured_itself() -> None:
    machine = _machine({"cpu": {"cores": 4}, "memory": {"guest": "1Gi"}}, preference={"name": "linux"})
    del cast("dict[str, dict[str, Value]]", machine)["spec"]["instancetype"]
    wanted: Value = {"cpu": {"guest": 2}, "memory": {"guest": "2Gi"}}
    assert _faults(_document(machine, _preference({"requirements": wanted}))) == [
        "spec.template.spec.domain.cpu.sockets: 0 vCPUs as sockets; the preference requires 2",
        "spec.template.spec.domain.memory: 1Gi of memory; the preference requires 2Gi",
    ]


def test_vcpus_that_cannot_be_spread_are_told() -> None:
    machine = _machine(preference={"name": "linux"})
    sizes: Fields = {"cpu": {"guest": 3}, "memory": {"guest": "1Gi"}}
    document = _document(machine, _instancetype(sizes), _preference({"cpu": {"preferredCPUTopology": "spread"}}))
    assert _faults(document) == [
        "spec.instancetype: 3 vCPUs cannot be spread over SocketsCores by 2, as the preference wants"
    ]


CLUSTERS = "VirtualMachineClusterInstancetype"
HOW = "give it as a document beside the machine, or with --instancetype FILE"
NOT_HERE = [
    (
        "no_document",
        {"name": "small"},
        [],
        (
            f"spec.instancetype.name: 'small' is a {CLUSTERS} that is not here; {HOW} "
            "(kubectl get virtualmachineclusterinstancetype small -o yaml)"
        ),
    ),
    (
        "one_of_the_other_kind",
        {"name": "small"},
        [_instancetype(SIZES, "VirtualMachineInstancetype")],
        (
            f"spec.instancetype.name: 'small' is a {CLUSTERS} that is not here; {HOW} "
            "(kubectl get virtualmachineclusterinstancetype small -o yaml); "
            "the one here is a VirtualMachineInstancetype of default"
        ),
    ),
    (
        "another_kind",
        {"name": "small", "kind": "Secret"},
        [_instancetype(SIZES)],
        f"spec.instancetype.kind: 'Secret' is not VirtualMachineInstancetype or {CLUSTERS}",
    ),
    ("neither_name_nor_volume", {"kind": CLUSTERS}, [], "spec.instancetype: wanted name, or inferFromVolume"),
    (
        "a_revision",
        {"name": "small", "revisionName": "r1"},
        [_instancetype(SIZES)],
        (
            "spec.instancetype.revisionName: 'r1' is a ControllerRevision that only the cluster has; "
            "give it as a document beside the machine, or what it holds with --instancetype FILE"
        ),
    ),
    (
        "a_volume_whose_claim_is_not_here",
        {"inferFromVolume": "data"},
        [],
        (
            "spec.instancetype.inferFromVolume: "
            "the PersistentVolumeClaim default/claim, whose labels say it, is not here; "
            "write the name into spec.instancetype.name, or give --instancetype FILE"
        ),
    ),
    (
        "a_volume_that_is_not_there",
        {"inferFromVolume": "nothing"},
        [],
        (
            "spec.instancetype.inferFromVolume: the machine has no volume called 'nothing'; "
            "write the name into spec.instancetype.name, or give --instancetype FILE"
        ),
    ),
    (
        "a_volume_without_a_label",
        {"inferFromVolume": "root"},
        [],
        (
            "spec.instancetype.inferFromVolume: what holds the volume 'root' has no label "
            "instancetype.kubevirt.io/default-instancetype"
        ),
    ),
    (
        "a_name_and_a_volume",
        {"name": "small", "inferFromVolume": "root"},
        [_instancetype(SIZES)],
        "spec.instancetype.name: take it out, or inferFromVolume: each says which one",
    ),
]
CLAIMED: Fields = {
    "volumes": [
        {"name": "root", "hostDisk": {"path": "/images/root.img", "type": "Disk"}},
        {"name": "data", "persistentVolumeClaim": {"claimName": "claim"}},
    ]
}
CLAIMED_DOMAIN: Fields = {"devices": {"disks": [{"name": "root"}, {"name": "data"}]}}


@pytest.mark.parametrize(
    ("matcher", "companions", "fault"), [row[1:] for row in NOT_HERE], ids=[str(row[0]) for row in NOT_HERE]
)
def test_an_instancetype_that_cannot_be_had_is_one_fault(
    matcher: Value, companions: list[dict[str, Value]], fault: str
) -> None:
    assert _faults(_document(_machine(CLAIMED_DOMAIN, CLAIMED, instancetype=matcher), *companions)) == [fault]


@pytest.mark.parametrize("kind", ["virtualmachineinstancetype", "VirtualMachineInstancetypes"])
def test_a_kind_may_be_named_as_a_resource(kind: str) -> None:
    machine = _machine(instancetype={"name": "small", "kind": kind})
    assert _faults(_document(machine, _instancetype(SIZES, "VirtualMachineInstancetype"))) == []


def test_a_revision_that_came_with_the_machine_is_used() -> None:
    revision: dict[str, Value] = {
        "apiVersion": "apps/v1",
        "kind": "ControllerRevision",
        "metadata": {"name": "r1"},
        "data": _instancetype({"cpu": {"guest": 3}, "memory": {"guest": "1Gi"}}),
    }
    machine = _machine(instancetype={"name": "small", "revisionName": "r1"})
    assert admitted(_document(machine, _instancetype(SIZES), revision)).guest.cpu.topology.vcpus == 3


def test_an_instancetype_is_inferred_from_the_labels_of_a_claim_that_came_with_the_machine() -> None:
    claim: dict[str, Value] = {
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": "claim", "labels": {"instancetype.kubevirt.io/default-instancetype": "small"}},
    }
    machine = _machine(CLAIMED_DOMAIN, CLAIMED, instancetype={"inferFromVolume": "data"})
    assert admitted(_document(machine, claim, _instancetype(SIZES))).guest.cpu.topology.vcpus == 4


def test_a_preference_that_cannot_be_inferred_is_passed_over_where_the_machine_says_so() -> None:
    claim: dict[str, Value] = {"kind": "PersistentVolumeClaim", "metadata": {"name": "claim"}}
    preference: Value = {"inferFromVolume": "data", "inferFromVolumeFailurePolicy": "Ignore"}
    machine = _machine(CLAIMED_DOMAIN, CLAIMED, preference=preference)
    assert _faults(_document(machine, claim, _instancetype(SIZES))) == []


@pytest.mark.parametrize("version", ["v1beta1", "v1alpha2", "v1alpha1"])
def test_every_version_that_kubevirt_served_is_taken(version: str) -> None:
    types = _instancetype(SIZES) | {"apiVersion": f"instancetype.kubevirt.io/{version}"}
    assert _faults(_document(_machine(), types)) == []


WRONG = [
    ("no_size", {"cpu": {}, "memory": {"guest": "1Gi"}}, "spec.cpu.guest: missing"),
    (
        "no_vcpu",
        {"cpu": {"guest": 0}, "memory": {"guest": "1Gi"}},
        "spec.cpu.guest: 0 is not a number of vCPUs, 1 or more",
    ),
    ("a_slip", {**SIZES, "iothreads": {}}, 'spec.iothreads: no such field; did you mean "ioThreads"?'),
    (
        "overcommitted_huge_pages",
        {
            "cpu": {"guest": 1},
            "memory": {"guest": "1Gi", "hugepages": {"pageSize": "2Mi"}, "overcommitPercent": 5},
        },
        "spec.memory.overcommitPercent: takes no effect on huge pages; take one of the two out",
    ),
]


@pytest.mark.parametrize(("sizes", "fault"), [row[1:] for row in WRONG], ids=[str(row[0]) for row in WRONG])
def test_a_fault_of_an_instancetype_names_its_file_and_hides_nothing(sizes: Fields, fault: str) -> None:
    document = _document(_machine({"machine": {"type": 5}}), _instancetype(sizes))
    assert _faults(document) == [
        f"spec.instancetype: types.yaml (0): {fault}",
        "spec.template.spec.domain.machine.type: 5 is not text; put it in quotes",
    ]


def _read(folder: Path, machine: dict[str, Value], *held: dict[str, Value]) -> Document:
    vm, types = folder / "vm.json", folder / "types.yaml"
    vm.write_text(json.dumps(machine))
    types.write_text("---\n".join(f"{json.dumps(one)}\n" for one in held))
    return read_document(str(vm), Choice(instancetype=str(types)))


LARGE = _instancetype({"cpu": {"guest": 9}, "memory": {"guest": "1Gi"}}, name="large")


def test_of_the_options_file_the_one_that_is_named_is_taken(tmp_path: Path) -> None:
    document = _read(
        tmp_path, _machine(instancetype={"name": "large", "revisionName": "r"}), _instancetype(SIZES), LARGE
    )
    assert admitted(document).guest.cpu.topology.vcpus == 9


def test_the_only_one_of_the_options_file_is_taken_where_the_machine_names_none(tmp_path: Path) -> None:
    machine = manifest()
    cast("dict[str, dict[str, dict[str, Value]]]", machine)["spec"]["domain"]["memory"] = {}
    assert admitted(_read(tmp_path, machine, LARGE)).guest.cpu.topology.vcpus == 9


@pytest.mark.parametrize(
    ("matcher", "held", "fault"),
    [
        ({}, [_instancetype(SIZES), LARGE], "spec.instancetype: missing; {} holds 2: name one of large, small"),
        ({"name": "tiny"}, [LARGE], "spec.instancetype.name: 'tiny' is not in {}, which holds large"),
        (
            {"name": "tiny"},
            [_preference({})],
            f"{{}} holds no VirtualMachineInstancetype and no {CLUSTERS}; --instancetype wants one",
        ),
    ],
)
def test_a_file_without_the_one_that_is_meant_is_told(
    tmp_path: Path, matcher: Value, held: list[dict[str, Value]], fault: str
) -> None:
    document = _read(tmp_path, _machine(instancetype=matcher), *held)
    assert _faults(document) == [fault.format(tmp_path / "types.yaml")]


_VALUES: st.SearchStrategy[Value] = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.sampled_from(["", "1Gi", "virtio", "spread", "x"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                ["cpu", "memory", "guest", "devices", "features", "name", "disks", "preferredDiskBus", "firmware"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=400)
@given(types=_VALUES, preferred=_VALUES, domain=_VALUES, matcher=_VALUES)
def test_whatever_the_objects_hold_there_is_a_guest_or_a_refusal(
    types: Value, preferred: Value, domain: Value, matcher: Value
) -> None:
    machine = _machine(preference={"name": "linux"})
    spec = cast("dict[str, dict[str, Value]]", machine)["spec"]
    if isinstance(matcher, dict):
        spec["instancetype"] = {"name": "small", **matcher}
    cast("dict[str, dict[str, Value]]", spec["template"])["spec"]["domain"] = domain
    size, wish = _instancetype(SIZES), _preference({})
    size["spec"] = {**SIZES, **types} if isinstance(types, dict) else types
    wish["spec"] = preferred
    _faults(_document(machine, size, wish))
