"""The domain's features: the template's, overruled one by one by what the manifest and the placement say."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint, VirtType
from launcher.domain.xml import Element, add, child_of
from launcher.vmi.guest_machine import Features, Hyperv


def fill_features(domain: Element, blueprint: Blueprint) -> None:
    """Write the features that the manifest names, and those that dedicated CPUs and realtime bring with them."""
    features = blueprint.guest.board.features
    has_hint = _has_dedicated_hint(blueprint)
    is_realtime = blueprint.guest.cpu.realtime_vcpus is not None
    if features == Features() and not has_hint and not is_realtime:
        return
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


def _has_dedicated_hint(blueprint: Blueprint) -> bool:
    """Tell whether KVM may promise the guest that its CPUs are its own; libvirt wants host-passthrough for that."""
    cpu = blueprint.guest.cpu
    return cpu.dedicated and blueprint.virt_type is VirtType.KVM and cpu.model == "host-passthrough"


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
    for name, on in hyperv.states:
        _set_state(element, name, on=on)
    if hyperv.spinlock_retries is not None:
        child_of(element, "spinlocks").set("retries", str(hyperv.spinlock_retries))
    if hyperv.vendor_id is not None:
        child_of(element, "vendor_id").set("value", hyperv.vendor_id)
    if hyperv.direct_timer is not None:
        _set_state(child_of(element, "stimer"), "direct", on=hyperv.direct_timer)


def _set_state(parent: Element, name: str, *, on: bool) -> None:
    child_of(parent, name).set("state", "on" if on else "off")
