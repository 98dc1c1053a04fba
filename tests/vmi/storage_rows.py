"""The rows of the admission tests that are about disks and volumes (test_admission.py)."""

from __future__ import annotations

from tests.vmi.manifests import ABSENT, Changes

DISKS = "spec.domain.devices.disks"
VOLUMES = "spec.volumes"
UNUSED = "metadata.annotations['virt-launcher/unused-volumes']"
NO_OBJECT = "is not the name of a Kubernetes object: labels of a-z, 0-9 and -, with dots between them"
NO_LABEL = "is not a label of 1 to 16 letters, digits and _.+-"
SURROGATE = "holds half of a surrogate pair, which is no character; bytes that are no text go into base64"


def volume(**source: object) -> Changes:
    """Return the change that gives the first disk, which is virtio, a volume of this source."""
    return {f"{VOLUMES}[0]": {"name": "root", **source}}


def disk(**fields: object) -> Changes:
    """Return the change that makes this the first disk."""
    return {f"{DISKS}[0]": {"name": "root", **fields}}


def _virtio(**fields: object) -> Changes:
    return disk(disk={"bus": "virtio"}, **fields)


def _custom(logical: object, physical: object) -> dict[str, object]:
    return {"custom": {"logical": logical, "physical": physical}}


def _first(field: str) -> str:
    return f"{VOLUMES}[0].{field}"


def _downward(**field: object) -> Changes:
    file = {"path": "labels", "fieldRef": {"fieldPath": "metadata.labels"}, **field}
    return volume(downwardAPI={"fields": [{name: value for name, value in file.items() if value is not None}]})


CLAIM = {"persistentVolumeClaim": {"claimName": "data"}}
FILE = _first("downwardAPI.fields[0]")
ONE_POWER = "is not a power of two from 512 to 2097152"

