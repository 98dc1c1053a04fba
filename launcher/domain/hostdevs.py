"""The domain's devices of the host, and the part of its PCI tree that they hang in."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.inputs import have_usb
from launcher.domain.names import hostdev_alias
from launcher.domain.pci import ExpanderBus, expander_buses
from launcher.domain.xml import Element, add, add_pci_address
from launcher.host.assigned import AssignedDevice, Bus

# What QEMU's q35 leaves for 64-bit windows by itself (hw/pci-host/q35.c, PCI_HOST_PROP_PCI_HOLE64_SIZE): 32 GiB.
_OWN_HOLE_BYTES = 32 << 30
_KIBIBYTE = 1024


def fill_hostdevs(devices: Element, blueprint: Blueprint) -> None:
    """Write each device, never managed: who bound it to its driver is not the launcher, and has it back unchanged."""
    buses = expander_buses(blueprint.devices, blueprint.pinning.cells)
    for bus in buses:
        _add_bus(devices, bus)
    _size_hole(devices, blueprint)
    places = {port.device: port.index for bus in buses for port in bus.ports}
    for place, device in enumerate(blueprint.devices):
        _add_device(devices, device, places.get(place), has_screen=blueprint.guest.peripherals.video is not None)


def _add_bus(devices: Element, bus: ExpanderBus) -> None:
    controller = add(devices, "controller", type="pci", index=bus.index, model="pcie-expander-bus")
    add(add(controller, "target", busNr=bus.bus_number), "node", bus.cell)
    for port in bus.ports:
        root_port = add(devices, "controller", type="pci", index=port.index, model="pcie-root-port")
        _add_address(root_port, bus=bus.index, slot=port.slot)


def _add_address(element: Element, *, bus: int, slot: int) -> None:
    add(element, "address", type="pci", domain="0x0000", bus=f"{bus:#04x}", slot=f"{slot:#04x}", function="0x0")


def _size_hole(devices: Element, blueprint: Blueprint) -> None:
    """Leave room for the devices' 64-bit windows, each aligned to its size, where QEMU's own is too small."""
    # Each is a power of two, and firmware lays them out largest first: nothing is lost between them.
    needed = sum(size for device in blueprint.devices for size in device.wide_bytes)
    is_shut = blueprint.guest.board.without_wide_windows
    if blueprint.arch != "x86_64" or not (is_shut or needed > _OWN_HOLE_BYTES):
        return
    hole = 0 if is_shut else 1 << (needed - 1).bit_length()
    controller = add(devices, "controller", type="pci", index=0, model="pcie-root")
    add(controller, "pcihole64", hole // _KIBIBYTE, unit="KiB")


def _add_device(devices: Element, device: AssignedDevice, bus: int | None, *, has_screen: bool) -> None:
    element = add(devices, "hostdev", mode="subsystem", type=device.bus)
    match device.bus:
        case Bus.PCI:
            element.set("managed", "no")
            # Said, for a conversion to a command line is the one place where libvirt does not find it out by itself.
            add(element, "driver", name="vfio")
            domain, number, slot, function = _parts(device.address)
            source = add(element, "source")
            add(source, "address", domain=f"0x{domain}", bus=f"0x{number}", slot=f"0x{slot}", function=f"0x{function}")
        case Bus.MEDIATED:
            element.set("model", "vfio-pci")
            # libvirt refuses the screen of a guest that has none otherwise.
            if device.is_screen and has_screen:
                element.set("display", "on")
                element.set("ramfb", "on" if device.has_boot_screen else "off")
            add(add(element, "source"), "address", uuid=device.address)
        case Bus.USB:
            have_usb(devices)
            number, _, place = device.address.partition(":")
            add(add(element, "source"), "address", bus=int(number), device=int(place))
    request = device.request
    if request.boot_order is not None:
        add(element, "boot", order=request.boot_order)
    add(element, "alias", name=hostdev_alias(request))
    if request.acpi_index is not None:
        add(element, "acpi", index=request.acpi_index)
    if request.guest_address is not None:
        add_pci_address(element, request.guest_address)
    elif bus is not None:
        _add_address(element, bus=bus, slot=0)


def _parts(address: str) -> tuple[str, str, str, str]:
    domain, number, rest = address.split(":")
    slot, _, function = rest.partition(".")
    return domain, number, slot, function
