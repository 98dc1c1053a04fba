"""The admission rules of how people and probes reach the guest: credentials, probes, shared file systems.

Source: KubeVirt's admission webhook, vmi-create-admitter.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from launcher.errors import Fault
from launcher.vmi.fieldpath import item, show
from launcher.vmi.probes import HANDLERS, handlers_of, port_of
from launcher.vmi.rules import Rule, Subject, faults_at, list_name_faults, subdomain_fault, text_fault
from launcher.vmi.schema_access import AccessCredential, CredentialSource, HTTPGetAction, Probe, TCPSocketAction
from launcher.vmi.volume_rules import VOLUMES, sources_of

CREDENTIALS = "spec.accessCredentials"
FILESYSTEMS = "spec.domain.devices.filesystems"
_DISKS = "spec.domain.devices.disks"
# What a folder can be made of; all else is an image, of which there is nothing to share.
SHAREABLE = (
    "persistentVolumeClaim",
    "dataVolume",
    "configMap",
    "secret",
    "downwardAPI",
    "serviceAccount",
    "containerPath",
)
_AGENT_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@$-]{0,255}", re.ASCII)
# The length of a virtio file system's tag (virtio 1.2, 5.11.4).
_LONGEST_TAG = 36


def _credentials(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    has_no_cloud = any(volume.cloud_init_no_cloud is not None for volume in spec.volumes)
    has_config_drive = any(volume.cloud_init_config_drive is not None for volume in spec.volumes)
    for index, credential in enumerate(spec.access_credentials):
        path = item(CREDENTIALS, index)
        if (credential.ssh_public_key is None) == (credential.user_password is None):
            yield Fault(path, "wanted one of sshPublicKey and userPassword")
        yield from _keys(credential, path, has_no_cloud=has_no_cloud, has_config_drive=has_config_drive)
        if (password := credential.user_password) is not None:
            yield from _source(password.source, f"{path}.userPassword.source")
            if password.propagation_method.qemu_guest_agent is None:
                yield Fault(f"{path}.userPassword.propagationMethod", "missing; wanted qemuGuestAgent")


def _keys(credential: AccessCredential, path: str, *, has_no_cloud: bool, has_config_drive: bool) -> Iterator[Fault]:
    keys = credential.ssh_public_key
    if keys is None:
        return
    yield from _source(keys.source, f"{path}.sshPublicKey.source")
    method, where = keys.propagation_method, f"{path}.sshPublicKey.propagationMethod"
    if sum(way is not None for way in (method.no_cloud, method.config_drive, method.qemu_guest_agent)) != 1:
        yield Fault(where, "wanted one of noCloud, configDrive and qemuGuestAgent")
    if method.no_cloud is not None and not has_no_cloud:
        yield Fault(f"{where}.noCloud", f"needs a cloudInitNoCloud volume, and there is none ({VOLUMES})")
    if method.config_drive is not None and not has_config_drive:
        yield Fault(f"{where}.configDrive", f"needs a cloudInitConfigDrive volume, and there is none ({VOLUMES})")
    if method.qemu_guest_agent is not None:
        yield from _users(method.qemu_guest_agent.users, f"{where}.qemuGuestAgent.users")


def _users(users: tuple[str, ...], path: str) -> Iterator[Fault]:
    if not users:
        yield Fault(path, "missing; wanted the users who get the keys")
    for index, user in enumerate(users):
        if not _AGENT_USER.fullmatch(user):
            yield Fault(item(path, index), f"{show(user)} is not the name of a user")


def _source(source: CredentialSource, path: str) -> Iterator[Fault]:
    if source.secret is None:
        yield Fault(f"{path}.secret", "missing")
    else:
        yield from faults_at(f"{path}.secret.secretName", subdomain_fault(source.secret.secret_name))


def _probes(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    for path, probe in (("spec.readinessProbe", spec.readiness_probe), ("spec.livenessProbe", spec.liveness_probe)):
        if probe is not None:
            yield from _probe(subject, probe, path)
    if spec.liveness_probe is not None and spec.liveness_probe.success_threshold > 1:
        yield Fault("spec.livenessProbe.successThreshold", "is 1 for a livenessProbe, or left out")
    if spec.liveness_probe is not None and spec.start_strategy is not None:
        yield Fault("spec.startStrategy", "excludes spec.livenessProbe, which a guest that stands still would fail")


def _probe(subject: Subject, probe: Probe, path: str) -> Iterator[Fault]:
    given = handlers_of(probe)
    if len(given) != 1:
        found = f"is {' and '.join(given)} at once" if given else "asks for nothing"
        yield Fault(path, f"{found}; wanted one of {', '.join(HANDLERS)}")
    for field, action in (("httpGet", probe.http_get), ("tcpSocket", probe.tcp_socket)):
        if action is not None:
            yield from _network_probe(subject, action, f"{path}.{field}")
    if probe.exec is not None and not probe.exec.command:
        yield Fault(f"{path}.exec.command", "missing")


def _network_probe(subject: Subject, action: HTTPGetAction | TCPSocketAction, path: str) -> Iterator[Fault]:
    spec = subject.vmi.spec
    if port_of(action.port, spec.domain.devices.interfaces) is None:
        yield Fault(f"{path}.port", f"{show(action.port)} is not a port from 1 to 65535, nor the name of a card's port")
    if not any(one.pod is not None or (one.multus is not None and one.multus.default) for one in spec.networks):
        yield Fault(path, "needs the Pod's own network, and the guest is not on it (spec.networks)")
    yield from faults_at(f"{path}.host", text_fault(action.host))
    if isinstance(action, HTTPGetAction):
        yield from faults_at(f"{path}.path", text_fault(action.path))
        for index, header in enumerate(action.http_headers):
            yield from faults_at(item(f"{path}.httpHeaders", index), text_fault(f"{header.name}{header.value}"))


def _filesystems(subject: Subject) -> Iterator[Fault]:
    spec = subject.vmi.spec
    names = [filesystem.name for filesystem in spec.domain.devices.filesystems]
    disks = {disk.name for disk in spec.domain.devices.disks}
    volumes = {volume.name: volume for volume in spec.volumes}
    yield from list_name_faults(FILESYSTEMS, names)
    for index, name in enumerate(names):
        path = f"{item(FILESYSTEMS, index)}.name"
        if name not in volumes:
            yield Fault(path, f"no volume is called {show(name)} ({VOLUMES})")
            continue
        if name in disks:
            yield Fault(path, f"{show(name)} is the volume of a disk, too ({_DISKS})")
        if len(name) > _LONGEST_TAG:
            yield Fault(
                path, f"{show(name)} is longer than {_LONGEST_TAG} characters, all that a virtio file system has"
            )
        for source in sources_of(volumes[name]):
            if source not in SHAREABLE:
                yield Fault(path, f"its volume, {source}, is no folder; wanted {', '.join(SHAREABLE)}")


def _container_paths(subject: Subject) -> Iterator[Fault]:
    shared = {filesystem.name for filesystem in subject.vmi.spec.domain.devices.filesystems}
    for index, volume in enumerate(subject.vmi.spec.volumes):
        if volume.container_path is not None and volume.name not in shared:
            yield Fault(f"{item(VOLUMES, index)}.containerPath", f"needs a file system of its name ({FILESYSTEMS})")


def _memory_dumps(subject: Subject) -> Iterator[Fault]:
    disks = {disk.name: index for index, disk in enumerate(subject.vmi.spec.domain.devices.disks)}
    for volume in subject.vmi.spec.volumes:
        if volume.memory_dump is not None and volume.name in disks:
            path = f"{item(_DISKS, disks[volume.name])}.name"
            yield Fault(path, "its volume, memoryDump, is what KubeVirt dumps memory into, and no disk")


ACCESS_RULES = (
    Rule(reads=(CREDENTIALS, f"{VOLUMES}[].cloudInitNoCloud", f"{VOLUMES}[].cloudInitConfigDrive"), check=_credentials),
    Rule(reads=("spec.readinessProbe", "spec.livenessProbe", "spec.startStrategy", "spec.networks"), check=_probes),
    Rule(reads=(FILESYSTEMS, VOLUMES, f"{_DISKS}[].name"), check=_filesystems),
    Rule(reads=(FILESYSTEMS, VOLUMES), check=_container_paths),
    Rule(reads=(VOLUMES, f"{_DISKS}[].name"), check=_memory_dumps),
)
