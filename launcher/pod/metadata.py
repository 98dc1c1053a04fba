"""Names, labels and annotations of the Pod and of what comes with it: the manifest's own, but for KubeVirt's.

Source: KubeVirt's pkg/virt-controller/services (template.go), pkg/network/pod/annotations and pkg/network/multus.
"""

from __future__ import annotations

import json

from launcher.pod.names import bounded_name
from launcher.pod.options import Runtime
from launcher.pod.part import Tree
from launcher.vmi.build import IGNITION_ANNOTATION
from launcher.vmi.guest import Guest
from launcher.vmi.guest_devices import DeviceRequest
from launcher.vmi.guest_machine import Interface
from launcher.vmi.schema import VirtualMachineInstance

# The launcher's container, as KubeVirt calls it.
CONTAINER = "compute"
NETWORKS_ANNOTATION = "k8s.v1.cni.cncf.io/networks"
DEFAULT_NETWORK_ANNOTATION = "v1.multus-cni.io/default-network"
# CRI-O, pkg/annotations: SharedCPUs, followed by the container's name.
_SHARED_CPUS = "cpu-shared.crio.io"
# CRI-O, pkg/annotations and its high-performance hooks: the container's CPUs are taken out of the scheduler's
# balancing, no quota throttles them, interrupts and deep sleep are kept away from them, and their clock is high.
_QUIET_ON_CRIO = {
    "cpu-c-states.crio.io": "disable",
    "cpu-freq-governor.crio.io": "performance",
    "cpu-load-balancing.crio.io": "disable",
    "cpu-quota.crio.io": "disable",
    "irq-load-balancing.crio.io": "disable",
}
_ISTIO = "sidecar.istio.io/inject"
# What KubeVirt keeps from the Pod: kubectl's notes on the manifest, and its own on the API's versions.
_KEPT_BACK = (
    "kubectl.kubernetes.io",
    "kubevirt.io/storage-observed-api-version",
    "kubevirt.io/latest-observed-api-version",
    # KubeVirt copies it, too; it may hold keys, and the launcher has it from its Secret.
    IGNITION_ANNOTATION,
)
# Labels by which KubeVirt's controllers know a Pod of their own.
_CONTROLLERS = ("kubevirt.io", "kubevirt.io/created-by")


def object_name(guest: Guest) -> str:
    """Return the name of the Pod and of what brings its manifest."""
    return bounded_name("virt-launcher", guest.name)


def host_name(vmi: VirtualMachineInstance) -> str:
    """Return what the guest is called on its network: its hostname, else its name."""
    return vmi.spec.hostname or bounded_name((vmi.metadata.name or "").partition(".")[0])


def metadata_of(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    """Return the metadata of what comes with the Pod: a name, the namespace and the labels."""
    namespace: Tree = {} if vmi.metadata.namespace is None else {"namespace": vmi.metadata.namespace}
    return {"name": object_name(guest), **namespace, "labels": _labels(vmi, guest)}


def pod_metadata(
    vmi: VirtualMachineInstance, guest: Guest, *, shared_cpus: bool = False, runtime: Runtime | None = None
) -> Tree:
    """Return the Pod's metadata, with the annotations.

    `shared_cpus` has CRI-O give the launcher shared CPUs, too. What makes dedicated CPUs quiet on this runtime is there
    unless the manifest says otherwise.
    """
    shared: Tree = {f"{_SHARED_CPUS}/{CONTAINER}": "enable"} if shared_cpus and guest.cpu.dedicated else {}
    quiet: Tree = {**_QUIET_ON_CRIO} if runtime is Runtime.CRIO and guest.cpu.dedicated else {}
    return {**metadata_of(vmi, guest), "annotations": {**quiet, **_annotations(vmi, guest), **shared}}


def _labels(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    """Return the manifest's labels, and those by which our tools and KubeVirt's Services find the Pod."""
    copied = {name: value for name, value in sorted(vmi.metadata.labels.items()) if name not in _CONTROLLERS}
    injected = vmi.metadata.annotations.get(_ISTIO)
    return {
        **copied,
        "app.kubernetes.io/name": "virt-launcher",
        "app.kubernetes.io/instance": bounded_name(guest.name),
        "vm.kubevirt.io/name": host_name(vmi),
        "vmi.kubevirt.io/id": bounded_name(guest.name),
        **({} if injected is None else {_ISTIO: injected}),
    }


def _annotations(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    copied = {
        name: value for name, value in sorted(vmi.metadata.annotations.items()) if not name.startswith(_KEPT_BACK)
    }
    return {
        **copied,
        "kubectl.kubernetes.io/default-container": CONTAINER,
        **_default_network(vmi),
        **_attached_networks(guest),
    }


def _default_network(vmi: VirtualMachineInstance) -> Tree:
    """Return what has Multus connect the Pod itself to another network than the cluster's."""
    for network in vmi.spec.networks:
        if network.multus is not None and network.multus.default:
            return {DEFAULT_NETWORK_ANNOTATION: network.multus.network_name}
    return {}


def _attached_networks(guest: Guest) -> Tree:
    """Return what has Multus make a device for each attached network, under the name by which the launcher finds it."""
    cards: tuple[Interface | DeviceRequest, ...] = (*guest.peripherals.interfaces, *guest.host_devices)
    wanted = [_selection(card) for card in cards if card.attachment is not None]
    return {NETWORKS_ANNOTATION: json.dumps(wanted)} if wanted else {}


def _selection(card: Interface | DeviceRequest) -> dict[str, str]:
    """Return Multus' NetworkSelectionElement."""
    attachment = card.attachment
    if attachment is None:
        return {}
    namespace = {} if attachment.namespace is None else {"namespace": attachment.namespace}
    mac = {} if card.mac is None else {"mac": card.mac}
    return {"name": attachment.name, **namespace, **mac, "interface": attachment.devices[0]}


def is_injected_by_istio(vmi: VirtualMachineInstance) -> bool:
    """Tell whether Istio puts its proxy beside the launcher; that needs the service account's token."""
    return vmi.metadata.annotations.get(_ISTIO, "").lower() == "true"
