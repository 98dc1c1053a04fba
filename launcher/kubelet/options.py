"""What `--kubelet` says of the node: the CPU manager's policy and options, reserved CPUs and CPUs in use."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import MAX_CPUS, CPUSet
from launcher.errors import UsageError
from launcher.kubelet.version import NEWEST, KubeletVersion


class Policy(StrEnum):
    """The kubelet's `--cpu-manager-policy`."""

    STATIC = "static"
    NONE = "none"


class TopologyPolicy(StrEnum):
    """The kubelet's `--topology-manager-policy`."""

    NONE = "none"
    BEST_EFFORT = "best-effort"
    RESTRICTED = "restricted"
    SINGLE_NUMA_NODE = "single-numa-node"


class TopologyScope(StrEnum):
    """The kubelet's `--topology-manager-scope`: what it seeks NUMA nodes for."""

    CONTAINER = "container"
    POD = "pod"


class Feature(StrEnum):
    """The options of the static policy, the kubelet's `--cpu-manager-policy-options`."""

    FULL_PCPUS_ONLY = "full-pcpus-only"
    DISTRIBUTE_ACROSS_NUMA = "distribute-cpus-across-numa"
    DISTRIBUTE_ACROSS_CORES = "distribute-cpus-across-cores"
    ALIGN_BY_SOCKET = "align-by-socket"
    STRICT_RESERVATION = "strict-cpu-reservation"
    PREFER_CACHE = "prefer-align-cpus-by-uncorecache"


# Which options the kubelet refuses to start with (pkg/kubelet/cm/cpumanager/policy_options.go).
_CONFLICTS = (
    (Feature.FULL_PCPUS_ONLY, Feature.DISTRIBUTE_ACROSS_CORES),
    (Feature.DISTRIBUTE_ACROSS_NUMA, Feature.DISTRIBUTE_ACROSS_CORES),
    (Feature.PREFER_CACHE, Feature.DISTRIBUTE_ACROSS_CORES),
    (Feature.PREFER_CACHE, Feature.DISTRIBUTE_ACROSS_NUMA),
)
_SWITCHES = ("prefer-closest-numa-nodes", "pod-level-resource-managers")
# The Topology Manager does not start on larger machines (its option max-allowable-numa-nodes apart).
_MAX_NUMA_NODES = 8
_TRUTH = {"": True, "true": True, "false": False}


class KubeletOptions(Struct, frozen=True, kw_only=True):
    """The node's configuration and state; raises UsageError for options that the kubelet refuses together.

    `reserved` are the CPUs of reservedSystemCPUs; `reserved_count` leaves the choice to the kubelet; `in_use` are held
    by other containers; `numa_hint` are the NUMA nodes that the Topology Manager decided on, None where it has no say.
    `prefers_closest` and `max_numa_nodes` are the Topology Manager's own options, `pod_level` the feature gate
    PodLevelResourceManagers; `device_nodes` are the NUMA nodes of the devices that the first container asks for, a set
    for each resource, empty where some device hangs on none; `state_file` is where it was read which CPUs are in use.
    """

    policy: Policy = Policy.STATIC
    features: frozenset[Feature] = frozenset()
    reserved: CPUSet = CPUSet()
    reserved_count: int = 0
    in_use: CPUSet = CPUSet()
    numa_hint: tuple[int, ...] | None = None
    device_nodes: tuple[CPUSet, ...] = ()
    topology_manager: TopologyPolicy = TopologyPolicy.NONE
    topology_scope: TopologyScope = TopologyScope.CONTAINER
    prefers_closest: bool = False
    max_numa_nodes: int = _MAX_NUMA_NODES
    pod_level: bool = False
    version: KubeletVersion = NEWEST
    state_file: str | None = None

    def __post_init__(self) -> None:
        for first, second in _CONFLICTS:
            if {first, second} <= self.features:
                raise UsageError(f"--kubelet: {first} and {second} cannot be used at the same time")
        if Feature.ALIGN_BY_SOCKET in self.features and self.topology_manager is TopologyPolicy.SINGLE_NUMA_NODE:
            raise UsageError(
                f"--kubelet: {Feature.ALIGN_BY_SOCKET} cannot be used with topology-manager=single-numa-node"
            )
        if self.reserved and self.reserved_count:
            raise UsageError("--kubelet: reserved (a cpulist) and reserved-count (a number) cannot be used together")
        if self.numa_hint is not None and self.topology_manager is not TopologyPolicy.NONE:
            raise UsageError("--kubelet: numa-hint and topology-manager cannot be used together: one finds the other")

    def __str__(self) -> str:
        """Return the options in words: "full-pcpus-only, reserved 0-1"."""
        return ", ".join(self._words()) or "static policy"

    def _words(self) -> Iterator[str]:
        if self.policy is Policy.NONE:
            yield "policy none"
        yield from sorted(self.features)
        if self.reserved or self.reserved_count:
            yield f"reserved {self.reserved}" if self.reserved else f"reserved count {self.reserved_count}"
        if self.in_use:
            yield f"in use {self.in_use}{'' if self.state_file is None else f' by {self.state_file}'}"
        yield from self._words_of_topology_manager()
        if self.pod_level:
            yield "resource managers of pods"
        if self.version is not NEWEST:
            yield f"Kubernetes {self.version}"
        if self.numa_hint is not None:
            yield f"NUMA hint {','.join(map(str, self.numa_hint))}"

    def _words_of_topology_manager(self) -> Iterator[str]:
        if self.topology_manager is TopologyPolicy.NONE:
            return
        yield f"topology manager {self.topology_manager}"
        if self.topology_scope is TopologyScope.POD:
            yield "by pod"
        if self.prefers_closest:
            yield "closest NUMA nodes"
        if self.device_nodes:
            yield f"devices on NUMA nodes {', '.join(str(nodes) or 'none' for nodes in self.device_nodes)}"


