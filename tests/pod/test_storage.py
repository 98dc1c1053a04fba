"""What the Pod mounts for the guest's volumes, where the launcher looks for them."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from launcher.errors import InvalidVMI
from launcher.host.synthetic import parse_synthetic
from launcher.kubelet.admission import admit
from launcher.kubelet.options import parse_options
from launcher.kubelet.requests import QoSClass, qos_class
from launcher.pod.container_disks import SCRIPT
from launcher.pod.manifest import pod_requests
from launcher.storage.layout import KUBEVIRT_MOUNTS
from tests.pod.pods import Rendered, rendered

KERNEL = "firmware: {kernelBoot: {container: {kernelPath: %s, initrdPath: %s}}}"


def with_volumes(
    *volumes: str, disks: tuple[str, ...] = (), domain: str = "cpu: {cores: 2}", **choices: Any
) -> Rendered:
    """Return the Pod of a guest with these volumes; each is a disk of its name, or as `disks` has it."""
    names = [volume.split("name: ")[1].split(",")[0].rstrip("}") for volume in volumes]
    own = disks or tuple(f"{{name: {name}, disk: {{bus: virtio}}}}" for name in names)
    spec = f"""
domain:
  {domain}
  memory: {{guest: 1Gi}}
  devices: {{disks: [{", ".join(own)}]}}
