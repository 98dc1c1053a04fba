"""Cases that a kubelet and its simulation are asked: a node in a few words, a Pod, and what is answered."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from msgspec import Struct, convert
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import UsageError
from launcher.host.model import CPU, Host, Node
from launcher.kubelet.admission import admit
from launcher.kubelet.errors import KubeletHangs, Refused
from launcher.kubelet.limits import Limits, container_limits, pod_limits
from launcher.kubelet.options import Feature, parse_options
from launcher.kubelet.requests import ContainerRequests, PodRequests, level_of, qos_class, requests_of
from launcher.kubelet.version import KubeletVersion

Resources: TypeAlias = dict[str, dict[str, str]]
# The answer of a kubelet that does not come: its reason is none that a kubelet gives.
HANGS = "hangs"
# The pod's own control group among those of its containers: no container can be called so.
WHOLE_POD = "(pod)"
# What kubelets answered, one record a line, as `hack/oracle --sample` wrote it.
SAMPLE = Path(__file__).with_name("kubelet-answers.jsonl")
_CPU_FIELDS = ("cpu", "core", "socket", "node", "cache", "cache_level")
_MANAGER_OPTIONS = ("prefer-closest-numa-nodes", "max-allowable-numa-nodes")


class Shape(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A machine: units in units; with `sockets_per_node` above 1 a node is made of sockets.

    `numbering` of CPUs is "linear" (a core's threads side by side), "split" (all first threads, then all second ones)
    or "round-robin" (over the nodes by turns). `empty_nodes` have memory alone, and the caches are of `cache_level`.
    """

    sockets: int = 1
    nodes_per_socket: int = 1
    sockets_per_node: int = 1
    caches_per_node: int = 1
    cores_per_cache: int = 1
    cache_level: int = 3
    threads: int = 1
    numbering: str = "linear"
    empty_nodes: int = 0
    offline: str = ""
    distances: tuple[tuple[int, ...], ...] = ()

    @property
    def nodes(self) -> int:
        """The number of nodes with CPUs, were all of them online."""
        return self.sockets * self.nodes_per_socket // self.sockets_per_node

    def host(self) -> Host:
        """Return the host with its CPUs that are online."""
        offline = CPUSet.parse(self.offline)
        cpus = sorted(self._cpus(), key=lambda cpu: cpu.cpu)
        return Host(
            cpus=tuple(cpu for cpu in cpus if cpu.cpu not in offline),
            nodes=tuple(Node(node=node, memory_bytes=1 << 30, distances=self._distances(node)) for node in self._ids()),
            offline=offline,
        )

    def _ids(self) -> range:
        return range(self.nodes + self.empty_nodes)

    def _distances(self, node: int) -> tuple[tuple[int, int], ...]:
        row = self.distances[node] if self.distances else tuple(10 if other == node else 20 for other in self._ids())
        return tuple(enumerate(row))

    def _cpus(self) -> list[CPU]:
        cores_per_node = self.caches_per_node * self.cores_per_cache
        per_socket = cores_per_node // self.sockets_per_node
        places = [
            (node, core, thread)
            for node in range(self.nodes)
            for core in range(cores_per_node)
            for thread in range(self.threads)
        ]
        places.sort(key=self._rank)
        return [
            CPU(
                cpu=number,
                core=node * cores_per_node + core,
                die=node,
                socket=node * self.sockets_per_node // self.nodes_per_socket + core // max(1, per_socket),
                node=node,
                cache=node * self.caches_per_node + core // self.cores_per_cache,
                cache_level=self.cache_level,
            )
            for number, (node, core, thread) in enumerate(places)
        ]

    def _rank(self, place: tuple[int, int, int]) -> tuple[int, int, int]:
        node, core, thread = place
        match self.numbering:
            case "split":
                return thread, node, core
            case "round-robin":
                return thread, core, node
            case _:
                return node, core, thread


