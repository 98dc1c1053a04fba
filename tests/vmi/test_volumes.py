"""The disks and volumes that a manifest asks for, and that no text of theirs gets further than it should."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from msgspec.structs import replace

from launcher.domain.render import render
from launcher.errors import InvalidVMI
from launcher.storage.layout import KUBEVIRT_MOUNTS, absolute_paths, expected_images
from launcher.vmi.guest import Disk, Guest
from launcher.vmi.guest_storage import (
    BlockSize,
    CacheMode,
    Claim,
    CloudInit,
    CloudInitKind,
    ContainerDisk,
    DownwardFile,
    EmptyDisk,
    Ephemeral,
    ErrorPolicy,
    FolderKind,
    IOMode,
    MountedFolder,
    Volume,
)
from launcher.vmi.load import admitted
from tests.domain.blueprints import smallest
from tests.vmi.manifests import Changes, document
from tests.vmi.storage_rows import disk, volume
from tests.vmi.test_fuzz import texts

SCHEMA = Path("/usr/share/libvirt/schemas/domain.rng")
MIB = 1 << 20

# (sentence, the source in the manifest, the volume)
VOLUMES: list[tuple[str, dict[str, object], Volume]] = [
    ("a_claim", {"persistentVolumeClaim": {"claimName": "data"}}, Claim(claim="data")),
    (
        "a_read_only_claim",
        {"persistentVolumeClaim": {"claimName": "data", "readOnly": True}},
        Claim(claim="data", readonly=True),
    ),
    ("the_claim_of_a_data_volume", {"dataVolume": {"name": "fedora"}}, Claim(claim="fedora")),
    ("a_layer", {"ephemeral": {"persistentVolumeClaim": {"claimName": "golden"}}}, Ephemeral(claim="golden")),
    (
        "an_image",
        {"containerDisk": {"image": "fedora:40", "path": "/a", "imagePullSecret": "s", "imagePullPolicy": "Always"}},
        ContainerDisk(image="fedora:40", index=0, path="/a"),
    ),
    ("an_image_of_its_own", {"containerDisk": {"image": "fedora", "path": ""}}, ContainerDisk(image="fedora", index=0)),
    ("an_empty_disk", {"emptyDisk": {"capacity": "1Gi"}}, EmptyDisk(capacity_bytes=1 << 30)),
    ("an_empty_disk_in_whole_mebibytes", {"emptyDisk": {"capacity": "3M"}}, EmptyDisk(capacity_bytes=2 * MIB)),
    (
        "an_empty_disk_of_half_a_byte_too_little",
        {"emptyDisk": {"capacity": "2097151.5"}},
        EmptyDisk(capacity_bytes=MIB),
    ),
    (
        "text_for_cloud_init",
        {"cloudInitNoCloud": {"userData": "\u00e9\0", "networkDataBase64": "AP8="}},
        CloudInit(kind=CloudInitKind.NO_CLOUD, user_data=b"\xc3\xa9\0", network_data=b"\0\xff"),
    ),
    (
        "secrets_for_cloud_init",
        {"cloudInitConfigDrive": {"secretRef": {"name": "a"}, "networkDataSecretRef": {"name": "b"}}},
        CloudInit(kind=CloudInitKind.CONFIG_DRIVE, user_data_secret="a", network_data_secret="b"),  # noqa: S106
    ),
    (
        "a_config_map",
        {"configMap": {"name": "a", "optional": True, "volumeLabel": "OEMDRV"}},
        MountedFolder(kind=FolderKind.CONFIG_MAP, object_name="a", label="OEMDRV", optional=True),
    ),
    ("a_secret", {"secret": {"secretName": "a"}}, MountedFolder(kind=FolderKind.SECRET, object_name="a")),
    (
        "a_service_account",
        {"serviceAccount": {"serviceAccountName": "a"}},
        MountedFolder(kind=FolderKind.SERVICE_ACCOUNT, object_name="a"),
    ),
    (
        "fields_of_the_pod",
        {
            "downwardAPI": {
                "volumeLabel": "x",
                "fields": [
                    {"path": "a", "fieldRef": {"fieldPath": "metadata.name", "apiVersion": "v1"}, "mode": 0o400},
                    {
                        "path": "b/c",
                        "resourceFieldRef": {"resource": "limits.cpu", "containerName": "c", "divisor": "1m"},
                    },
                ],
            }
        },
        MountedFolder(
            kind=FolderKind.DOWNWARD_API,
            label="x",
            files=(
                DownwardFile(path="a", field_path="metadata.name", api_version="v1", mode=0o400),
                DownwardFile(path="b/c", resource="limits.cpu", container="c", divisor="1m"),
            ),
        ),
    ),
]


def _guest(changes: Changes) -> Guest:
    return admitted(document(changes)).guest


@pytest.mark.parametrize(("source", "expected"), [row[1:] for row in VOLUMES], ids=[row[0] for row in VOLUMES])
def test_a_volume_is(source: dict[str, object], expected: Volume) -> None:
    guest = _guest(volume(**source))
    readonly = isinstance(expected, Claim) and expected.readonly
    assert guest.disks[0] == Disk(name="root", volume=expected, readonly=readonly)


def test_a_disk_has_everything_that_the_manifest_says() -> None:
    fields = {
        "serial": "A1",
        "cache": "none",
        "io": "native",
        "errorPolicy": "enospace",
        "shareable": True,
        "blockSize": {"custom": {"logical": 512, "physical": 4096}},
        "bootOrder": 3,
        "dedicatedIOThread": True,
        "changedBlockTracking": False,
    }
    guest = _guest({**disk(disk={"bus": "virtio"}, **fields), "spec.domain.devices.blockMultiQueue": True})
    assert guest.disks[0] == Disk(
        name="root",
        path="/images/root.img",
        serial="A1",
        cache=CacheMode.NONE,
        io=IOMode.NATIVE,
        error_policy=ErrorPolicy.ENOSPACE,
        shareable=True,
        block_size=BlockSize(logical=512, physical=4096),
        boot_order=3,
        dedicated_iothread=True,
        queues=1,
    )


def test_a_shareable_disk_is_not_cached() -> None:
    assert _guest(disk(disk={"bus": "virtio"}, shareable=True)).disks[0].cache is CacheMode.NONE


def test_blocks_match_the_volume_unless_told_otherwise() -> None:
    wanted = [{"matchVolume": {}}, {"matchVolume": {"enabled": True}}, {"matchVolume": {"enabled": False}}, {}]
    disks = [_guest(disk(disk={"bus": "scsi"}, blockSize=size)).disks[0] for size in wanted]
    assert [one.matches_volume for one in disks] == [True, True, False, False]


def test_queues_follow_the_vcpus_on_virtio_disks_up_to_qemus_limit() -> None:
    changes: Changes = {"spec.domain.devices.blockMultiQueue": True, "spec.domain.devices.disks[1].disk.bus": "scsi"}
    counts = [
        [one.queues for one in _guest({**changes, "spec.domain.cpu.cores": cores}).disks] for cores in (1, 8, 2000)
    ]
    assert counts == [[1, None], [8, None], [1024, None]]


def test_a_container_disk_is_counted_among_all_volumes() -> None:
    guest = _guest({"spec.volumes[1]": {"name": "data", "containerDisk": {"image": "fedora"}}})
    assert guest.disks[1].volume == ContainerDisk(image="fedora", index=1)


def test_a_volume_that_is_declared_unused_is_no_disk() -> None:
    changes: Changes = {
        "metadata.annotations": {"virt-launcher/unused-volumes": "data"},
        "spec.domain.devices.disks": [{"name": "root", "disk": {"bus": "virtio"}}],
    }
    assert [one.name for one in _guest(changes).disks] == ["root"]


@cache
def _schema() -> etree.RelaxNG:
    return etree.RelaxNG(etree.parse(str(SCHEMA)))


def _assert_renders(changes: Changes) -> None:
    """Check that what is admitted renders to a valid domain of as many disks, and that the rest is refused."""
    try:
        guest = absolute_paths(_guest(changes), "/here")
    except InvalidVMI:
        return
    images = expected_images(guest, KUBEVIRT_MOUNTS, "/root")
    xml = render(replace(smallest(), guest=guest, images=images), b"<domain/>", "template")
    document_of = etree.fromstring(xml)
    assert _schema().validate(document_of), _schema().error_log
    assert document_of.xpath("devices/disk/alias/@name") == [f"ua-{one.name}" for one in guest.disks]
    assert document_of.xpath("devices/disk/source/@*") == [image.path for image in images]


def _mostly(valid: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Draw hostile text now and then; were it as often as not, a manifest would hardly ever be admitted."""
    return st.integers(0, 7).flatmap(lambda chance: valid if chance else texts)