volumes: [{", ".join(volumes)}]
"""
    return rendered(spec, **choices)


PLACES = [
    ("a_claim", "persistentVolumeClaim: {claimName: c}", f"{KUBEVIRT_MOUNTS.claims}/v",
     {"persistentVolumeClaim": {"claimName": "c"}}),
    ("a_claim_to_read", "persistentVolumeClaim: {claimName: c, readOnly: true}", f"{KUBEVIRT_MOUNTS.claims}/v",
     {"persistentVolumeClaim": {"claimName": "c", "readOnly": True}, "readOnly": True}),
    ("a_data_volume_is_the_claim_of_its_name", "dataVolume: {name: d}", f"{KUBEVIRT_MOUNTS.claims}/v",
     {"persistentVolumeClaim": {"claimName": "d"}}),
    ("a_claim_under_a_layer_is_only_read", "ephemeral: {persistentVolumeClaim: {claimName: c}}",
     f"{KUBEVIRT_MOUNTS.claims}/v", {"persistentVolumeClaim": {"claimName": "c", "readOnly": True}, "readOnly": True}),
    ("a_config_map", "configMap: {name: m, optional: true}", f"{KUBEVIRT_MOUNTS.config_maps}/v",
     {"configMap": {"name": "m", "optional": True}, "readOnly": True}),
    ("a_secret", "secret: {secretName: s}", f"{KUBEVIRT_MOUNTS.secrets}/v",
     {"secret": {"secretName": "s", "optional": False}, "readOnly": True}),
    ("fields_of_the_pod", "downwardAPI: {fields: [{path: l, fieldRef: {fieldPath: metadata.labels}}]}",
     f"{KUBEVIRT_MOUNTS.downward_apis}/v",
     {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}, "readOnly": True}),
    ("secrets_of_cloud_init", "cloudInitNoCloud: {secretRef: {name: u}, networkDataSecretRef: {name: net}}",
     f"{KUBEVIRT_MOUNTS.secrets}/v",
     {"projected": {"sources": [{"secret": {"name": "u"}}, {"secret": {"name": "net"}}]}, "readOnly": True}),
    ("one_secret_of_cloud_init_twice", "cloudInitConfigDrive: {secretRef: {name: u}, networkDataSecretRef: {name: u}}",
     f"{KUBEVIRT_MOUNTS.secrets}/v",
     {"projected": {"sources": [{"secret": {"name": "u"}}]}, "readOnly": True}),
]  # fmt: skip


@pytest.mark.parametrize(("source", "place", "wanted"), [row[1:] for row in PLACES], ids=[row[0] for row in PLACES])
def test_a_volume_is_mounted_where_the_launcher_looks(source: str, place: str, wanted: dict[str, Any]) -> None:
    assert with_volumes(f"{{name: v, {source}}}").mount(place) == wanted


@pytest.mark.parametrize("source", ["emptyDisk: {capacity: 1Gi}", "cloudInitNoCloud: {userData: x}"])
def test_what_the_launcher_makes_itself_needs_no_volume(source: str) -> None:
    found = with_volumes(f"{{name: v, {source}}}")
    assert {volume["name"] for volume in found.spec["volumes"]} == {"vmi", "root", "capability-cache", "tmp"}


def test_a_block_volume_is_a_device() -> None:
    found = with_volumes("{name: v, persistentVolumeClaim: {claimName: c}}", block_volumes=frozenset({"v"}))
    assert found.launcher["volumeDevices"] == [{"name": "volume-v", "devicePath": "/dev/v"}]
    assert not [mount for mount in found.launcher["volumeMounts"] if mount["name"] == "volume-v"]


def test_a_block_volume_that_is_none_of_the_guests_is_refused() -> None:
    with pytest.raises(InvalidVMI, match="--block-volume w: there is no volume of this name"):
        with_volumes("{name: v, persistentVolumeClaim: {claimName: c}}", block_volumes=frozenset({"w"}))


def test_a_host_disk_is_mounted_alone_and_read_only_where_nobody_writes_it() -> None:
    found = with_volumes(
        "{name: a, hostDisk: {path: /images/a.img, type: Disk}}",
        "{name: b, hostDisk: {path: /images/b.iso, type: Disk}}",
        "{name: c, hostDisk: {path: /images/c.img, type: Disk}}",
        "{name: d, hostDisk: {path: /dev/sdx, type: Disk}}",
        disks=(
            "{name: a, disk: {}}",
            "{name: b, cdrom: {}}",
            "{name: c, disk: {bus: virtio, readonly: true}}",
            "{name: d, disk: {}}",
        ),
    )
    assert found.mount("/images/a.img") == {"hostPath": {"path": "/images/a.img", "type": "File"}}
    assert found.mount("/images/b.iso")["readOnly"]
    assert found.mount("/images/c.img")["readOnly"]
    assert found.mount("/dev/sdx") == {"hostPath": {"path": "/dev/sdx", "type": "BlockDevice"}}


def test_a_disk_that_is_made_has_its_folder_and_two_share_it() -> None:
    source = "hostDisk: {path: /images/%s.img, type: DiskOrCreate, capacity: 1Gi}"
    found = with_volumes(f"{{name: a, {source % 'a'}}}", f"{{name: b, {source % 'b'}}}")
    assert found.mount("/images") == {"hostPath": {"path": "/images", "type": "Directory"}}


@pytest.mark.parametrize(
    "path",
    ["/a.img", "/etc/a.img", "/usr/share/images/a.img", "/var/run/a.img", "/var/a.img", "/tmp/a.img",  # noqa: S108 - the container's
     "/var/lib/virt-launcher/x/a.img", "/etc//virt-launcher/a.img"],
)  # fmt: skip
def test_a_folder_that_would_hide_the_launchers_own_is_refused(path: str) -> None:
    with pytest.raises(InvalidVMI, match=r"spec.volumes\[0\].hostDisk.path: .*which the launcher's container needs"):
        with_volumes(f"{{name: a, hostDisk: {{path: {path}, type: DiskOrCreate, capacity: 1Gi}}}}")


@pytest.mark.parametrize("kind", ["type: Disk", "type: DiskOrCreate, capacity: 1Gi"])
def test_a_path_that_no_pod_can_mount_is_refused(kind: str) -> None:
    with pytest.raises(InvalidVMI, match=r"spec.volumes\[0\].hostDisk.path: '/im:ages/a.img' holds ':'"):
        with_volumes(f"{{name: a, hostDisk: {{path: '/im:ages/a.img', {kind}}}}}")


def test_a_kernel_that_no_pod_can_mount_is_refused() -> None:
    with pytest.raises(InvalidVMI, match=r"kernelBoot.container.initrdPath: '/a:b/i' holds ':'"):
        with_volumes("{name: a, emptyDisk: {capacity: 1Gi}}", domain=KERNEL % ("/k", "'/a:b/i'"), folder="/srv/x")


def test_relative_names_start_at_the_folder_that_the_pod_was_made_in() -> None:
    found = with_volumes(
        "{name: a, hostDisk: {path: images/a.img, type: Disk}}",
        domain=KERNEL % (".cache/k", "/boot/i"),
        folder="/srv/x",
    )
    assert found.launcher["workingDir"] == "/srv/x"
    assert found.mount("/srv/x/images/a.img")["hostPath"]["path"] == "/srv/x/images/a.img"
    assert found.mount("/srv/x/.cache/k") == {"hostPath": {"path": "/srv/x/.cache/k", "type": "File"}, "readOnly": True}
    assert found.mount("/boot/i")["readOnly"]


def test_absolute_names_need_no_folder() -> None:
    found = with_volumes("{name: a, hostDisk: {path: /images/a.img, type: Disk}}", folder="/srv/x")
    assert "workingDir" not in found.launcher


CONTAINER_DISKS = (
    "{name: a, containerDisk: {image: 'example/a:1', imagePullSecret: key, imagePullPolicy: Always}}",
    "{name: e, emptyDisk: {capacity: 1Gi}}",
    "{name: b, containerDisk: {image: 'example/b:1', path: /disk/b.img}}",
)
DEDICATED = "cpu: {cores: 2, dedicatedCpuPlacement: true}"


def test_a_container_disk_is_served_by_a_sidecar_that_leaves_the_pod_guaranteed() -> None:
    found = with_volumes(*CONTAINER_DISKS, domain=DEDICATED)
    tools, first, second = found.spec["initContainers"]
    assert tools["resources"] == {
        "requests": {"cpu": "10m", "memory": "40M"},
        "limits": {"cpu": "10m", "memory": "40M"},
    }
    wanted = {"cpu": "200m", "memory": "64M"}
    assert first["resources"] == second["resources"] == {"requests": wanted, "limits": wanted}
    assert (first["image"], first["imagePullPolicy"], first["restartPolicy"]) == ("example/a:1", "Always", "Always")
    assert found.spec["imagePullSecrets"] == [{"name": "key"}]
    assert found.mount(KUBEVIRT_MOUNTS.container_disks) == {"emptyDir": {"sizeLimit": "20480Mi"}, "readOnly": True}
    assert qos_class(pod_requests(found.pod)) is QoSClass.GUARANTEED


def test_a_sidecar_puts_the_disc_where_its_place_among_the_volumes_says() -> None:
    found = with_volumes(*CONTAINER_DISKS)
    _, first, second = found.spec["initContainers"]
    folder = KUBEVIRT_MOUNTS.container_disks
    assert first["command"][-2:] == ["/disk/", f"{folder}/disk_0.img"]
    assert second["command"][-2:] == ["/disk/b.img", f"{folder}/disk_2.img"]
    assert second["startupProbe"]["exec"]["command"][-1] == f"{folder}/disk_2.img"


def test_no_sidecar_takes_a_whole_cpu_from_the_guest() -> None:
    found = with_volumes(*CONTAINER_DISKS, domain=DEDICATED)
    admission = admit(pod_requests(found.pod), parse_synthetic("node:1 core:4 pu:1"), parse_options("reserved=0"))
    assert [(given.container, len(given.cpus)) for given in admission.assignments] == [("compute", 2)]


def test_the_path_in_an_image_is_an_argument_and_never_a_word_of_the_script() -> None:
    path = "/disk/$(reboot) '\";x.img"
    escaped = path.replace("'", "''")
    found = with_volumes(f"{{name: a, containerDisk: {{image: x, path: '{escaped}'}}}}")
    sidecar = found.spec["initContainers"][1]
    assert sidecar["command"].count(path) == 1
    assert not any("reboot" in word for word in sidecar["command"] if word != path)


@pytest.fixture
def disc(tmp_path: Path) -> Path:
    """A folder like /disk of a container disk's image."""
    folder = tmp_path / "disk"
    folder.mkdir()
    (folder / "a b'.qcow2").write_bytes(b"QFI\xfb" * 1000)
    return folder


