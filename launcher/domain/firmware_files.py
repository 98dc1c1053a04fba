"""Files that the guest finds in QEMU's firmware: Ignition's data under the name that it looks for, and ACPI tables.

Source: Ignition's platform qemu; KubeVirt's compute/qemu_cmd.go, which hands QEMU the same file in an argument of its
own, and compute/os.go.
"""

from __future__ import annotations

from posixpath import join

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add, child_of
from launcher.storage.layout import IGNITION_FILE

_IGNITION = "opt/com.coreos/config"


def fill_firmware_files(domain: Element, blueprint: Blueprint) -> None:
    """Write where QEMU reads each file; a template may have other entries of the firmware's configuration."""
    guest, folder = blueprint.guest, blueprint.storage_folder
    if guest.has_ignition:
        found = domain.find("sysinfo[@type='fwcfg']")
        configuration = add(domain, "sysinfo", type="fwcfg") if found is None else found
        add(configuration, "entry", name=_IGNITION, file=join(folder, IGNITION_FILE))
    if guest.acpi_tables:
        acpi = child_of(child_of(domain, "os"), "acpi")
        for table in guest.acpi_tables:
            add(acpi, "table", join(folder, table.file), type=table.kind)
