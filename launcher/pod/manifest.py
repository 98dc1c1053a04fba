"""The launcher's Pod and the ConfigMap with its guest, ready for `kubectl apply`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from msgspec import Struct

from launcher.errors import Fault, InvalidVMI
from launcher.kubelet.requests import ContainerRequests, PodRequests, requests_of
from launcher.pod.names import bounded_name
from launcher.pod.options import PodOptions
from launcher.pod.part import Part, Tree, joined
from launcher.pod.resources import Resources, launcher_resources
from launcher.pod.security import container_security, pod_security
from launcher.pod.storage import has_relative_paths, storage_of
from launcher.pod.warnings import warnings
from launcher.pod.yaml_text import to_yaml
from launcher.vmi.guest import Guest
from launcher.vmi.load import Admitted
from launcher.vmi.manifest import Document, Value
from launcher.vmi.schema import VirtualMachineInstance

# The launcher's container, as KubeVirt calls it.
CONTAINER = "compute"
MANIFEST_FOLDER = "/etc/virt-launcher"
MANIFEST_FILE = "vmi.yaml"
ROOT = "/var/run/virt-launcher"
# Prometheus' exporters have their ports from 9100 on; this one is nobody's.
PORT = 9188
# Seconds beyond the guest's own, in which the launcher destroys it, says why, and ends.
GRACE_MARGIN_S = 15
# KubeVirt's default for a guest that says nothing, and the launcher's (--grace-period).
DEFAULT_GRACE_S = 30

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
# Volumes of the Pod whose names are taken; the guest's are called volume-<name> and host-<n>.
_ROOT, _CACHE, _TEMPORARY, _HUGE_PAGES, _MANIFEST = "root", "capability-cache", "tmp", "hugepages", "vmi"


class PodManifest(Struct, frozen=True, kw_only=True):
    """The two objects as Kubernetes takes them; in words how the launcher's requests came about, and what is amiss."""

    config_map: Tree
    pod: Tree
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_yaml(self, *, explain: bool = False) -> str:
        """Return both as one YAML stream; with `explain` the reasons stand above them as comments."""
        comments = "".join(f"# {line}\n" for line in self.reasons) if explain else ""
        return f"{comments}{to_yaml(self.config_map)}---\n{to_yaml(self.pod)}"


def pod_manifest(document: Document, admitted: Admitted, options: PodOptions) -> PodManifest:
    """Return the Pod that runs this manifest's guest, and the ConfigMap that brings the manifest there, as it is.

    Raises InvalidVMI where a field of the manifest cannot be had in a Pod.
    """
    vmi, guest = admitted.vmi, admitted.guest
    resources = launcher_resources(vmi, guest, options)
    config_map: Tree = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(vmi, guest),
        "data": {MANIFEST_FILE: to_yaml(document.root)},
    }
    pod: Tree = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(vmi, guest),
        "spec": _spec(vmi, guest, options, resources),
    }
    return PodManifest(config_map=config_map, pod=pod, reasons=resources.reasons, warnings=warnings(guest, options))


def pod_requests(pod: Tree) -> PodRequests:
    """Return what a Pod's containers request, as the kubelet's rules take it."""
    spec = cast("Mapping[str, list[Mapping[str, Value]]]", pod["spec"])
    return PodRequests(
        containers=tuple(map(_requests, spec["containers"])),
        init_containers=tuple(map(_requests, spec.get("initContainers", []))),
    )


def _requests(container: Mapping[str, Value]) -> ContainerRequests:
    resources = cast("Mapping[str, Mapping[str, str]]", container["resources"])
    restartable = container.get("restartPolicy") == "Always"
    return requests_of(resources, name=str(container["name"]), restartable=restartable)


def object_name(guest: Guest) -> str:
    """Return the name of the Pod and of its ConfigMap."""
    return bounded_name("virt-launcher", guest.name)


def _metadata(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    own = {"app.kubernetes.io/name": "virt-launcher", "app.kubernetes.io/instance": bounded_name(guest.name)}
    labels: Tree = {**dict(sorted(vmi.metadata.labels.items())), **own}
    namespace: Tree = {} if vmi.metadata.namespace is None else {"namespace": vmi.metadata.namespace}
    return {"name": object_name(guest), **namespace, "labels": labels}


def _spec(vmi: VirtualMachineInstance, guest: Guest, options: PodOptions, resources: Resources) -> Tree:
    part = joined((_own_storage(guest, options), storage_of(vmi, options)))
    grace_s = DEFAULT_GRACE_S if guest.grace_period_s is None else guest.grace_period_s
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace_s + GRACE_MARGIN_S,
        **_identity(vmi),
        "enableServiceLinks": False,
        "securityContext": pod_security(low_ports=_has_low_ports(guest)),
        **_scheduling(vmi, guest),
        **_listed("imagePullSecrets", part.pull_secrets),
        **_listed("initContainers", part.init_containers),
        "containers": [_launcher(vmi, guest, options, resources, part)],
        "volumes": list(part.volumes),
    }


def _has_low_ports(guest: Guest) -> bool:
    """Tell whether a port is forwarded that only root may listen on."""
    return any(port.port < 1024 for card in guest.peripherals.interfaces for port in card.ports)


