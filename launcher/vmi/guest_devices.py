"""What a guest asks of the host's devices, as frozen values: which resource or claim, and how the guest sees it."""

from enum import StrEnum

from msgspec import Struct

from launcher.vmi.guest_machine import Attachment


class DeviceKind(StrEnum):
    """The list of the manifest that a device stands in, in KubeVirt's words."""

    GPU = "gpus"
    HOST_DEVICE = "hostDevices"
    # A virtual function of a network card, of which the guest's card is made (sriov).
    VIRTUAL_FUNCTION = "interfaces"


class ClaimSource(Struct, frozen=True, kw_only=True):
    """A request of a resource claim; `is_template` tells that the claim is made from a template for this Pod alone."""

    # The name in spec.resourceClaims, the object's name behind it, and the request in that.
    claim: str
    object_name: str
    is_template: bool
    request: str


class DeviceRequest(Struct, frozen=True, kw_only=True):
    """One device that the manifest asks for, in its order; either a device plugin's resource or a claim's request.

    `is_screen` is None where the manifest does not say whether a virtual GPU is a screen of the guest. A virtual
    function has the `attachment` that it is on; its resource is "" where nothing tells what that network asks for.
    """

    kind: DeviceKind
    index: int
    name: str
    resource: str = ""
    claim: ClaimSource | None = None
    is_screen: bool | None = None
    has_boot_screen: bool = True
    tag: str = ""
    attachment: Attachment | None = None
    mac: str | None = None
    boot_order: int | None = None
    acpi_index: int | None = None
    # Where the guest is to see it.
    guest_address: str | None = None

    @property
    def path(self) -> str:
        """The field's path, for messages."""
        return f"spec.domain.devices.{self.kind}[{self.index}]"
