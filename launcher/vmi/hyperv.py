"""The enlightenments for Windows: KubeVirt's names of them in libvirt's."""

from __future__ import annotations

from launcher.vmi.guest_machine import CPUFeature, Hyperv
from launcher.vmi.schema_base import FeatureState
from launcher.vmi.schema_machine import FeatureHyperv, FeatureSpinlocks, FeatureVendorID, SyNICTimer

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

# The enlightened VMCS is of use only to a guest that is a hypervisor itself: KubeVirt adds the feature, too.
EVMCS_FEATURE = CPUFeature(name="vmx")


def is_on(state: FeatureState | FeatureSpinlocks | FeatureVendorID | SyNICTimer | None) -> bool:
    """Tell whether a feature is present and not turned off."""
    return state is not None and state.enabled


def hyperv_of(hyperv: FeatureHyperv) -> Hyperv:
    """Return the enlightenments that the manifest names, on or off; what it does not name is left out."""
    given = {name: getattr(hyperv, name) for name in _NAMES if getattr(hyperv, name) is not None}
    spinlocks, vendor, timer = hyperv.spinlocks, hyperv.vendorid, hyperv.synictimer
    return Hyperv(
        states=tuple((_NAMES[name], is_on(state)) for name, state in given.items()),
        spinlock_retries=(spinlocks.retries or _RETRIES) if spinlocks is not None and spinlocks.enabled else None,
        vendor_id=vendor.vendor_id if vendor is not None and vendor.enabled else None,
        direct_timer=None if timer is None or timer.direct is None or not timer.enabled else timer.direct.enabled,
    )
