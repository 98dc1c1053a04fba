"""The domain's features: the template's, overruled one by one by what the manifest and the placement say."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.parts import VirtType
from launcher.domain.xml import Element, add, child_of
from launcher.vmi.guest_machine import Features, Hyperv

_LOCKED_CODE_MIB = 64


def fill_features(domain: Element, blueprint: Blueprint) -> None:
    """Write the features that the manifest names, those that dedicated CPUs and realtime bring with them, no vmport.

    VMware's port is of no use to a guest, and off in KubeVirt; a template may have it.
    """
    features = blueprint.guest.board.features
    has_hint = _has_dedicated_hint(blueprint)
    is_realtime = blueprint.guest.cpu.realtime_vcpus is not None
    element = child_of(domain, "features")
    _set_presence(element, features)
    if features.hyperv is not None:
        _set_hyperv(child_of(element, "hyperv"), features.hyperv)
    if features.kvm_hidden is not None:
        _set_state(child_of(element, "kvm"), "hidden", on=features.kvm_hidden)
    if has_hint:
        _set_state(child_of(element, "kvm"), "hint-dedicated", on=True)
    for name, state in (("pvspinlock", features.pvspinlock), ("smm", features.smm)):
        if state is not None:
            _set_state(element, name, on=state)
    if is_realtime:
        _set_state(element, "pmu", on=False)
        if blueprint.virt_type is VirtType.QEMU:
            _bound_translated_code(element)
    if blueprint.arch == "x86_64" and element.find("vmport") is None:
        _set_state(element, "vmport", on=False)


def _bound_translated_code(element: Element) -> None:
    """Give an emulated guest that is locked in memory little room for translated code: it is locked whole, too.

    QEMU would take an eighth of the machine's memory, up to 1 GiB (size_code_gen_buffer in its tcg/region.c).
    """
    emulation = child_of(element, "tcg")
    if emulation.find("tb-cache") is None:
        add(emulation, "tb-cache", _LOCKED_CODE_MIB, unit="MiB")


def _has_dedicated_hint(blueprint: Blueprint) -> bool:
    """Tell whether KVM may promise the guest that its CPUs are its own, as KubeVirt does on x86; TCG cannot.

    The guest believes it of every vCPU, so that one of which some share is promised nothing.
    """
    is_kvm_of_x86 = blueprint.virt_type is VirtType.KVM and blueprint.arch == "x86_64"
    return blueprint.guest.cpu.dedicated and is_kvm_of_x86 and not blueprint.guest.cpu.shared_vcpus


def _set_presence(element: Element, features: Features) -> None:
    """Add or remove acpi and apic, which are on where they are there."""
    for name, state in (("acpi", features.acpi), ("apic", features.apic)):
        found = element.find(name)
        if state and found is None:
            add(element, name)
        elif state is False and found is not None:
            element.remove(found)
    if features.end_of_interrupt:
        child_of(element, "apic").set("eoi", "on")


def _set_hyperv(element: Element, hyperv: Hyperv) -> None:
    if hyperv.is_passed_through:
        element.set("mode", "passthrough")
    for name, on in hyperv.states:
        _set_state(element, name, on=on)
    if hyperv.spinlock_retries is not None:
        child_of(element, "spinlocks").set("retries", str(hyperv.spinlock_retries))
    if hyperv.vendor_id is not None:
        child_of(element, "vendor_id").set("value", hyperv.vendor_id)
    for name, part, on in hyperv.parts:
        _set_state(child_of(element, name), part, on=on)


def _set_state(parent: Element, name: str, *, on: bool) -> None:
    child_of(parent, name).set("state", "on" if on else "off")
