"""Builds the host's devices that an admitted manifest asks for."""

from __future__ import annotations

from launcher.vmi.attachments import attachment_of
from launcher.vmi.guest_devices import ClaimSource, DeviceKind, DeviceRequest
from launcher.vmi.networks import parse_mac
from launcher.vmi.schema import VirtualMachineInstance, VirtualMachineInstanceSpec
from launcher.vmi.schema_devices import GPU, HostDevice, VGPUDisplayOptions
from launcher.vmi.schema_machine import Interface, Network


def device_requests_of(vmi: VirtualMachineInstance) -> tuple[DeviceRequest, ...]:
    """Return what is asked of the host's devices: GPUs, other devices, virtual functions; each in their own order."""
    devices = vmi.spec.domain.devices
    gpus = (_request(DeviceKind.GPU, index, gpu, vmi.spec) for index, gpu in enumerate(devices.gpus))
    others = (_request(DeviceKind.HOST_DEVICE, index, one, vmi.spec) for index, one in enumerate(devices.host_devices))
    return (*gpus, *others, *_virtual_functions(vmi.spec))


def _virtual_functions(spec: VirtualMachineInstanceSpec) -> tuple[DeviceRequest, ...]:
    networks = {network.name: network for network in spec.networks}
    return tuple(
        _virtual_function(index, one, networks[one.name], spec)
        for index, one in enumerate(spec.domain.devices.interfaces)
        if one.sriov is not None
    )


def _virtual_function(
    index: int, interface: Interface, network: Network, spec: VirtualMachineInstanceSpec
) -> DeviceRequest:
    claim = network.resource_claim
    return DeviceRequest(
        kind=DeviceKind.VIRTUAL_FUNCTION,
        index=index,
        name=interface.name,
        claim=None if claim is None else _claimed(claim.claim_name, claim.request_name, spec),
        attachment=attachment_of(network, spec.networks),
        mac=None if interface.mac_address is None else parse_mac(interface.mac_address),
        boot_order=interface.boot_order,
        acpi_index=interface.acpi_index,
        guest_address=interface.pci_address,
        tag=interface.tag,
    )


def _request(kind: DeviceKind, index: int, entry: GPU | HostDevice, spec: VirtualMachineInstanceSpec) -> DeviceRequest:
    display = _display(entry)
    return DeviceRequest(
        kind=kind,
        index=index,
        name=entry.name,
        resource=entry.device_name,
        claim=_claim(entry, spec),
        is_screen=None if display is None else display.enabled is not False,
        has_boot_screen=display is None or display.ram_fb is None or display.ram_fb.enabled,
        tag=entry.tag,
    )


def _display(entry: GPU | HostDevice) -> VGPUDisplayOptions | None:
    if isinstance(entry, HostDevice) or entry.virtual_gpu_options is None:
        return None
    return entry.virtual_gpu_options.display


def _claim(entry: GPU | HostDevice, spec: VirtualMachineInstanceSpec) -> ClaimSource | None:
    return _claimed(entry.claim_name, entry.request_name, spec) if entry.claim_name else None


def _claimed(claim_name: str, request: str, spec: VirtualMachineInstanceSpec) -> ClaimSource:
    # Admission saw to it that the claim is listed, under one name.
    claim = next(claim for claim in spec.resource_claims if claim.name == claim_name)
    return ClaimSource(
        claim=claim.name,
        object_name=claim.resource_claim_name or claim.resource_claim_template_name or "",
        is_template=claim.resource_claim_name is None,
        request=request,
    )
