"""The host's devices in the guest's hands, under watch: whether each is still there, the same, and without new errors.

Source: the kernel's Documentation/ABI/testing/sysfs-bus-pci (driver) and sysfs-bus-pci-devices-aer_stats. A device that
was taken out and put back is another one to the kernel, and its folder in sysfs has another inode number: QEMU holds
the old one, which is dead.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

_log = logging.getLogger(__name__)

# A device that goes takes its guest's driver seconds to notice; a look at one costs 30 us.
LOOK_INTERVAL_S = 5.0
_DRIVER = "vfio-pci"
_COUNTERS = ("aer_dev_fatal", "aer_dev_nonfatal")


class HeldDevice(Struct, frozen=True, kw_only=True):
    """A device of the host that QEMU has: its alias in the domain, and its address on the host.

    The address is a PCI address, a mediated device's UUID, or a USB device's bus:number.
    """

    alias: str
    address: str

    @property
    def in_words(self) -> str:
        """The device for messages: its name in the manifest where libvirt's alias has it, and its address."""
        return f"{self.alias.removeprefix('ua-')} ({self.address})"


class DeviceWatch:
    """Looks at the guest's devices again and again; `faults` are what the last look found, a sentence each."""

    def __init__(self, devices: Sequence[HeldDevice], *, root: str = "/") -> None:
        """Begin with the devices as they are; `root` is where sysfs and /dev are found."""
        self.devices = tuple(devices)
        self.faults: tuple[str, ...] = ()
        self._root = root
        self._first = {device: self._identity(device) for device in devices}
        self._errors = {device: self._error_counts(device) for device in devices}
        self._removed: set[str] = set()

    def note_removed(self, alias: str) -> bool:
        """Note that libvirt has taken a device out of the guest; tell whether it is one of these."""
        self._removed.add(alias)
        return any(device.alias == alias for device in self.devices)

    def look(self) -> None:
        """Look at each device; what is new is logged, and so is that all are well again."""
        faults = tuple(fault for device in self.devices for fault in self._faults(device))
        for fault in faults:
            if fault not in self.faults:
                _log.warning("device: %s", fault)
        if self.faults and not faults:
            _log.info("device: all are there again")
        self.faults = faults
        for device in self.devices:
            self._look_for_errors(device)

    def _faults(self, device: HeldDevice) -> Iterator[str]:
        found, first = self._identity(device), self._first[device]
        if device.alias in self._removed:
            yield f"{device.in_words} was taken out of the guest"
        elif found is None:
            yield f"{device.in_words} is gone from the host"
        elif first is not None and found != first:
            yield f"{device.in_words} went and came back; the guest holds the one that went"
        elif ":" in device.address and "." in device.address and (driver := self._driver(device)) != _DRIVER:
            yield f"{device.in_words} is {f'bound to {driver}' if driver else 'bound to no driver'}, not to {_DRIVER}"

    def _folder(self, device: HeldDevice) -> str:
        if "." in device.address:
            return os.path.join(self._root, "sys/bus/pci/devices", device.address)  # noqa: PTH118 - paths stay text
        if "-" in device.address:
            return os.path.join(self._root, "sys/bus/mdev/devices", device.address)  # noqa: PTH118 - likewise
        bus, _, number = device.address.partition(":")
        return os.path.join(self._root, "dev/bus/usb", bus.zfill(3), number.zfill(3))  # noqa: PTH118 - likewise

    def _identity(self, device: HeldDevice) -> int | None:
        """Return what tells this device from a later one in its place; None where there is none."""
        try:
            return os.stat(self._folder(device)).st_ino  # noqa: PTH116 - likewise
        except OSError:
            return None

    def _driver(self, device: HeldDevice) -> str:
        try:
            return os.path.basename(os.readlink(f"{self._folder(device)}/driver"))  # noqa: PTH115, PTH119 - likewise
        except OSError:
            return ""

    def _look_for_errors(self, device: HeldDevice) -> None:
        """Tell what the device's error counters counted since the last look; after a fatal one the kernel resets it."""
        counts = self._error_counts(device)
        for name, before in self._errors[device].items():
            more = counts.get(name, 0) - before
            if more > 0:
                _log.warning("device: %s: %d errors more (%s); it may have been reset", device.in_words, more, name)
        self._errors[device] = counts

    def _error_counts(self, device: HeldDevice) -> Mapping[str, int]:
        return {name: count for name in _COUNTERS if (count := _total(f"{self._folder(device)}/{name}")) is not None}


def _total(path: str) -> int | None:
    """Return the total that an error counter's file ends with; None where there is no such file."""
    with suppress(OSError, ValueError, IndexError), open(path, encoding="ascii") as file:  # noqa: PTH123 - likewise
        return int(file.read(4096).split()[-1])
    return None
