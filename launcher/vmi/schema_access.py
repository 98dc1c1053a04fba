"""The part of the schema by which people and probes reach the guest: credentials, probes, shared file systems.

Source: kubevirt.io/api/core/v1, schema.go and types.go; the handlers of probes are k8s.io/api/core/v1's.
"""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from launcher.vmi.schema_base import KubeVirtStruct

# A number, or the name of a port.
IntOrString: TypeAlias = object
# Go's int32.
Number = Annotated[int, Meta(ge=0, le=2**31 - 1, description="a number from 0")]


class FilesystemVirtiofs(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for it."""


class Filesystem(KubeVirtStruct, frozen=True, kw_only=True):
    """The volume of the same name as a file system that the guest mounts by that name."""

    name: str
    virtiofs: FilesystemVirtiofs


class DownwardMetrics(KubeVirtStruct, frozen=True, kw_only=True):
    """Figures of the host and of the guest over a virtio port, whenever the guest asks (vhostmd's)."""


class AccessCredentialSecretSource(KubeVirtStruct, frozen=True, kw_only=True):
    """A Secret of the guest's namespace."""

    secret_name: str


class CredentialSource(KubeVirtStruct, frozen=True, kw_only=True):
    """Where keys or passwords are: each value of the Secret is one."""

    secret: AccessCredentialSecretSource | None = None


class NoCloudPropagation(KubeVirtStruct, frozen=True, kw_only=True):
    """By the guest's cloudInitNoCloud volume."""


class ConfigDrivePropagation(KubeVirtStruct, frozen=True, kw_only=True):
    """By the guest's cloudInitConfigDrive volume."""


class QemuGuestAgentSSHPublicKeyAccessCredentialPropagation(KubeVirtStruct, frozen=True, kw_only=True):
    """By the guest's agent, into these users' authorized_keys."""

    users: tuple[str, ...] = ()


class QemuGuestAgentUserPasswordAccessCredentialPropagation(KubeVirtStruct, frozen=True, kw_only=True):
    """By the guest's agent, which sets the password of each user whose name is a key of the Secret."""


class SSHPublicKeyAccessCredentialPropagationMethod(KubeVirtStruct, frozen=True, kw_only=True):
    """One of the ways in which the guest gets its keys."""

    no_cloud: NoCloudPropagation | None = None
    config_drive: ConfigDrivePropagation | None = None
    qemu_guest_agent: QemuGuestAgentSSHPublicKeyAccessCredentialPropagation | None = None


class UserPasswordAccessCredentialPropagationMethod(KubeVirtStruct, frozen=True, kw_only=True):
    """The one way in which the guest gets its passwords."""

    qemu_guest_agent: QemuGuestAgentUserPasswordAccessCredentialPropagation | None = None


class SSHPublicKeyAccessCredential(KubeVirtStruct, frozen=True, kw_only=True):
    """Public keys by which people may log in."""

    source: CredentialSource
    propagation_method: SSHPublicKeyAccessCredentialPropagationMethod


class UserPasswordAccessCredential(KubeVirtStruct, frozen=True, kw_only=True):
    """Passwords by which people may log in."""

    source: CredentialSource
    propagation_method: UserPasswordAccessCredentialPropagationMethod


class AccessCredential(KubeVirtStruct, frozen=True, kw_only=True):
    """Keys or passwords; one of the two."""

    ssh_public_key: SSHPublicKeyAccessCredential | None = None
    user_password: UserPasswordAccessCredential | None = None


class HTTPHeader(KubeVirtStruct, frozen=True, kw_only=True):
    """A header of a probe's request."""

    name: str
    value: str


class HTTPGetAction(KubeVirtStruct, frozen=True, kw_only=True):
    """A request to the guest; the port is a number or the name of an interface's port."""

    port: IntOrString
    path: str = "/"
    host: str = ""
    scheme: Literal["HTTP", "HTTPS"] = "HTTP"
    http_headers: tuple[HTTPHeader, ...] = ()


class TCPSocketAction(KubeVirtStruct, frozen=True, kw_only=True):
    """A connection to the guest."""

    port: IntOrString
    host: str = ""


class ExecAction(KubeVirtStruct, frozen=True, kw_only=True):
    """A command that the guest's agent runs."""

    command: tuple[str, ...] = ()


class GuestAgentPing(KubeVirtStruct, frozen=True, kw_only=True):
    """Its presence asks for it."""


class Probe(KubeVirtStruct, frozen=True, kw_only=True):
    """How it is found out whether the guest lives, or is ready: one of four ways, and how often."""

    http_get: HTTPGetAction | None = None
    tcp_socket: TCPSocketAction | None = None
    exec: ExecAction | None = None
    guest_agent_ping: GuestAgentPing | None = None
    initial_delay_seconds: Number = 0
    timeout_seconds: Number = 0
    period_seconds: Number = 0
    success_threshold: Number = 0
    failure_threshold: Number = 0