# (sentence, changes to a valid manifest, every fault)
STORAGE_FAULTS: list[tuple[str, Changes, list[tuple[str, str]]]] = [
    (
        "a_volume_of_two_sources",
        volume(emptyDisk={"capacity": "1Gi"}, **CLAIM),
        [(f"{VOLUMES}[0]", "is persistentVolumeClaim and emptyDisk at once; wanted one of them")],
    ),
    (
        "an_unused_volume_that_is_not_there",
        {"metadata.annotations": {"virt-launcher/unused-volumes": "other"}},
        [(UNUSED, f"no volume is called 'other' ({VOLUMES})")],
    ),
    (
        "an_unused_volume_that_is_used",
        {"metadata.annotations": {"virt-launcher/unused-volumes": "data, root"}},
        [(UNUSED, "'data' is used by the disk of this name"), (UNUSED, "'root' is used by the disk of this name")],
    ),
    (
        "a_host_disk_that_is_a_folder",
        {f"{VOLUMES}[0].hostDisk.path": "/images/"},
        [(_first("hostDisk.path"), "'/images/' is the path of a folder; wanted a file's")],
    ),
    (
        "a_claim_in_capitals",
        volume(persistentVolumeClaim={"claimName": "Data"}),
        [(_first("persistentVolumeClaim.claimName"), f"'Data' {NO_OBJECT}")],
    ),
    (
        "a_claim_above",
        volume(persistentVolumeClaim={"claimName": "../a"}),
        [(_first("persistentVolumeClaim.claimName"), f"'../a' {NO_OBJECT}")],
    ),
    (
        "a_claim_of_254",
        volume(persistentVolumeClaim={"claimName": ".".join(["a" * 63] * 3 + ["a" * 62])}),
        [(_first("persistentVolumeClaim.claimName"), f"'{'a' * 57}'... {NO_OBJECT}")],
    ),
    (
        "a_data_volume_with_a_newline",
        volume(dataVolume={"name": "a\n"}),
        [(_first("dataVolume.name"), f"'a\\n' {NO_OBJECT}")],
    ),
    (
        "an_ephemeral_volume_of_nothing",
        volume(ephemeral={}),
        [(_first("ephemeral.persistentVolumeClaim"), "missing")],
    ),
    (
        "an_ephemeral_volume_of_an_empty_claim",
        volume(ephemeral={"persistentVolumeClaim": {"claimName": ""}}),
        [(_first("ephemeral.persistentVolumeClaim.claimName"), f"'' {NO_OBJECT}")],
    ),
    (
        "a_container_image_with_a_blank",
        volume(containerDisk={"image": "fedora cloud"}),
        [(_first("containerDisk.image"), "'fedora cloud' is not the name of a container image")],
    ),
    (
        "an_image_file_above",
        volume(containerDisk={"image": "fedora", "path": "/disk/../../etc/shadow"}),
        [(_first("containerDisk.path"), "'/disk/../../etc/shadow' holds '..'; wanted a path without it")],
    ),
    (
        "an_image_file_with_a_relative_path",
        volume(containerDisk={"image": "fedora", "path": "disk/x.img"}),
        [(_first("containerDisk.path"), "'disk/x.img' is not an absolute path inside of the image")],
    ),
    (
        "an_empty_disk_of_less_than_one_mebibyte",
        volume(emptyDisk={"capacity": "1M"}),
        [(_first("emptyDisk.capacity"), "1M is not a size from 1Mi to 1Ei")],
    ),
    (
        "an_empty_disk_of_more_than_there_is",
        volume(emptyDisk={"capacity": "2Ei"}),
        [(_first("emptyDisk.capacity"), "2Ei is not a size from 1Mi to 1Ei")],
    ),
    (
        "no_data_for_cloud_init",
        volume(cloudInitNoCloud={"userData": ""}),
        [
            (
                _first("cloudInitNoCloud"),
                "is empty; wanted userData or networkData, as text, in base64 or in a secret",
            )
        ],
    ),
    (
        "user_data_twice",
        volume(cloudInitNoCloud={"userData": "#!/bin/sh", "userDataBase64": "IyEvYmluL3No"}),
        [(_first("cloudInitNoCloud"), "has its userData from 2 sources; wanted one")],
    ),
    (
        "network_data_thrice",
        volume(
            cloudInitConfigDrive={
                "networkData": "{}",
                "networkDataBase64": "e30=",
                "networkDataSecretRef": {"name": "net"},
            }
        ),
        [(_first("cloudInitConfigDrive"), "has its networkData from 3 sources; wanted one")],
    ),
    (
        "base64_that_is_none",
        volume(cloudInitNoCloud={"userDataBase64": "a<b>"}),
        [(_first("cloudInitNoCloud.userDataBase64"), "'a<b>' is not base64: only base64 data is allowed")],
    ),
    (
        "base64_that_is_cut",
        volume(cloudInitConfigDrive={"networkDataBase64": "e30"}),
        [(_first("cloudInitConfigDrive.networkDataBase64"), "'e30' is not base64: incorrect padding")],
    ),
    (
        "base64_in_letters_of_others",
        volume(cloudInitNoCloud={"userDataBase64": "\u00e9\u00e9\u00e9\u00e9"}),
        [
            (
                _first("cloudInitNoCloud.userDataBase64"),
                "'\u00e9\u00e9\u00e9\u00e9' is not base64: string argument should contain only ASCII characters",
            )
        ],
    ),
    (
        "user_data_with_half_a_character",
        volume(cloudInitNoCloud={"userData": "a\ud800"}),
        [(_first("cloudInitNoCloud.userData"), SURROGATE)],
    ),
    (
        "network_data_with_half_a_character",
        volume(cloudInitConfigDrive={"networkData": "\udfff"}),
        [(_first("cloudInitConfigDrive.networkData"), SURROGATE)],
    ),
    (
        "a_secret_for_cloud_init_above",
        volume(cloudInitNoCloud={"secretRef": {"name": ".."}, "networkDataSecretRef": {"name": "a b"}}),
        [
            (_first("cloudInitNoCloud.secretRef.name"), f"'..' {NO_OBJECT}"),
            (_first("cloudInitNoCloud.networkDataSecretRef.name"), f"'a b' {NO_OBJECT}"),
        ],
    ),
    ("a_config_map_above", volume(configMap={"name": "../x"}), [(_first("configMap.name"), f"'../x' {NO_OBJECT}")]),
    ("a_secret_of_no_name", volume(secret={"secretName": ""}), [(_first("secret.secretName"), f"'' {NO_OBJECT}")]),
    (
        "a_label_with_a_newline",
        volume(configMap={"name": "a", "volumeLabel": "a\n"}),
        [(_first("configMap.volumeLabel"), f"'a\\n' {NO_LABEL}")],
    ),
    (
        "a_label_of_17",
        volume(secret={"secretName": "a", "volumeLabel": "x" * 17}),
        [(_first("secret.volumeLabel"), f"'{'x' * 17}' {NO_LABEL}")],
    ),
    (
        "a_label_in_letters_of_others",
        volume(downwardAPI={"volumeLabel": "\u00e9"}),
        [(_first("downwardAPI.volumeLabel"), f"'\u00e9' {NO_LABEL}")],
    ),
    (
        "two_service_accounts",
        {
            **volume(serviceAccount={"serviceAccountName": "a"}),
            f"{VOLUMES}[1]": {"name": "data", "serviceAccount": {"serviceAccountName": "b"}},
        },
        [
            (
                f"{VOLUMES}[1].serviceAccount",
                f"there is one already, {VOLUMES}[0].serviceAccount; a Pod has one",
            )
        ],
    ),
    (
        "two_files_of_one_path",
        volume(downwardAPI={"fields": [{"path": "a", "fieldRef": {"fieldPath": "metadata.name"}}] * 2}),
        [
            (
                _first("downwardAPI.fields[1].path"),
                f"'a' is the path of {_first('downwardAPI.fields[0]')}, too",
            )
        ],
    ),
    (
        "a_file_above",
        _downward(path="a/../../b"),
        [(f"{FILE}.path", "'a/../../b' holds '..'; wanted a path without it")],
    ),
    (
        "an_absolute_file",
        _downward(path="/etc/shadow"),
        [(f"{FILE}.path", "'/etc/shadow' is not a relative path that begins without '..'")],
    ),
    (
        "a_file_of_two_sources",
        _downward(resourceFieldRef={"resource": "limits.cpu"}),
        [(FILE, "wanted one of fieldRef and resourceFieldRef")],
    ),
    (
        "a_field_with_a_newline",
        _downward(fieldRef={"fieldPath": "metadata\n.labels"}),
        [
            (
                f"{FILE}.fieldRef.fieldPath",
                "'metadata\\n.labels' holds the character 0x0a; wanted printable text",
            )
        ],
    ),
    (
        "a_resource_with_a_blank",
        _downward(fieldRef=None, resourceFieldRef={"resource": "limits cpu", "divisor": "-1"}),
        [
            (f"{FILE}.resourceFieldRef.resource", "'limits cpu' is not a word of the Pod's API"),
            (f"{FILE}.resourceFieldRef.divisor", "-1 is negative"),
        ],
    ),
    (
        "a_mode_that_no_file_has",
        _downward(mode=0o1000),
        [(f"{FILE}.mode", "512 is more than 511, which is 0777")],
    ),
    (
        "a_serial_with_a_quote",
        _virtio(serial='"'),
        [(f"{DISKS}[0].serial", "'\"' is not made of letters, digits and _.+-")],
    ),
    (
        "a_serial_of_more_than_kubevirt_takes",
        _virtio(serial="x" * 257),
        [(f"{DISKS}[0].serial", f"'{'x' * 57}'... is longer than 256 characters, the most of a virtio disk")],
    ),
    (
        "a_serial_that_a_scsi_disk_has_no_room_for",
        disk(disk={"bus": "scsi"}, serial="x" * 37),
        [(f"{DISKS}[0].serial", f"'{'x' * 37}' is longer than 36 characters, the most of a scsi disk")],
    ),
    (
        "a_serial_for_a_lun",
        {**disk(lun={}, serial="a"), **volume(**CLAIM)},
        [(f"{DISKS}[0].serial", "a lun has the serial of its own device; leave it out")],
    ),
    (
        "native_io_through_the_cache",
        _virtio(io="native", cache="writeback"),
        [(f"{DISKS}[0].io", "native needs the cache none; it is writeback")],
    ),
    (
        "blocks_of_a_cd_rom",
        disk(cdrom={}, blockSize=_custom(512, 512)),
        [(f"{DISKS}[0].blockSize", "a cdrom has the block size of its kind; only a disk can have another")],
    ),
    (
        "blocks_of_two_kinds",
        _virtio(blockSize={"matchVolume": {}, **_custom(512, 512)}),
        [(f"{DISKS}[0].blockSize", "has custom and matchVolume; wanted one of them")],
    ),
    (
        "blocks_of_nothing",
        _virtio(blockSize={"custom": {}}),
        [
            (f"{DISKS}[0].blockSize.custom.logical", f"0 {ONE_POWER}"),
            (f"{DISKS}[0].blockSize.custom.physical", f"0 {ONE_POWER}"),
        ],
    ),
    (
        "blocks_that_are_too_large",
        _virtio(blockSize=_custom(512, 1 << 22)),
        [(f"{DISKS}[0].blockSize.custom.physical", f"4194304 {ONE_POWER}")],
    ),
    (
        "blocks_that_are_no_power_of_two",
        _virtio(blockSize=_custom(1000, 4096)),
        [(f"{DISKS}[0].blockSize.custom.logical", f"1000 {ONE_POWER}")],
    ),
    (
        "logical_blocks_larger_than_physical_ones",
        _virtio(blockSize=_custom(4096, 512)),
        [(f"{DISKS}[0].blockSize.custom.logical", f"4096 is more than {DISKS}[0].blockSize.custom.physical, 512")],
    ),
    (
        "large_blocks_on_sata",
        disk(disk={"bus": "sata"}, blockSize=_custom(4096, 4096)),
        [(f"{DISKS}[0].blockSize.custom.logical", "4096 is not 512, which a sata disk always has")],
    ),
    (
        "a_lun_that_is_an_empty_disk",
        {**disk(lun={}), **volume(emptyDisk={"capacity": "1Gi"})},
        [(f"{DISKS}[0].lun", "its volume, emptyDisk, is a file; a lun needs a block device")],
    ),
    (
        "a_read_only_claim_for_a_sata_disk",
        {**disk(disk={"bus": "sata"}), **volume(persistentVolumeClaim={"claimName": "a", "readOnly": True})},
        [
            (
                f"{DISKS}[0]",
                "the claim is readOnly, and a sata disk cannot be; wanted the bus virtio or scsi, or a cdrom",
            )
        ],
    ),
    (
        "a_shared_disk_in_the_cache",
        _virtio(shareable=True, cache="writethrough"),
        [(f"{DISKS}[0].cache", "a shareable disk needs the cache none; it is writethrough")],
    ),
    (
        "a_shared_disk_of_ones_own",
        {**_virtio(shareable=True), **volume(containerDisk={"image": "fedora"})},
        [(f"{DISKS}[0].shareable", "its volume, containerDisk, is this guest's own")],
    ),
    (
        "a_shared_qcow2",
        {**_virtio(shareable=True), f"{VOLUMES}[0].hostDisk.path": "/a.qcow2"},
        [(f"{DISKS}[0].shareable", "a qcow2 image has one writer; wanted a raw image")],
    ),
    (
        "a_shared_cd_rom",
        disk(cdrom={}, shareable=True),
        [(f"{DISKS}[0].shareable", "a CD-ROM is only read, and may be shared without; leave it out")],
    ),
]

