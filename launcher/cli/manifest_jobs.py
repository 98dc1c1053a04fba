"""The workshop's job on manifests: read, checked, and turned into a guest."""

from __future__ import annotations

import os

from launcher.cli.machine import load
from launcher.cli.rights import wants_rights
from launcher.cli.ward import Ward, packed
from launcher.domain.names import domain_name, machine_of
from launcher.storage.tags import has_config_drive, tags_of
from launcher.vmi.apic import MOST_PLAIN_VCPUS
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import HostMetrics
from launcher.vmi.manifest import Choice
from launcher.vmi.notices import notices_of
from launcher.vmi.vhost import out_of_reach

_NO_CHOICE = Choice()


def load_guest(vmi: str, choice: Choice = _NO_CHOICE) -> Ward:
    """Read the manifest; raises InvalidVMI with every fault."""
    return ward_of(load(vmi, choice))


def ward_of(guest: Guest) -> Ward:
    """Return what the launcher's own process is to know of this guest."""
    return Ward(
        namespace=guest.namespace,
        name=guest.name,
        domain=domain_name(guest),
        arch=guest.arch,
        machine=machine_of(guest, guest.arch) or "",
        vcpus=guest.cpu.topology.vcpus,
        memory_bytes=guest.memory.guest_bytes,
        guest=packed(guest),
        grace_period_s=guest.grace_period_s,
        starts_paused=guest.starts_paused,
        keeps_variables=guest.board.keeps_variables,
        is_console_attached=guest.serial.attached,
        is_console_logged=guest.serial.logged,
        is_large=guest.cpu.topology.vcpus > MOST_PLAIN_VCPUS,
        is_realtime=guest.cpu.realtime_vcpus is not None,
        wants_rights=wants_rights(guest),
        has_devices=bool(guest.host_devices),
        has_tags=bool(tags_of(guest)) and has_config_drive(guest),
        has_credentials=bool(guest.credentials),
        wants_figures=guest.has_metrics_port or any(isinstance(disk.volume, HostMetrics) for disk in guest.disks),
        has_probes=guest.liveness is not None or guest.readiness is not None,
        notices=_notices_of(guest),
    )


def _notices_of(guest: Guest) -> tuple[str, ...]:
    unreachable = out_of_reach(guest, os.uname().release)
    return (*notices_of(guest), *([unreachable] if unreachable else []))
