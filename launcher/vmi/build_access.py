"""Builds how people reach the guest of an admitted manifest: shared folders, and credentials that its agent sets."""

from __future__ import annotations

from collections.abc import Iterator

from launcher.vmi.build_storage import content_of
from launcher.vmi.guest_storage import AgentKeys, AgentPasswords, Claim, ContainerPath, MountedFolder, SharedFolder
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.schema_access import AccessCredential
from launcher.vmi.schema_storage import Volume


def shared_folders_of(vmi: VirtualMachineInstance) -> tuple[SharedFolder, ...]:
    """Build the file systems in the manifest's order, each with its volume."""
    volumes = {volume.name: volume for volume in vmi.spec.volumes}
    return tuple(
        SharedFolder(name=one.name, source=_source(volumes[one.name])) for one in vmi.spec.domain.devices.filesystems
    )


def _source(volume: Volume) -> Claim | MountedFolder | ContainerPath:
    if volume.container_path is not None:
        return ContainerPath(path=volume.container_path.path)
    content = content_of(volume, 0)
    if not isinstance(content, Claim | MountedFolder):
        raise TypeError(f"volume {volume.name} was admitted as a folder and is none")
    return content


def agent_credentials_of(vmi: VirtualMachineInstance) -> tuple[AgentKeys | AgentPasswords, ...]:
    """Build what the guest's agent is to set; keys by cloud-init are on its disc."""
    return tuple(found for one in vmi.spec.access_credentials for found in _by_agent(one))


def _by_agent(credential: AccessCredential) -> Iterator[AgentKeys | AgentPasswords]:
    keys, password = credential.ssh_public_key, credential.user_password
    if keys is not None and keys.source.secret is not None:
        agent = keys.propagation_method.qemu_guest_agent
        if agent is not None:
            yield AgentKeys(secret=keys.source.secret.secret_name, users=agent.users)
    if password is not None and password.source.secret is not None:
        yield AgentPasswords(secret=password.source.secret.secret_name)
