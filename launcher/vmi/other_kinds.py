"""What to do with an object that is no machine but makes some; loaded only for a manifest that is refused."""

from __future__ import annotations

_OTHERS = {
    "VirtualMachineInstanceReplicaSet": (
        "makes several machines, and a launcher runs one; give one of them: "
        "its spec.template under kind VirtualMachineInstance, with a name"
    ),
    "VirtualMachinePool": (
        "makes several machines, and a launcher runs one; give one of them: "
        "its spec.virtualMachineTemplate under kind VirtualMachine, with a name"
    ),
    "Template": "is OpenShift's and has to be filled in first: oc process --local -f FILE",
    "VirtualMachineTemplate": "has to be filled in first: virtctl template process -f FILE",
    "VirtualMachineInstancePreset": "is gone from KubeVirt; wanted a VirtualMachine with a preference",
    "OfflineVirtualMachine": "is called VirtualMachine today",
    "KubevirtMachineTemplate": (
        "makes several machines, and a launcher runs one; give one of them: "
        "its spec.template.spec.virtualMachineTemplate under kind VirtualMachine, with a name"
    ),
    "Kustomization": "has to be built first: kustomize build DIR",
}


def advice_on(kind: object) -> str | None:
    """Return what to do with an object of this kind, or None where there is nothing to be said."""
    return _OTHERS.get(kind) if isinstance(kind, str) else None