STORAGE_ACCEPTED: list[tuple[str, Changes]] = [
    ("a_claim", volume(**CLAIM)),
    ("a_claim_with_dots", volume(persistentVolumeClaim={"claimName": "a.b-c.d", "readOnly": True})),
    ("a_data_volume", volume(dataVolume={"name": "fedora", "hotpluggable": False})),
    ("an_ephemeral_volume", volume(ephemeral={"persistentVolumeClaim": {"claimName": "a", "readOnly": True}})),
    (
        "a_container_disk",
        volume(
            containerDisk={
                "image": "registry.local:5000/a/b_c@sha256:0123",
                "path": "/disk/x y.qcow2",
                "imagePullSecret": "pull",
                "imagePullPolicy": "IfNotPresent",
            }
        ),
    ),
    ("an_empty_disk", volume(emptyDisk={"capacity": "1Mi"})),
    ("user_data_of_any_text", volume(cloudInitNoCloud={"userData": "\0\n'\"<&>\u00e9", "networkData": "a: b"})),
    ("user_data_in_lines_of_base64", volume(cloudInitConfigDrive={"userDataBase64": "e3\r\n0=\n"})),
    ("data_in_secrets", volume(cloudInitNoCloud={"secretRef": {"name": "a"}, "networkDataSecretRef": {"name": "b"}})),
    ("much_user_data", volume(cloudInitNoCloud={"userData": "x" * 100_000})),
    ("a_config_map", volume(configMap={"name": "a", "optional": True, "volumeLabel": "OEMDRV"})),
    ("a_secret", volume(secret={"secretName": "a", "optional": False, "volumeLabel": "x" * 16})),
    ("a_service_account", volume(serviceAccount={"serviceAccountName": "default"})),
    ("fields_of_the_pod", _downward(path="a/b", mode=0o644)),
    (
        "an_annotation_of_the_pod",
        _downward(fieldRef={"fieldPath": "metadata.annotations['a.b/c']", "apiVersion": "v1"}),
    ),
    (
        "resources_of_the_pod",
        _downward(
            fieldRef=None, resourceFieldRef={"resource": "limits.cpu", "containerName": "compute", "divisor": "1m"}
        ),
    ),
    (
        "a_volume_that_is_declared_unused",
        {
            "metadata.annotations": {"virt-launcher/unused-volumes": "data"},
            DISKS: [{"name": "root", "disk": {"bus": "virtio"}}],
        },
    ),
    ("a_lun_over_a_claim", {**disk(lun={"readonly": True}), **volume(**CLAIM)}),
    ("everything_of_a_disk", _virtio(serial="A_b.c+d-1", cache="none", io="native", errorPolicy="report")),
    ("the_longest_serial_on_scsi", disk(disk={"bus": "scsi"}, serial="x" * 36)),
    ("blocks_of_4096", _virtio(blockSize=_custom(4096, 4096))),
    ("large_physical_blocks_on_sata", disk(disk={"bus": "sata"}, blockSize=_custom(512, 4096))),
    ("the_volumes_blocks", _virtio(blockSize={"matchVolume": {"enabled": True}})),
    ("not_the_volumes_blocks", disk(cdrom={}, blockSize={"matchVolume": {"enabled": False}})),
    ("a_shared_disk", _virtio(shareable=True, cache="none")),
    ("a_closed_tray", disk(cdrom={"tray": "closed"})),
    ("a_serial_that_a_virtio_disk_cuts", _virtio(serial="x" * 256)),
    ("the_volumes_blocks_on_sata", disk(disk={}, blockSize={"matchVolume": {}})),
    ("changes_that_are_kept_track_of", disk(disk={}, changedBlockTracking=True)),
    ("text_that_is_empty", disk(disk={"bus": "", "pciAddress": ""}, cache="", io="", serial="", tag="")),
    ("multi_queue", {"spec.domain.devices.blockMultiQueue": True}),
    ("no_target_at_all", {f"{DISKS}[0].disk": ABSENT}),
]
