"""The launcher's Pod and the ConfigMap with its guest, ready for `kubectl apply`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import cast

from msgspec import Struct
from msgspec.structs import replace

from launcher.host.network_status import ANNOTATION, FILE, FOLDER
from launcher.kubelet.requests import ContainerRequests, PodRequests, requests_of
from launcher.pod.claims import claims_of
from launcher.pod.companions import applied_of, block_volumes_of, manifest_text, network_resources
from launcher.pod.foretold import foretold
from launcher.pod.metadata import CONTAINER, metadata_of, object_name, pod_metadata
from launcher.pod.options import PodOptions
from launcher.pod.part import Part, Tree, joined
from launcher.pod.probes import probes_of
from launcher.pod.resources import Resources, launcher_resources
from launcher.pod.scheduling import identity_of, names_of, scheduling_of
from launcher.pod.scratch import CACHE_MEBIBYTES, TEMPORARY_MEBIBYTES, Scratch, scratch_of
from launcher.pod.security import container_security, pod_security
from launcher.pod.standards import refusals_of, standards_in_words, warnings_of
from launcher.pod.storage import has_relative_paths, holds_user_data, storage_of
from launcher.pod.warnings import memory_policy_in_words, warnings
from launcher.pod.yaml_text import to_yaml
from launcher.vmi.guest import Guest
from launcher.vmi.guest_storage import HostMetrics
from launcher.vmi.load import Admitted
from launcher.vmi.manifest import Document, Value, name_of
from launcher.vmi.schema import VirtualMachineInstance
from launcher.vmi.schema_devices import VirtualMachineInstanceResourceClaim

MANIFEST_FOLDER = "/etc/virt-launcher"
MANIFEST_FILE = "vmi.yaml"
ROOT = "/var/run/virt-launcher"
# Prometheus' exporters have their ports from 9100 on; this one is nobody's.
PORT = 9188
# Seconds beyond the guest's own, in which the launcher destroys it, says why, and ends.
GRACE_MARGIN_S = 15
# KubeVirt's default for a guest that says nothing, and the launcher's (--grace-period).
DEFAULT_GRACE_S = 30

# What Kubernetes takes as the name of a port (IsValidPortName); a longer one of the guest's is nobody's to use.
_PORT_NAME = re.compile(r"(?=.*[a-z])(?!.*--)[a-z0-9](?:[a-z0-9-]{0,13}[a-z0-9])?", re.ASCII)
# Volumes of the Pod whose names are taken; the guest's are called volume-<name> and host-<n>.
SHARED_CACHE = "/var/run/virt-launcher-cache"
_SHARED_CACHE = "shared-cache"
_ROOT, _CACHE, _TEMPORARY, _HUGE_PAGES, _MANIFEST = "root", "capability-cache", "tmp", "hugepages", "vmi"
_NETWORK_STATUS = "network-status"


class PodManifest(Struct, frozen=True, kw_only=True):
    """The objects as Kubernetes takes them; in words how the launcher's requests came about, and what is amiss.

    `carrier` is the ConfigMap that brings the manifest into the Pod, or a Secret where it holds user data; `claims` are
    those that the manifest's DataVolumes would make, `companions` objects of the same stream that the Pod names.
    """

    carrier: Tree
    pod: Tree
    claims: tuple[Tree, ...] = ()
    companions: tuple[Tree, ...] = ()
    reasons: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_yaml(self, *, explain: bool = False) -> str:
        """Return all as one YAML stream, the Pod last; with `explain` the reasons stand above them as comments."""
        comments = "".join(f"# {line}\n" for line in self.reasons) if explain else ""
        return comments + "---\n".join(map(to_yaml, (*self.companions, *self.claims, self.carrier, self.pod)))


def pod_manifest(document: Document, admitted: Admitted, options: PodOptions) -> PodManifest:
    """Return the Pod that runs this manifest's guest, and the ConfigMap that brings the manifest there, as it is.

    Raises InvalidVMI where a field of the manifest cannot be had in a Pod.
    """
    vmi, guest = admitted.vmi, admitted.guest
    options = replace(options, block_volumes=options.block_volumes | block_volumes_of(document, vmi))
    resources = launcher_resources(vmi, guest, options, tuple(network_resources(document, guest)))
    is_secret = holds_user_data(vmi)
    carrier: Tree = {
        "apiVersion": "v1",
        "kind": "Secret" if is_secret else "ConfigMap",
        "metadata": metadata_of(vmi, guest),
        "stringData" if is_secret else "data": {MANIFEST_FILE: manifest_text(document, guest)},
    }
    pod: Tree = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": pod_metadata(vmi, guest, shared_cpus=options.shared_cpus, runtime=options.runtime),
        "spec": _spec(vmi, guest, options, resources),
    }
    requests = pod_requests(pod)
    (compute,) = requests.containers
    claims = claims_of(document.root)
    companions = applied_of(document, pod)
    present = {name_of(one) for one in companions if one["kind"] == "PersistentVolumeClaim"}
    refusals = tuple(refusals_of(pod))
    return PodManifest(
        carrier=carrier,
        pod=pod,
        claims=tuple(claim for claim in claims.objects if name_of(claim) not in present),
        companions=companions,
        reasons=(
            *resources.reasons,
            foretold(requests, compute),
            *standards_in_words(refusals),
            *memory_policy_in_words(guest, options),
        ),
        warnings=(*warnings(vmi, guest, options), *claims.warnings, *warnings_of(refusals)),
    )


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


def _spec(vmi: VirtualMachineInstance, guest: Guest, options: PodOptions, resources: Resources) -> Tree:
    scratch = scratch_of(guest, options)
    own = _own_storage(vmi, guest, options, scratch)
    part = joined((own, storage_of(vmi, options, copies_mebibytes=scratch.container_disks)))
    grace_s = DEFAULT_GRACE_S if guest.grace_period_s is None else guest.grace_period_s
    return {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": grace_s + GRACE_MARGIN_S,
        **names_of(vmi),
        **identity_of(vmi),
        **({} if options.runtime_class is None else {"runtimeClassName": options.runtime_class}),
        "enableServiceLinks": False,
        "securityContext": pod_security(low_ports=_has_low_ports(guest), profile=options.seccomp_profile),
        **scheduling_of(vmi, guest),
        **_listed("imagePullSecrets", part.pull_secrets),
        **_listed("resourceClaims", tuple(map(_claim, vmi.spec.resource_claims))),
        **_listed("initContainers", part.init_containers),
        "containers": [_launcher(vmi, guest, options, resources, part)],
        "volumes": list(part.volumes),
    }


def _claim(claim: VirtualMachineInstanceResourceClaim) -> Tree:
    names = {
        "resourceClaimName": claim.resource_claim_name,
        "resourceClaimTemplateName": claim.resource_claim_template_name,
    }
    return {"name": claim.name, **{field: name for field, name in names.items() if name is not None}}


def _has_low_ports(guest: Guest) -> bool:
    """Tell whether a port is forwarded that only root may listen on."""
    return any(port.port < 1024 for card in guest.peripherals.interfaces for port in card.ports)


def _launcher(vmi: VirtualMachineInstance, guest: Guest, options: PodOptions, resources: Resources, part: Part) -> Tree:
    folder: Tree = {"workingDir": options.folder} if has_relative_paths(vmi) else {}
    return {
        "name": CONTAINER,
        **options.image_of_launcher,
        "args": list(_arguments(options)),
        **folder,
        **_listed("ports", tuple(_ports(vmi))),
        **_listed("env", tuple(_environment(guest))),
        "resources": resources.value,
        "securityContext": container_security(capabilities=_capabilities(guest, options)),
        **probes_of(guest, PORT),
        "volumeMounts": list(part.mounts),
        **_listed("volumeDevices", part.devices),
    }


def _environment(guest: Guest) -> Iterator[Tree]:
    """Yield the node's name for a guest that is told of its host (downwardMetrics)."""
    if guest.has_metrics_port or any(isinstance(disk.volume, HostMetrics) for disk in guest.disks):
        yield {"name": "NODE_NAME", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}


