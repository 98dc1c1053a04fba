"""Where the Pod runs and as whom, and what it is called: the manifest's own wishes, and what its guest needs."""

from __future__ import annotations

from typing import cast

from launcher.errors import Fault, InvalidVMI
from launcher.pod.metadata import host_name, is_injected_by_istio
from launcher.pod.part import Tree
from launcher.vmi.guest import Guest
from launcher.vmi.manifest import Value
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.schema_pod import PodDNSConfig

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def names_of(vmi: VirtualMachineInstance) -> Tree:
    """Return the Pod's names and its resolver."""
    spec = vmi.spec
    wishes: Tree = {
        "hostname": host_name(vmi),
        "subdomain": spec.subdomain,
        "dnsPolicy": spec.dns_policy,
        "dnsConfig": None if spec.dns_config is None else _dns(spec.dns_config),
    }
    return {name: wish for name, wish in wishes.items() if wish}


def _dns(config: PodDNSConfig) -> Tree:
    options: list[Value] = [
        {"name": option.name, **({} if option.value is None else {"value": option.value})} for option in config.options
    ]
    found: Tree = {"nameservers": list(config.nameservers), "searches": list(config.searches), "options": options}
    return {name: value for name, value in found.items() if value}


def identity_of(vmi: VirtualMachineInstance) -> Tree:
    """Return the Pod's service account; its token is mounted only where a volume of the guest shows it, or for Istio.

    Raises InvalidVMI where two are asked for: a Pod has one.
    """
    volumes = {volume.service_account.service_account_name for volume in vmi.spec.volumes if volume.service_account}
    names = volumes | ({vmi.spec.service_account_name} - {""})
    if len(names) > 1:
        message = f"{', '.join(sorted(names))}: a Pod has one service account"
        raise InvalidVMI(f"VMI {vmi.metadata.name}", [Fault("spec.serviceAccountName", message)])
    account: Tree = {"serviceAccountName": names.pop()} if names else {}
    return {**account, "automountServiceAccountToken": bool(volumes) or is_injected_by_istio(vmi)}


def scheduling_of(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    """Return where the Pod may run: the manifest's own wishes, and what dedicated CPUs and realtime need of a node."""
    spec = vmi.spec
    wishes = {
        "nodeSelector": _node_selector(vmi, guest),
        "affinity": spec.affinity,
        "tolerations": list(spec.tolerations),
        "topologySpreadConstraints": list(spec.topology_spread_constraints),
        "schedulerName": spec.scheduler_name,
        "priorityClassName": spec.priority_class_name,
    }
    return {name: cast("Value", wish) for name, wish in wishes.items() if wish}


def _node_selector(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    """Return the labels that a node must have.

    Labels as KubeVirt's: `cpumanager` (set by `virt-launcher node-label`, too), `kubevirt.io/realtime`.
    """
    labels: Tree = dict(sorted(vmi.spec.node_selector.items()))
    if vmi.spec.architecture is not None:
        labels["kubernetes.io/arch"] = _ARCHITECTURES[guest.arch]
    if guest.cpu.dedicated:
        labels["cpumanager"] = "true"
    if guest.cpu.realtime_vcpus is not None:
        labels["kubevirt.io/realtime"] = "true"
    return labels