def _launcher(vmi: VirtualMachineInstance, guest: Guest, options: PodOptions, resources: Resources, part: Part) -> Tree:
    realtime = guest.cpu.realtime_vcpus is not None
    folder: Tree = {"workingDir": options.folder} if has_relative_paths(vmi) else {}
    return {
        "name": CONTAINER,
        "image": options.image,
        "args": list(_arguments(options)),
        **folder,
        "resources": resources.value,
        "securityContext": container_security(capabilities=("SYS_NICE",) if realtime else ()),
        **_probes(),
        "volumeMounts": list(part.mounts),
        **_listed("volumeDevices", part.devices),
    }


def _arguments(options: PodOptions) -> Iterator[str]:
    yield from ("run", f"{MANIFEST_FOLDER}/{MANIFEST_FILE}", "--root", ROOT)
    yield from ("--virt-type", "qemu" if options.is_emulated else "kvm")
    yield from ("--listen", f":{PORT}", "--log-format", "json")


def _probes() -> Tree:
    """Return the probes; before the first answer the launcher has 2 min, for a node without a cache of QEMU's
    capabilities, and a guest that is not ready is only that: nobody restarts it.

    They name the port by its number. Listed among the container's `ports` it would mean nothing to Kubernetes, and to
    podman that the port be published, which fails where the Pod has no network (podman-kube-play(1)).
    """
    alive: Tree = {"path": "/livez", "port": PORT}
    ready: Tree = {"path": "/readyz", "port": PORT}
    return {
        "startupProbe": {"httpGet": alive, "periodSeconds": 2, "timeoutSeconds": 5, "failureThreshold": 60},
        "livenessProbe": {"httpGet": alive, "periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 6},
        "readinessProbe": {"httpGet": ready, "periodSeconds": 5, "timeoutSeconds": 5, "failureThreshold": 1},
    }


def _own_storage(guest: Guest, options: PodOptions) -> Part:
    """Return the manifest, the launcher's root, the cache of QEMU's capabilities, /tmp, and huge pages if wanted."""
    cache: Tree = {"emptyDir": {}}
    if options.cache_folder is not None:
        cache = {"hostPath": {"path": options.cache_folder, "type": "Directory"}}
    return joined(
        (
            _mounted(_MANIFEST, {"configMap": {"name": object_name(guest)}}, MANIFEST_FOLDER, readonly=True),
            _mounted(_ROOT, {"emptyDir": {}}, ROOT),
            _mounted(_CACHE, cache, f"{ROOT}/cache"),
            _mounted(_TEMPORARY, {"emptyDir": {}}, "/tmp"),  # noqa: S108 - inside of the container
            *_huge_pages(guest),
        )
    )


def _huge_pages(guest: Guest) -> Iterator[Part]:
    if guest.memory.huge_page_bytes is not None:
        yield _mounted(_HUGE_PAGES, {"emptyDir": {"medium": "HugePages"}}, "/dev/hugepages")


def _mounted(name: str, source: Tree, path: str, *, readonly: bool = False) -> Part:
    mount: Tree = {"name": name, "mountPath": path, **({"readOnly": True} if readonly else {})}
    return Part(volumes=({"name": name, **source},), mounts=(mount,))


def _identity(vmi: VirtualMachineInstance) -> Tree:
    """Return the Pod's service account; its token is mounted only where a volume of the guest shows it.

    Raises InvalidVMI where two are asked for: a Pod has one.
    """
    volumes = {volume.service_account.service_account_name for volume in vmi.spec.volumes if volume.service_account}
    wished = vmi.spec.service_account_name
    names = volumes | ({str(wished)} if wished else set())
    if len(names) > 1:
        message = f"{', '.join(sorted(names))}: a Pod has one service account"
        raise InvalidVMI(f"VMI {vmi.metadata.name}", [Fault("spec.serviceAccountName", message)])
    account: Tree = {"serviceAccountName": names.pop()} if names else {}
    return {**account, "automountServiceAccountToken": bool(volumes)}


def _scheduling(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    """Return where the Pod may run: the manifest's own wishes, and what dedicated CPUs and realtime need of a node."""
    spec = vmi.spec
    wishes = {
        "affinity": spec.affinity,
        "tolerations": spec.tolerations,
        "topologySpreadConstraints": spec.topology_spread_constraints,
        "schedulerName": spec.scheduler_name,
        "priorityClassName": spec.priority_class_name,
    }
    selector = _node_selector(vmi, guest)
    chosen: Tree = {"nodeSelector": selector} if selector else {}
    return {**chosen, **{name: cast("Value", wish) for name, wish in wishes.items() if wish is not None}}


def _node_selector(vmi: VirtualMachineInstance, guest: Guest) -> Tree:
    """Return the labels that a node must have; raises InvalidVMI where the manifest's are no mapping of texts.

    Labels as KubeVirt's: `cpumanager` (set by `virt-launcher node-label`, too), `kubevirt.io/realtime`.
    """
    wished = vmi.spec.node_selector
    if wished is None:
        wished = {}
    if not isinstance(wished, dict) or not all(isinstance(value, str) for value in wished.values()):
        fault = Fault("spec.nodeSelector", "wanted a mapping of labels to text")
        raise InvalidVMI(f"VMI {vmi.metadata.name}", [fault])
    labels: Tree = dict(sorted(wished.items()))
    if vmi.spec.architecture is not None:
        labels["kubernetes.io/arch"] = _ARCHITECTURES[guest.arch]
    if guest.cpu.dedicated:
        labels["cpumanager"] = "true"
    if guest.cpu.realtime_vcpus is not None:
        labels["kubevirt.io/realtime"] = ""
    return labels


def _listed(name: str, entries: tuple[Tree, ...]) -> Tree:
    return {name: list(entries)} if entries else {}