def _ports(vmi: VirtualMachineInstance) -> Iterator[Tree]:
    """Yield the guest's ports that have a name, for a Service may name them; a number needs no entry."""
    for card in vmi.spec.domain.devices.interfaces:
        for port in card.ports:
            if port.name and _PORT_NAME.fullmatch(port.name):
                yield {"name": port.name, "containerPort": port.port, "protocol": port.protocol}


def _capabilities(guest: Guest, options: PodOptions) -> tuple[str, ...]:
    """Return SYS_NICE where it is needed: to set SCHED_FIFO, and to bind memory to nodes.

    The latter needs no capability in the process; but in the bounding set it is what has the default seccomp profiles
    of containerd, CRI-O and Docker allow mbind and set_mempolicy; a profile of the node's own may allow them itself.
    """
    binds = guest.cpu.numa_passthrough and options.seccomp_profile is None
    return ("SYS_NICE",) if guest.cpu.realtime_vcpus is not None or binds else ()


def _arguments(options: PodOptions) -> Iterator[str]:
    yield from ("run", f"{MANIFEST_FOLDER}/{MANIFEST_FILE}", "--root", ROOT)
    yield from ("--virt-type", "qemu" if options.is_emulated else "kvm")
    yield from ("--listen", f":{PORT}", "--log-format", "json")
    if options.cache_folder is not None:
        yield from ("--cache", SHARED_CACHE)


