"""The part of the schema that is the Pod's: what Kubernetes acts on, and the guest only sees.

Source: k8s.io/api/core/v1, types.go.
"""

from launcher.vmi.schema_base import KubeVirtStruct


class PodDNSConfigOption(KubeVirtStruct, frozen=True, kw_only=True):
    """An option of the resolver, such as ndots."""

    name: str
    value: str | None = None


class PodDNSConfig(KubeVirtStruct, frozen=True, kw_only=True):
    """What the Pod's resolver asks, beside or instead of the cluster's DNS."""

    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[PodDNSConfigOption, ...] = ()