def serve(source: str, target: Path) -> subprocess.Popen[str]:
    """Run a sidecar's script as the sidecar does."""
    busybox = shutil.which("busybox") or pytest.fail("busybox is not there: make packages installs it")
    command = [busybox, "sh", "-c", SCRIPT, busybox, source, str(target)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


@pytest.mark.parametrize("source", ["{folder}/", "{folder}/a b'.qcow2"], ids=["the only file", "a file by its name"])
def test_the_sidecar_copies_the_disc_and_ends_when_it_is_told_to(disc: Path, tmp_path: Path, source: str) -> None:
    target = tmp_path / "disk_0.img"
    sidecar = serve(source.format(folder=disc), target)
    try:
        while not target.exists():
            assert sidecar.poll() is None, "it goes on until it is told to end"
        assert target.read_bytes() == b"QFI\xfb" * 1000
        os.kill(sidecar.pid, signal.SIGTERM)
        assert sidecar.wait(30) == 0
    finally:
        with suppress(ProcessLookupError):
            os.killpg(sidecar.pid, signal.SIGKILL)


@pytest.mark.parametrize("count", [0, 2])
def test_an_image_without_its_one_disc_is_told(disc: Path, tmp_path: Path, count: int) -> None:
    (disc / "a b'.qcow2").unlink()
    for number in range(count):
        (disc / f"{number}.img").write_text("")
    sidecar = serve(f"{disc}/", tmp_path / "disk_0.img")
    _, errors = sidecar.communicate(timeout=30)
    assert sidecar.returncode == 1
    assert errors.startswith(f"wanted one file in {disc}/, found: ")


def test_a_cluster_with_image_volumes_needs_no_sidecar() -> None:
    found = with_volumes(*CONTAINER_DISKS, image_volumes=True)
    assert "initContainers" not in found.spec
    folder = KUBEVIRT_MOUNTS.image_volumes
    assert found.mount(f"{folder}/disk_0") == {
        "image": {"reference": "example/a:1", "pullPolicy": "Always"}, "readOnly": True
    }  # fmt: skip
    assert found.mount(f"{folder}/disk_2")["image"] == {"reference": "example/b:1"}
    assert found.spec["imagePullSecrets"] == [{"name": "key"}]


def test_a_service_accounts_disc_brings_its_token_into_the_pod() -> None:
    found = with_volumes("{name: a, serviceAccount: {serviceAccountName: robot}}")
    assert (found.spec["serviceAccountName"], found.spec["automountServiceAccountToken"]) == ("robot", True)


def test_two_service_accounts_are_one_too_many() -> None:
    volumes = "[{name: a, serviceAccount: {serviceAccountName: robot}}]"
    disks = "devices: {disks: [{name: a, disk: {}}]}"
    with pytest.raises(InvalidVMI, match=r"spec.serviceAccountName: human, robot: a Pod has one service account"):
        rendered(f"domain: {{memory: {{guest: 1Gi}}, {disks}}}\nvolumes: {volumes}\nserviceAccountName: human")
