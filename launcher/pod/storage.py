"""What a launcher's Pod mounts for its guest's volumes, at the places where the launcher looks for them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from posixpath import dirname, join, normpath

from msgspec import Struct

from launcher.errors import Fault, InvalidVMI
from launcher.pod.container_disks import container_images
from launcher.pod.names import bounded_name
from launcher.pod.options import PodOptions
from launcher.pod.part import Part, Tree, joined
from launcher.storage.layout import KUBEVIRT_MOUNTS
from launcher.vmi.build import IGNITION_ANNOTATION
from launcher.vmi.manifest import Value
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.schema_storage import DownwardAPIVolumeFile, Volume

# A folder mounted over one of these, or above one, would hide the launcher's own files.
_OWN_FOLDERS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/opt", "/proc", "/root", "/run", "/sbin", "/sys",
    "/tmp", "/usr", "/var/lib/virt-launcher", "/var/run",  # noqa: S108 - inside of the container
)  # fmt: skip


def storage_of(vmi: VirtualMachineInstance, options: PodOptions, *, copies_mebibytes: int) -> Part:
    """Return volumes, mounts and containers for the guest's volumes and for the kernel that it boots.

    Raises InvalidVMI with every field that no Pod can serve.
    """
    faults = tuple(_faults(vmi, options))
    if faults:
        name = vmi.metadata.name
        raise InvalidVMI(f"VMI {name}", faults)
    parts = (_part(volume, options) for volume in vmi.spec.volumes)
    images = container_images(vmi, options, copies_mebibytes)
    return joined((_host_files(vmi, options), *parts, *_credentials(vmi), images))


def _credentials(vmi: VirtualMachineInstance) -> Iterator[Part]:
    """Yield the folder of each Secret with keys or passwords, once, where KubeVirt has it."""
    for name in dict.fromkeys(_credential_secrets(vmi)):
        pod_volume = bounded_name("keys", *name.split("."))
        yield Part(
            volumes=({"name": pod_volume, "secret": {"secretName": name}},),
            mounts=({"name": pod_volume, "mountPath": KUBEVIRT_MOUNTS.keys_of(name), "readOnly": True},),
        )


def _credential_secrets(vmi: VirtualMachineInstance) -> Iterator[str]:
    for credential in vmi.spec.access_credentials:
        for one in (credential.ssh_public_key, credential.user_password):
            if one is not None and one.source.secret is not None:
                yield one.source.secret.secret_name


def _part(volume: Volume, options: PodOptions) -> Part:
    """Return what one volume needs; host disks and container disks are looked at together, elsewhere."""
    if (claim := volume.persistent_volume_claim) is not None:
        return _claim(volume.name, claim.claim_name, options, readonly=claim.read_only)
    if volume.data_volume is not None:
        return _claim(volume.name, volume.data_volume.name, options, readonly=False)
    if volume.ephemeral is not None and (layered := volume.ephemeral.persistent_volume_claim) is not None:
        return _claim(volume.name, layered.claim_name, options, readonly=True)
    return _objects(volume)


def _objects(volume: Volume) -> Part:
    """Return the folder of the ConfigMap, Secret, fields or secrets for cloud-init that the volume is made of."""
    if (config_map := volume.config_map) is not None:
        source: Tree = {"configMap": {"name": config_map.name, "optional": config_map.optional}}
        return _folder(volume.name, source, KUBEVIRT_MOUNTS.config_maps)
    if (secret := volume.secret) is not None:
        source = {"secret": {"secretName": secret.secret_name, "optional": secret.optional}}
        return _folder(volume.name, source, KUBEVIRT_MOUNTS.secrets)
    if (fields := volume.downward_api) is not None:
        items: list[Value] = [_downward(file) for file in fields.fields]
        return _folder(volume.name, {"downwardAPI": {"items": items}}, KUBEVIRT_MOUNTS.downward_apis)
    if (sysprep := volume.sysprep) is not None and (answers := sysprep.config_map or sysprep.secret) is not None:
        kind, field = ("configMap", "name") if sysprep.config_map is not None else ("secret", "secretName")
        return _folder(volume.name, {kind: {field: answers.name}}, KUBEVIRT_MOUNTS.sysprep)
    names = tuple(dict.fromkeys(_cloud_init_secrets(volume)))
    if not names:
        return Part()
    sources: list[Value] = [{"secret": {"name": name}} for name in names]
    return _folder(volume.name, {"projected": {"sources": sources}}, KUBEVIRT_MOUNTS.secrets)


def _cloud_init_secrets(volume: Volume) -> Iterator[str]:
    source = volume.cloud_init_no_cloud or volume.cloud_init_config_drive
    for reference in () if source is None else (source.secret_ref, source.network_data_secret_ref):
        if reference is not None:
            yield reference.name


def _folder(name: str, source: Tree, parent: str) -> Part:
    pod_volume = bounded_name("volume", name)
    return Part(
        volumes=({"name": pod_volume, **source},),
        mounts=({"name": pod_volume, "mountPath": f"{parent}/{name}", "readOnly": True},),
    )


def _claim(name: str, claim: str, options: PodOptions, *, readonly: bool) -> Part:
    """Return a claim, as a device where it is said to be a block volume, else as a folder with disk.img in it.

    A read-only claim is mounted so; a read-only device would need the claim itself to be.
    """
    pod_volume = bounded_name("volume", name)
    source: Tree = {"claimName": claim, **({"readOnly": True} if readonly else {})}
    volumes: tuple[Tree, ...] = ({"name": pod_volume, "persistentVolumeClaim": source},)
    if name in options.block_volumes:
        return Part(volumes=volumes, devices=({"name": pod_volume, "devicePath": f"{KUBEVIRT_MOUNTS.devices}/{name}"},))
    mount: Tree = {"name": pod_volume, "mountPath": f"{KUBEVIRT_MOUNTS.claims}/{name}"}
    return Part(volumes=volumes, mounts=({**mount, **({"readOnly": True} if readonly else {})},))


def _downward(file: DownwardAPIVolumeFile) -> Tree:
    item: Tree = {"path": file.path}
    if (field := file.field_ref) is not None:
        item["fieldRef"] = {"fieldPath": field.field_path, **_given(apiVersion=field.api_version)}
    if (resource := file.resource_field_ref) is not None:
        divisor = None if resource.divisor is None else str(resource.divisor)
        container = resource.container_name or "compute"
        item["resourceFieldRef"] = {
            "containerName": container, "resource": resource.resource, **_given(divisor=divisor)
        }  # fmt: skip
    return {**item, **_given(mode=file.mode)}


def _given(**values: str | int | None) -> Tree:
    return {name: value for name, value in values.items() if value is not None}


class _HostPath(Struct, frozen=True, kw_only=True):
    """Something of the node: a file that is there, or the folder in which the launcher makes one."""

    path: str
    kind: str
    readonly: bool


def _host_files(vmi: VirtualMachineInstance, options: PodOptions) -> Part:
    """Mount each file of the node at its own path, the file alone: only one that is to be made needs its folder."""
    found: dict[str, _HostPath] = {}
    for wanted in chain(_kernel(vmi, options), _host_disks(vmi, options)):
        before = found.get(wanted.path, wanted)
        found[wanted.path] = _HostPath(path=wanted.path, kind=wanted.kind, readonly=wanted.readonly and before.readonly)
    parts = (_host_part(f"host-{index}", host_path) for index, host_path in enumerate(found.values()))
    return joined(parts)


def _host_part(name: str, host_path: _HostPath) -> Part:
    mount: Tree = {"name": name, "mountPath": host_path.path}
    return Part(
        volumes=({"name": name, "hostPath": {"path": host_path.path, "type": host_path.kind}},),
        mounts=({**mount, **({"readOnly": True} if host_path.readonly else {})},),
    )


def _kernel(vmi: VirtualMachineInstance, options: PodOptions) -> Iterator[_HostPath]:
    boot = vmi.spec.domain.firmware.kernel_boot
    if boot is None or boot.container is None or boot.container.image:
        return
    for path in (boot.container.kernel_path, boot.container.initrd_path):
        if path is not None:
            yield _HostPath(path=_absolute(path, options), kind="File", readonly=True)


def _host_disks(vmi: VirtualMachineInstance, options: PodOptions) -> Iterator[_HostPath]:
    writable = set(_written_volumes(vmi))
    for volume in vmi.spec.volumes:
        if volume.host_disk is None:
            continue
        path = _absolute(volume.host_disk.path, options)
        if volume.host_disk.type == "DiskOrCreate":
            yield _HostPath(path=dirname(path), kind="Directory", readonly=False)
        else:
            kind = "BlockDevice" if path.startswith("/dev/") else "File"
            yield _HostPath(path=path, kind=kind, readonly=volume.name not in writable)


def _written_volumes(vmi: VirtualMachineInstance) -> Iterator[str]:
    """Yield the names of the volumes that a disk of the guest writes to."""
    for disk in vmi.spec.domain.devices.disks:
        target = disk.disk or disk.lun
        if disk.cdrom is None and not (target is not None and target.readonly):
            yield disk.name


def _faults(vmi: VirtualMachineInstance, options: PodOptions) -> Iterator[Fault]:
    names = {volume.name for volume in vmi.spec.volumes}
    for name in sorted(options.block_volumes - names):
        yield Fault("spec.volumes", f"--block-volume {name}: there is no volume of this name")
    for index, shared in enumerate(vmi.spec.domain.devices.filesystems):
        if shared.name in options.block_volumes:
            message = f"the claim of {shared.name!r} is a block device, and a file system is shared of a folder alone"
            yield Fault(f"spec.domain.devices.filesystems[{index}].name", message)
    for field, path in _paths(vmi):
        if ":" in _absolute(path, options):
            yield Fault(field, f"{_absolute(path, options)!r} holds ':', and a Pod mounts no such path")
    for index, volume in enumerate(vmi.spec.volumes):
        if volume.host_disk is not None and volume.host_disk.type == "DiskOrCreate":
            folder = dirname(_absolute(volume.host_disk.path, options))
            if _hides_own(folder):
                message = f"the disk would be made in {folder!r}, which the launcher's container needs for itself"
                yield Fault(f"spec.volumes[{index}].hostDisk.path", f"{message}; name a folder of its own")


def _paths(vmi: VirtualMachineInstance) -> Iterator[tuple[str, str]]:
    """Yield every path of the node that the manifest names, after its field."""
    boot = vmi.spec.domain.firmware.kernel_boot
    if boot is not None and boot.container is not None and not boot.container.image:
        container = "spec.domain.firmware.kernelBoot.container"
        found = (("kernelPath", boot.container.kernel_path), ("initrdPath", boot.container.initrd_path))
        yield from ((f"{container}.{field}", path) for field, path in found if path is not None)
    for index, volume in enumerate(vmi.spec.volumes):
        if volume.host_disk is not None:
            yield f"spec.volumes[{index}].hostDisk.path", volume.host_disk.path


def _hides_own(folder: str) -> bool:
    """Tell whether a mount there would cover files of the launcher's container."""
    return any(_is_within(own, folder) or _is_within(folder, own) for own in _OWN_FOLDERS)


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder.rstrip('/')}/")


def _absolute(path: str, options: PodOptions) -> str:
    return normpath(join(options.folder, path))


def has_relative_paths(vmi: VirtualMachineInstance) -> bool:
    """Tell whether the launcher needs a working directory to find the files that the manifest names."""
    return any(not path.startswith("/") for _field, path in _paths(vmi))


def holds_user_data(vmi: VirtualMachineInstance) -> bool:
    """Tell whether the manifest itself has data for cloud-init or Ignition in it, which may hold passwords and keys."""
    if vmi.metadata.annotations.get(IGNITION_ANNOTATION):
        return True
    sources = (volume.cloud_init_no_cloud or volume.cloud_init_config_drive for volume in vmi.spec.volumes)
    return any(
        source.user_data or source.user_data_base64 or source.network_data or source.network_data_base64
        for source in sources
        if source is not None
    )