names = _mostly(st.sampled_from(["data", "a.b", "a" * 63]))
amounts = _mostly(st.sampled_from(["1Gi", "1Mi", "3M", "1e9"]))
datas = texts | st.text(max_size=50)
words = _mostly(st.sampled_from(["metadata.labels['a']", "v1", "limits.cpu", "a/b"]))
files = st.fixed_dictionaries(
    {"path": words},
    optional={
        "fieldRef": st.fixed_dictionaries({"fieldPath": words}, optional={"apiVersion": words}),
        "resourceFieldRef": st.fixed_dictionaries({"resource": words}, optional={"divisor": amounts}),
        "mode": st.sampled_from([0, 0o777, 0o1000]),
    },
)
references = st.fixed_dictionaries({"name": names})
cloud_inits = st.fixed_dictionaries(
    {},
    optional={
        "userData": datas,
        "userDataBase64": st.binary(max_size=9).map(bytes.hex) | texts,
        "networkData": datas,
        "secretRef": references,
        "networkDataSecretRef": references,
    },
)
volumes = st.one_of(
    st.fixed_dictionaries({"hostDisk": st.fixed_dictionaries({"path": names, "type": st.just("Disk")})}),
    st.fixed_dictionaries({"persistentVolumeClaim": st.fixed_dictionaries({"claimName": names})}),
    st.fixed_dictionaries({"dataVolume": references}),
    st.fixed_dictionaries(
        {"ephemeral": st.fixed_dictionaries({"persistentVolumeClaim": st.fixed_dictionaries({"claimName": names})})}
    ),
    st.fixed_dictionaries(
        {
            "containerDisk": st.fixed_dictionaries(
                {"image": names}, optional={"path": names.map("/{}".format), "imagePullSecret": names}
            )
        }
    ),
    st.fixed_dictionaries({"emptyDisk": st.fixed_dictionaries({"capacity": amounts})}),
    st.fixed_dictionaries({"cloudInitNoCloud": cloud_inits}),
    st.fixed_dictionaries({"cloudInitConfigDrive": cloud_inits}),
    st.fixed_dictionaries({"configMap": st.fixed_dictionaries({"name": names}, optional={"volumeLabel": names})}),
    st.fixed_dictionaries({"secret": st.fixed_dictionaries({"secretName": names}, optional={"volumeLabel": names})}),
    st.fixed_dictionaries({"serviceAccount": st.fixed_dictionaries({"serviceAccountName": names})}),
    st.fixed_dictionaries({"downwardAPI": st.fixed_dictionaries({"fields": st.lists(files, max_size=2)})}),
)
targets: st.SearchStrategy[dict[str, object]] = st.one_of(
    st.just({}),
    st.fixed_dictionaries({"disk": st.fixed_dictionaries({"bus": st.sampled_from(["virtio", "scsi", "sata"])})}),
    st.fixed_dictionaries({"cdrom": st.fixed_dictionaries({}, optional={"bus": st.sampled_from(["scsi", "sata"])})}),
    st.fixed_dictionaries({"lun": st.fixed_dictionaries({}, optional={"readonly": st.booleans()})}),
)
settings_of = st.fixed_dictionaries(
    {},
    optional={
        "serial": _mostly(st.text("A1._+-", min_size=1, max_size=20)),
        "cache": st.sampled_from(list(CacheMode)).map(str),
        "io": st.sampled_from(list(IOMode)).map(str),
        "errorPolicy": st.sampled_from(list(ErrorPolicy)).map(str),
        "shareable": st.booleans(),
        "bootOrder": st.integers(1, 2**31),
        "dedicatedIOThread": st.booleans(),
        "blockSize": st.fixed_dictionaries(
            {
                "custom": st.fixed_dictionaries(
                    {"logical": st.sampled_from([512, 4096]), "physical": st.sampled_from([512, 4096, 1 << 21])}
                )
            }
        ),
    },
)


@given(volumes, targets, settings_of, _mostly(st.sampled_from(["root", "a" * 63])))
def test_what_is_admitted_of_a_disk_and_its_volume_renders_and_is_valid(
    source: dict[str, object], target: dict[str, object], settings: dict[str, object], name: str
) -> None:
    _assert_renders(
        {
            "spec.domain.devices.disks[0]": {"name": name, **target, **settings},
            "spec.volumes[0]": {"name": name, **source},
        }
    )
