"""The enlightenments for Windows: KubeVirt's names of them in libvirt's."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from launcher.vmi.guest_machine import CPUFeature, Hyperv
from launcher.vmi.schema_base import FeatureState
from launcher.vmi.schema_machine import FeatureHyperv, FeatureSpinlocks, FeatureVendorID, SyNICTimer, TLBFlush

# In libvirt's order (docs/formatdomain, "hyperv"), which its schema wants within a release.
_NAMES = {
    "relaxed": "relaxed",
    "vapic": "vapic",
    "spinlocks": "spinlocks",
    "vpindex": "vpindex",
    "runtime": "runtime",
    "synic": "synic",
    "synictimer": "stimer",
    "reset": "reset",
    "vendorid": "vendor_id",
    "frequencies": "frequencies",
    "reenlightenment": "reenlightenment",
    "tlbflush": "tlbflush",
    "ipi": "ipi",
    "evmcs": "evmcs",
}
# KubeVirt's default (pkg/defaults), and Windows' own.
_RETRIES = 4096

# Each enlightenment, and the one that it needs; what brings another need along stands before that.
NEEDED = (
    ("evmcs", "vapic"),
    ("ipi", "vpindex"),
    ("tlbflush", "vpindex"),
    ("synictimer", "synic"),
    ("synic", "vpindex"),
)

# The enlightened VMCS is of use only to a guest that is a hypervisor itself: KubeVirt adds the feature, too.
EVMCS_FEATURE = CPUFeature(name="vmx")


def is_on(state: FeatureState | FeatureSpinlocks | FeatureVendorID | SyNICTimer | TLBFlush | None) -> bool:
    """Tell whether a feature is present and not turned off."""
    return state is not None and state.enabled


def hyperv_of(hyperv: FeatureHyperv) -> Hyperv:
    """Return the enlightenments that the manifest names, on or off, and those that they need.

    What it does not name is left out. Source: KubeVirt's SetHypervFeatureDependencies (pkg/defaults/hyperv.go).
    """
    hyperv = _with_needed(hyperv)
    given = {name: getattr(hyperv, name) for name in _NAMES if getattr(hyperv, name) is not None}
    spinlocks, vendor = hyperv.spinlocks, hyperv.vendorid
    return Hyperv(
        states=tuple((_NAMES[name], is_on(state)) for name, state in given.items()),
        spinlock_retries=(spinlocks.retries or _RETRIES) if spinlocks is not None and spinlocks.enabled else None,
        vendor_id=vendor.vendor_id if vendor is not None and vendor.enabled else None,
        parts=tuple(_parts(hyperv)),
    )


def _parts(hyperv: FeatureHyperv) -> Iterator[tuple[str, str, bool]]:
    """Yield the parts that are named, of an enlightenment that is off, too."""
    timer, flush = hyperv.synictimer, hyperv.tlbflush
    if timer is not None and timer.direct is not None:
        yield "stimer", "direct", timer.direct.enabled
    if flush is not None:
        for name, part in (("direct", flush.direct), ("extended", flush.extended)):
            if part is not None:
                yield "tlbflush", name, part.enabled


def _with_needed(hyperv: FeatureHyperv) -> FeatureHyperv:
    """Switch on what is needed and not named; what is off although it is needed was refused before."""
    for name, needed in NEEDED:
        if is_on(getattr(hyperv, name)) and getattr(hyperv, needed) is None:
            hyperv = replace(hyperv, **{needed: FeatureState()})
    return hyperv