def parse_options(text: str) -> KubeletOptions:
    """Read the argument of `--kubelet`, a comma-separated list; empty text is the static policy with nothing reserved.

    * `full-pcpus-only`, `distribute-cpus-across-numa`, `distribute-cpus-across-cores`, `align-by-socket`,
      `strict-cpu-reservation`, `prefer-align-cpus-by-uncorecache`: as the kubelet names them, also with `=true` or
      `=false`
    * `policy=static|none`, `topology-manager=none|best-effort|restricted|single-numa-node`, and of the latter
      `topology-manager-scope=container|pod`, `prefer-closest-numa-nodes`, `max-allowable-numa-nodes=N`
    * `version=1.36`: where versions of Kubernetes differ, which one; the newest known without it
    * `pod-level-resource-managers`: the kubelet's feature gate PodLevelResourceManagers is on
    * `reserved=LIST`: the reserved CPUs, a cpulist (`reserved=2` is CPU 2); `reserved-count=N`: how many, and the
      kubelet chooses
    * `in-use=LIST`: CPUs that other containers hold exclusively
    * `numa-hint=LIST`: the NUMA nodes to take CPUs from first
    * `device-nodes=LIST`: with a topology manager, the NUMA nodes of the devices that the container asks for; with
      several resources a LIST for each, with `/` between them

    A LIST may hold commas (`reserved=0,4,full-pcpus-only`): an item that begins with a digit belongs to the list
    before it. Raises UsageError that names the item.
    """
    options = KubeletOptions()
    seen: set[str] = set()
    features: set[Feature] = set()
    for name, value in _items(text):
        if name in seen:
            raise UsageError(f"--kubelet: {name} is given twice")
        seen.add(name)
        if name in _READERS:
            options = _with_value(options, name, value)
        elif name in _SWITCHES:
            options = _with_switch(options, name, is_on=_truth(name, value))
        elif _feature(name, value):
            features.add(Feature(name))
    if options.device_nodes and options.topology_manager is TopologyPolicy.NONE:
        raise UsageError("--kubelet: device-nodes is for a topology-manager, and there is none")
    return replace(options, features=frozenset(features))


def _items(text: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r",(?!\s*\d)", text) if text.strip() else []
    for part in parts:
        name, _, value = part.partition("=")
        yield name.strip(), value.strip()


def _feature(name: str, value: str) -> bool:
    if name not in list(Feature):
        raise UsageError(f"--kubelet: found {name[:60]!r}, wanted one of {_names((*Feature, *_READERS, *_SWITCHES))}")
    return _truth(name, value)


def _truth(name: str, value: str) -> bool:
    if value.lower() not in _TRUTH:
        raise UsageError(f"--kubelet: {name}: found {value[:60]!r}, wanted true or false")
    return _TRUTH[value.lower()]


def _with_switch(options: KubeletOptions, name: str, *, is_on: bool) -> KubeletOptions:
    if name == "pod-level-resource-managers":
        return replace(options, pod_level=is_on)
    return replace(options, prefers_closest=is_on)


def _with_value(options: KubeletOptions, name: str, value: str) -> KubeletOptions:
    field, read = _READERS[name]
    return replace(options, **{field: read(name, value)})


def _choice(name: str, value: str, choices: Iterable[str]) -> str:
    if value not in list(choices):
        raise UsageError(f"--kubelet: {name}: found {value[:60]!r}, wanted one of {_names(choices)}")
    return value


def _cpulist(name: str, value: str) -> CPUSet:
    try:
        cpus = CPUSet.parse(value)
    except ValueError as error:
        raise UsageError(f"--kubelet: {name}: {error}") from error
    if not cpus:
        raise UsageError(f"--kubelet: {name}: found nothing, wanted a list such as 0-1,8")
    return cpus


def _count(name: str, value: str, *, least: int = 1) -> int:
    if not re.fullmatch(r"\d{1,4}", value, re.ASCII) or not least <= int(value) <= MAX_CPUS:
        raise UsageError(f"--kubelet: {name}: found {value[:60]!r}, wanted a number from {least} to {MAX_CPUS}")
    return int(value)


def _names(choices: Iterable[str]) -> str:
    return ", ".join(map(str, choices))


def _chosen(enumeration: type[StrEnum]) -> Callable[[str, str], object]:
    return lambda name, value: enumeration(_choice(name, value, enumeration))


# Of each name that has a value: the field, and how its value is read.
_READERS: dict[str, tuple[str, Callable[[str, str], object]]] = {
    "version": ("version", _chosen(KubeletVersion)),
    "policy": ("policy", _chosen(Policy)),
    "reserved": ("reserved", _cpulist),
    "reserved-count": ("reserved_count", _count),
    "in-use": ("in_use", _cpulist),
    "numa-hint": ("numa_hint", lambda name, value: tuple(_cpulist(name, value))),
    "device-nodes": ("device_nodes", lambda name, value: tuple(_cpulist(name, part) for part in value.split("/"))),
    "topology-manager": ("topology_manager", _chosen(TopologyPolicy)),
    "topology-manager-scope": ("topology_scope", _chosen(TopologyScope)),
    "max-allowable-numa-nodes": ("max_numa_nodes", lambda name, value: _count(name, value, least=_MAX_NUMA_NODES)),
}