def _own_storage(vmi: VirtualMachineInstance, guest: Guest, options: PodOptions, scratch: Scratch) -> Part:
    """Return the manifest, the launcher's root, the cache of QEMU's capabilities, /tmp, and huge pages if wanted."""
    carrier: Tree = {"configMap": {"name": object_name(guest)}}
    if holds_user_data(vmi):
        carrier = {"secret": {"secretName": object_name(guest)}}
    # What one Pod might write, another's QEMU would believe: the node's own cache is only read.
    shared: Tree = {"hostPath": {"path": options.cache_folder or "", "type": "Directory"}}
    return joined(
        (
            _mounted(_MANIFEST, carrier, MANIFEST_FOLDER, readonly=True),
            _mounted(_ROOT, _bounded(scratch.root), ROOT),
            _mounted(_CACHE, _bounded(CACHE_MEBIBYTES), f"{ROOT}/cache"),
            *((_mounted(_SHARED_CACHE, shared, SHARED_CACHE, readonly=True),) if options.cache_folder else ()),
            _mounted(_TEMPORARY, _bounded(TEMPORARY_MEBIBYTES), "/tmp"),  # noqa: S108 - inside of the container
            *_huge_pages(guest),
            *_network_status(guest),
        )
    )


def _bounded(mebibytes: int) -> Tree:
    return {"emptyDir": {"sizeLimit": f"{mebibytes}Mi"}}


def _huge_pages(guest: Guest) -> Iterator[Part]:
    if guest.memory.huge_page_bytes is not None:
        yield _mounted(_HUGE_PAGES, {"emptyDir": {"medium": "HugePages"}}, "/dev/hugepages")


def _network_status(guest: Guest) -> Iterator[Part]:
    """Bring what Multus writes on the Pod: which virtual function is on which network."""
    if any(request.attachment is not None for request in guest.host_devices):
        field: Tree = {"fieldRef": {"fieldPath": f"metadata.annotations['{ANNOTATION}']"}, "path": PurePath(FILE).name}
        yield _mounted(_NETWORK_STATUS, {"downwardAPI": {"items": [field]}}, f"/{FOLDER}", readonly=True)


def _mounted(name: str, source: Tree, path: str, *, readonly: bool = False) -> Part:
    mount: Tree = {"name": name, "mountPath": path, **({"readOnly": True} if readonly else {})}
    return Part(volumes=({"name": name, **source},), mounts=(mount,))


def _listed(name: str, entries: tuple[Tree, ...]) -> Tree:
    return {name: list(entries)} if entries else {}