class Container(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A container of a Pod; `kind` is "app", "init" or "sidecar" (an init container that is restarted)."""

    name: str
    resources: Resources
    kind: str = "app"

    def manifest(self) -> dict[str, object]:
        """Return the container as Kubernetes writes it."""
        restart = {"restartPolicy": "Always"} if self.kind == "sidecar" else {}
        return {"name": self.name, "image": "none", "resources": self.resources, **restart}

    def requests(self) -> ContainerRequests:
        """Return the container as the simulation takes it."""
        return requests_of(self.resources, name=self.name, restartable=self.kind == "sidecar")


class Case(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A node, its kubelet as `--kubelet` says it, without the version, and a Pod."""

    shape: Shape
    kubelet: str
    containers: tuple[Container, ...]
    resources: Resources | None = None
    memory_bytes: int = 8 << 30

    def pod(self) -> PodRequests:
        """Return the Pod as the simulation takes it."""
        return PodRequests(
            containers=tuple(container.requests() for container in self.containers if container.kind == "app"),
            init_containers=tuple(container.requests() for container in self.containers if container.kind != "app"),
            level=None if self.resources is None else level_of(self.resources),
        )

    def question(self) -> dict[str, object]:
        """Return what hack/kubelet-oracle is asked."""
        host, words = self.shape.host(), self._words()
        node: dict[str, object] = {
            "cpus": [{field: getattr(cpu, field) for field in _CPU_FIELDS} for cpu in host.cpus],
            "distances": [[distance for _, distance in node.distances] for node in host.nodes],
            "memory_bytes": self.memory_bytes,
            "options": {str(feature): "true" for feature in Feature if feature in words},
            "reserved": words.get("reserved", ""),
            "reserved_count": int(words.get("reserved-count", "0")),
            "in_use": words.get("in-use", ""),
            "topology_manager": {
                "policy": words.get("topology-manager", "none"),
                "scope": words.get("topology-manager-scope", "container"),
                "options": {name: value or "true" for name, value in words.items() if name in _MANAGER_OPTIONS},
            },
            "gates": {"PodLevelResourceManagers": "pod-level-resource-managers" in words},
        }
        if "numa-hint" in words:
            node["numa_hint"] = list(CPUSet.parse(words["numa-hint"]))
        if "device-nodes" in words:
            node["device_nodes"] = [list(CPUSet.parse(part)) for part in words["device-nodes"].split("/")]
        return {"node": node, "pod": {"spec": self._spec()}}

    def _words(self) -> dict[str, str]:
        """Return what `kubelet` says, unchecked: which options go together the kubelet is to say."""
        parts = re.split(r",(?!\d)", self.kubelet) if self.kubelet else []
        return {name: value for name, _, value in (part.partition("=") for part in parts)}

    def _spec(self) -> dict[str, object]:
        level = {} if self.resources is None else {"resources": self.resources}
        return {
            **level,
            "initContainers": [container.manifest() for container in self.containers if container.kind != "app"],
            "containers": [container.manifest() for container in self.containers if container.kind == "app"],
        }


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a kubelet does not admit a Pod, in its own words."""

    reason: str
    message: str = ""


class Answer(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a kubelet makes of a case; `unstarted` that it would not even start on such a node."""

    qos: str
    unstarted: bool = False
    refusal: Refusal | None = None
    cpus: dict[str, str] = {}
    pool: str = ""
    limits: dict[str, Limits] = {}


class Record(Struct, frozen=True, kw_only=True):
    """A case, which version of the kubelet was asked, and what it answered."""

    version: str
    case: Case
    answer: Answer


def answer_of(raw: Mapping[str, object]) -> Answer:
    """Return the answer of hack/kubelet-oracle, without what a refused Pod leaves behind until it is cleaned away."""
    limits = convert(raw["limits"], dict[str, Limits])
    qos = str(raw["qos"])
    if raw.get("unstarted"):
        return Answer(qos=qos, limits=limits, unstarted=True)
    if "refusal" in raw:
        return Answer(qos=qos, limits=limits, refusal=convert(raw["refusal"], Refusal))
    cpus = convert(raw.get("cpus", {}), dict[str, str])
    return Answer(
        qos=qos,
        limits=limits,
        cpus={name: _cpulist(cpus[name]) for name in sorted(cpus)},
        pool=_cpulist(str(raw.get("pool", ""))),
    )


def _cpulist(text: str) -> str:
    return str(CPUSet.parse(text))


def simulated(case: Case, version: str) -> Answer:
    """Return what the simulation answers for this version of the kubelet."""
    pod, kubelet = case.pod(), KubeletVersion(version)
    answer = Answer(qos=str(qos_class(pod, kubelet)), limits=_limits(case, pod, kubelet))
    try:
        options = parse_options(",".join(filter(None, (case.kubelet, f"version={version}"))))
        admission = admit(pod, case.shape.host(), options)
    except UsageError:
        return replace(answer, unstarted=True)
    except KubeletHangs:
        return replace(answer, refusal=Refusal(reason=HANGS))
    except Refused as error:
        return replace(answer, refusal=Refusal(reason=error.reason, message=error.status))
    cpus = {entry.container: str(entry.cpus) for entry in admission.assignments}
    return replace(answer, cpus=dict(sorted(cpus.items())), pool=str(admission.shared_pool))


def _limits(case: Case, pod: PodRequests, version: KubeletVersion) -> dict[str, Limits]:
    limits = {
        container.name: container_limits(pod, container, node_bytes=case.memory_bytes, version=version)
        for container in pod.in_order
    }
    return {**limits, WHOLE_POD: pod_limits(pod, version)}
