"""Admission: every fault of a manifest that decoded, found by one table of rules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from launcher.errors import Fault
from launcher.vmi.access_rules import ACCESS_RULES
from launcher.vmi.assigned_rules import ASSIGNED_RULES
from launcher.vmi.attachment_rules import ATTACHMENT_RULES
from launcher.vmi.board_rules import BOARD_RULES
from launcher.vmi.boot_rules import BOOT_RULES
from launcher.vmi.cpu_feature_rules import CPU_FEATURE_RULES
from launcher.vmi.cpu_rules import CPU_RULES
from launcher.vmi.dhcp_rules import DHCP_RULES
from launcher.vmi.disk_rules import DISK_RULES
from launcher.vmi.fieldpath import are_related
from launcher.vmi.memory_rules import MEMORY_RULES
from launcher.vmi.mixed import MIXED_RULES
from launcher.vmi.name_rules import NAME_RULES
from launcher.vmi.network_rules import NETWORK_RULES
from launcher.vmi.peripheral_rules import PERIPHERAL_RULES
from launcher.vmi.pod_rules import POD_RULES
from launcher.vmi.port_range_rules import PORT_RANGE_RULES
from launcher.vmi.rules import Subject
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.vhost_rules import VHOST_RULES
from launcher.vmi.virtual_function_rules import VIRTUAL_FUNCTION_RULES
from launcher.vmi.volume_rules import VOLUME_RULES

RULES = (
    *NAME_RULES,
    *CPU_RULES,
    *MIXED_RULES,
    *VHOST_RULES,
    *MEMORY_RULES,
    *BOOT_RULES,
    *DISK_RULES,
    *VOLUME_RULES,
    *CPU_FEATURE_RULES,
    *BOARD_RULES,
    *NETWORK_RULES,
    *ATTACHMENT_RULES,
    *DHCP_RULES,
    *PORT_RANGE_RULES,
    *VIRTUAL_FUNCTION_RULES,
    *POD_RULES,
    *ACCESS_RULES,
    *PERIPHERAL_RULES,
    *ASSIGNED_RULES,
)

# The kernel's names for KubeVirt's architectures (Go's names).
_ARCHITECTURES = {"amd64": "x86_64", "arm64": "aarch64"}


def admit(vmi: VirtualMachineInstance, *, arch: str, doubtful: Iterable[str] = ()) -> Iterator[Fault]:
    """Yield every fault; `arch` (such as x86_64) is the guest's where the manifest names none.

    A rule that reads one of the `doubtful` paths (see Decoded) is left out, for what it said would follow from a fault
    that is reported already.
    """
    subject = Subject(vmi=vmi, arch=guest_arch(vmi, arch))
    doubts = tuple(doubtful)
    for rule in RULES:
        if not any(are_related(path, doubt) for path in rule.reads for doubt in doubts):
            yield from rule.check(subject)


def guest_arch(vmi: VirtualMachineInstance, default: str) -> str:
    """Return the guest's architecture as the kernel calls it, such as x86_64."""
    return default if vmi.spec.architecture is None else _ARCHITECTURES[vmi.spec.architecture]
