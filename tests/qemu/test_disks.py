"""Disks and volumes of real guests: what the guest itself sees of them, and what becomes of the files behind them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from hashlib import md5
from pathlib import Path
from typing import Any

from launcher.storage.tags import room_for_tags
from launcher.vmi.load import load_guest
from tests.qemu.guests import Launcher, manifest

Launch = Callable[..., Launcher]
MIB = 1 << 20
MAC = "02:00:00:00:00:07"
Pair = tuple[dict[str, Any], dict[str, Any]]

# What KubeVirt makes of the name "demo" where a manifest has no UUID (launcher/vmi/identity.py says where).
UUID_OF_DEMO = "c89d1344-ee03-5c55-99bd-5df16b72bea0"


def _vmi(*pairs: Pair, cores: int = 1, **devices: object) -> dict[str, Any]:
    """Return the manifest of a demo guest with these disks and volumes, which ends by itself."""
    vmi = manifest(cores=cores, kernel_arguments="guest.exit=poweroff", dedicated=False)
    names = [f"disk{index}" for index in range(len(pairs))]
    disks = [{"name": name, **disk} for name, (disk, _) in zip(names, pairs, strict=True)]
    vmi["spec"]["domain"]["devices"] |= {"disks": disks, **devices}
    vmi["spec"]["volumes"] = [{"name": name, **volume} for name, (_, volume) in zip(names, pairs, strict=True)]
    return vmi


def _report(launcher: Launcher) -> set[str]:
    """Return what the guest said of its disks once it has ended."""
    assert launcher.wait() == 0, launcher.output
    lines = (line.partition("guest: ")[2] for line in launcher.lines)
    return {line for line in lines if line.startswith(("disk=", "queue=", "disc=", "file="))}


def _md5(data: bytes) -> str:
    return md5(data, usedforsecurity=False).hexdigest()


def _sized(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(bytes(size))
    return path


def test_a_guest_sees_its_disks_with_their_sizes_serials_blocks_and_queues(launch: Launch, tmp_path: Path) -> None:
    root = _sized(tmp_path / "root.img", 8 * MIB)
    blocks = {"custom": {"logical": 4096, "physical": 4096}}
    vmi = _vmi(
        (
            {"disk": {"bus": "virtio"}, "serial": "A_b.c+d-1", "blockSize": blocks},
            {"hostDisk": {"path": str(root), "type": "Disk"}},
        ),
        (
            {"disk": {"bus": "scsi", "readonly": True}, "serial": "x" * 36, "cache": "writeback"},
            {"hostDisk": {"path": str(tmp_path / "made.img"), "type": "DiskOrCreate", "capacity": "2Mi"}},
        ),
        ({"disk": {"bus": "virtio"}, "errorPolicy": "report"}, {"emptyDisk": {"capacity": "1Gi"}}),
        cores=2,
        blockMultiQueue=True,
    )  # fmt: skip
    assert _report(launch(vmi)) == {
        f"disk=vda bytes={8 * MIB} readonly=0",
        "queue=vda logical=4096 physical=4096 queues=2 serial=A_b.c+d-1",
        f"disk=sda bytes={2 * MIB} readonly=1",
        f"queue=sda logical=512 physical=512 queues=2 serial={'x' * 36}",
        f"disk=vdb bytes={1 << 30} readonly=0",
        "queue=vdb logical=512 physical=512 queues=2 serial=",
    }


def test_a_guest_sees_the_volumes_that_a_pod_mounts(launch: Launch, tmp_path: Path) -> None:
    volumes = tmp_path / "volumes"
    claim = _sized(volumes / "vmi-disks/disk0/disk.img", 3 * MIB)
    below = _sized(volumes / "vmi-disks/disk1/disk.img", 4 * MIB)
    image = volumes / "container-disks/disk_2.img"
    image.parent.mkdir()
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), str(5 * MIB)], check=True)
    vmi = _vmi(
        ({"disk": {"bus": "virtio"}}, {"persistentVolumeClaim": {"claimName": "data"}}),
        ({"disk": {"bus": "virtio"}}, {"ephemeral": {"persistentVolumeClaim": {"claimName": "golden"}}}),
        ({"disk": {"bus": "scsi"}}, {"containerDisk": {"image": "registry/fedora:40"}}),
    )
    for path in (below, image):
        path.chmod(0o400)
    before = image.read_bytes()
    found = {line for line in _report(launch(vmi, "--volumes", str(volumes))) if line.startswith("disk=")}
    assert found == {
        f"disk=vda bytes={3 * MIB} readonly=0",
        f"disk=vdb bytes={4 * MIB} readonly=0",
        f"disk=sda bytes={5 * MIB} readonly=0",
    }
    assert (image.read_bytes(), claim.stat().st_size) == (before, 3 * MIB)


def test_a_guest_reads_its_discs(launch: Launch, tmp_path: Path) -> None:
    volumes = tmp_path / "volumes"
    real = volumes / "config-map/disk2/..2026/key.cfg"
    real.parent.mkdir(parents=True)
    real.write_bytes(b"a\n")
    (real.parent.parent / "..data").symlink_to("..2026")
    (real.parent.parent / "key.cfg").symlink_to("..data/key.cfg")
    user_data = '#!/bin/sh\necho "\'<&>\u00e9"\n'
    vmi = _vmi(
        ({"disk": {"bus": "virtio"}}, {"cloudInitNoCloud": {"userData": user_data, "networkDataBase64": "AP8="}}),
        ({"cdrom": {"bus": "scsi"}}, {"cloudInitConfigDrive": {"userData": user_data}}),
        ({"cdrom": {"bus": "scsi"}}, {"configMap": {"name": "settings", "volumeLabel": "OEMDRV"}}),
    )
    report = _report(launch(vmi, "--volumes", str(volumes)))
    meta = _md5(json.dumps({"instance-id": UUID_OF_DEMO, "local-hostname": "demo"}).encode())
    latest = "openstack/latest"
    drive = _md5(json.dumps({"instance_id": "demo.tests", "hostname": "demo", "uuid": UUID_OF_DEMO}).encode())
    assert {line for line in report if line.startswith(("disc=", "file="))} == {
        "disc=vda label=cidata",
        f"file=vda path=meta-data md5={meta}",
        f"file=vda path=user-data md5={_md5(user_data.encode())}",
        f"file=vda path=network-config md5={_md5(bytes([0, 255]))}",
        "disc=sr0 label=config-2",
        f"file=sr0 path={latest}/meta_data.json md5={drive}",
        f"file=sr0 path={latest}/user_data md5={_md5(user_data.encode())}",
        "disc=sr1 label=OEMDRV",
        f"file=sr1 path=key.cfg md5={_md5(real.read_bytes())}",
    }


def test_a_config_drive_tells_where_a_tagged_card_is(launch: Launch, tmp_path: Path) -> None:
    vmi = _vmi(({"cdrom": {"bus": "scsi"}}, {"cloudInitConfigDrive": {"userData": "#!/bin/sh\n"}}))
    devices = vmi["spec"]["domain"]["devices"]
    devices["interfaces"] = [{"name": "front", "slirp": {}, "macAddress": MAC, "tag": "front"}]
    vmi["spec"]["networks"] = [{"name": "front", "pod": {}}]
    file = tmp_path / "vmi.json"
    file.write_text(json.dumps(vmi))
    room = room_for_tags(load_guest(str(file)))
    own = {"instance_id": "demo.tests", "hostname": "demo", "uuid": UUID_OF_DEMO}

    def seen(bus: int) -> str:
        card = {"type": "nic", "bus": "pci", "address": f"0000:{bus:02x}:00.0", "mac": MAC, "tags": ["front"]}
        data = json.dumps({**own, "devices": [card]}).ljust(len(json.dumps(own)) + room)
        return f"file=sr0 path=openstack/latest/meta_data.json md5={_md5(data.encode())}"

    # Which of libvirt's root ports it is on is libvirt's choice.
    report = _report(launch(vmi))
    assert [bus for bus in range(1, 64) if seen(bus) in report], report


def test_a_volume_that_is_not_mounted_is_told_before_anything_starts(
    launch: Launch, tmp_path: Path, root: Path
) -> None:
    vmi = _vmi(({"disk": {"bus": "virtio"}}, {"persistentVolumeClaim": {"claimName": "data"}}))
    launcher = launch(vmi, "--volumes", str(tmp_path))
    assert launcher.wait() == 3
    assert "spec.volumes[disk0]: no folder" in launcher.output
    assert not (root / "storage").exists()
