"""The part of the schema that describes devices of the host: GPUs, other devices, and the claims they come by.

Source: kubevirt.io/api/core/v1, schema.go. The rules of schema.py hold here, too.
"""

from msgspec import field

from launcher.vmi.schema_base import FeatureState, KubeVirtStruct


class VGPUDisplayOptions(KubeVirtStruct, frozen=True, kw_only=True):
    """Whether a virtual GPU is a screen of the guest, and from its boot on."""

    enabled: bool | None = None
    ram_fb: FeatureState | None = field(name="ramFB", default=None)


class VGPUOptions(KubeVirtStruct, frozen=True, kw_only=True):
    """What only a virtual GPU has."""

    display: VGPUDisplayOptions | None = None


class GPU(KubeVirtStruct, frozen=True, kw_only=True):
    """A GPU: a resource of a device plugin, or a request of a resource claim."""

    name: str
    device_name: str = ""
    claim_name: str = ""
    request_name: str = ""
    virtual_gpu_options: VGPUOptions | None = field(name="virtualGPUOptions", default=None)
    tag: str = ""


class HostDevice(KubeVirtStruct, frozen=True, kw_only=True):
    """Any other device: a resource of a device plugin, or a request of a resource claim."""

    name: str
    device_name: str = ""
    claim_name: str = ""
    request_name: str = ""
    tag: str = ""


class VirtualMachineInstanceResourceClaim(KubeVirtStruct, frozen=True, kw_only=True):
    """A claim of Dynamic Resource Allocation, by its own name or by that of the template it is made from."""

    name: str
    resource_claim_name: str | None = None
    resource_claim_template_name: str | None = None
