"""The domain's processors: vCPUs and what they look like to the guest, IOThreads, and where all of them run."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.parts import VirtType
from launcher.domain.xml import Element, add
from launcher.vmi.guest import GuestCPU

# KubeVirt's names for the CPU models that libvirt takes as a mode of their own.
_MODEL_MODES = ("host-passthrough", "host-model")
# Where no model is named: KubeVirt's defaults; libvirt has no host-model for arm64.
_DEFAULT_MODES = {"aarch64": "host-passthrough"}
# AMD's part of CPUID that tells of threads.
_TOPOEXT = "topoext"


def fill_processors(domain: Element, blueprint: Blueprint) -> None:
    """Write vcpu, iothreads, cputune and cpu.

    `vcpu/@cpuset` bounds QEMU from its first instruction on: libvirt applies the pins only after QEMU has started.
    """
    pinning = blueprint.pinning
    add(domain, "vcpu", blueprint.guest.cpu.topology.vcpus, placement="static", cpuset=str(pinning.cpuset))
    if pinning.iothreads:
        add(domain, "iothreads", len(pinning.iothreads))
    _fill_cputune(domain, blueprint)
    _fill_cpu(domain, blueprint)


def _fill_cputune(domain: Element, blueprint: Blueprint) -> None:
    pinning = blueprint.pinning
    cputune = add(domain, "cputune")
    for pin in pinning.vcpus:
        add(cputune, "vcpupin", vcpu=pin.vcpu, cpuset=pin.cpu)
    for shared in pinning.shared:
        add(cputune, "vcpupin", vcpu=shared.vcpu, cpuset=str(shared.cpus))
    add(cputune, "emulatorpin", cpuset=str(pinning.emulator))
    for iothread in pinning.iothreads:
        add(cputune, "iothreadpin", iothread=iothread.iothread, cpuset=str(iothread.cpus))
    for vcpu in sorted(blueprint.guest.cpu.realtime_vcpus or ()):
        add(cputune, "vcpusched", vcpus=vcpu, scheduler="fifo", priority=1)


def _fill_cpu(domain: Element, blueprint: Blueprint) -> None:
    guest = blueprint.guest.cpu
    cpu = _add_model(domain, guest, blueprint)
    for feature in guest.features:
        add(cpu, "feature", policy=feature.policy, name=feature.name)
    topology = guest.topology
    if topology.threads > 1 and _lacks_topoext(blueprint):
        add(cpu, "feature", policy="require", name=_TOPOEXT)
    add(cpu, "topology", sockets=topology.sockets, dies=1, cores=topology.cores, threads=topology.threads)
    if blueprint.pinning.cells:
        _fill_cells(cpu, blueprint)


def _lacks_topoext(blueprint: Blueprint) -> bool:
    """Tell whether the guest would take its threads for cores; emulated CPUs cannot have the feature that helps."""
    named = any(feature.name == _TOPOEXT for feature in blueprint.guest.cpu.features)
    return blueprint.needs_topoext and blueprint.virt_type is VirtType.KVM and not named


def _add_model(domain: Element, guest: GuestCPU, blueprint: Blueprint) -> Element:
    """Add the cpu element: the manifest's model; QEMU's fullest one under TCG, where the host's cannot be passed.

    Under KVM libvirt compares a named model and its features with the host before it starts the guest; TCG has so
    little of any model that it would start none.
    """
    emulated = blueprint.virt_type is VirtType.QEMU
    if guest.model is not None and guest.model not in _MODEL_MODES:
        cpu = add(domain, "cpu", mode="custom", match="exact", check="none" if emulated else "partial")
        add(cpu, "model", guest.model, fallback="forbid")
        return cpu
    if emulated:
        return add(domain, "cpu", mode="maximum")
    return add(domain, "cpu", mode=guest.model or _DEFAULT_MODES.get(blueprint.arch, "host-model"))


def _fill_cells(cpu: Element, blueprint: Blueprint) -> None:
    numa = add(cpu, "numa")
    for cell in blueprint.pinning.cells:
        element = add(numa, "cell", id=cell.cell, cpus=str(cell.vcpus), memory=cell.memory_bytes // 1024, unit="KiB")
        if len(cell.distances) > 1:
            distances = add(element, "distances")
            for sibling, distance in cell.distances:
                add(distances, "sibling", id=sibling, value=distance)
