"""What `--kubelet` says of the node: the CPU manager's policy and options, reserved CPUs and CPUs in use."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from launcher.cpuset import MAX_CPUS, CPUSet
from launcher.errors import UsageError


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
_VALUES = ("policy", "reserved", "reserved-count", "in-use", "numa-hint", "topology-manager")
_TRUTH = {"": True, "true": True, "false": False}


class KubeletOptions(Struct, frozen=True, kw_only=True):
    """The node's configuration and state; raises UsageError for options that the kubelet refuses together.

    `reserved` are the CPUs of reservedSystemCPUs; `reserved_count` leaves the choice to the kubelet; `in_use` are held
    by other containers; `numa_hint` are the NUMA nodes that the Topology Manager decided on, None where it has no say.
    """

    policy: Policy = Policy.STATIC
    features: frozenset[Feature] = frozenset()
    reserved: CPUSet = CPUSet()
    reserved_count: int = 0
    in_use: CPUSet = CPUSet()
    numa_hint: tuple[int, ...] | None = None
    topology_manager: TopologyPolicy = TopologyPolicy.NONE

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
            yield f"in use {self.in_use}"
        if self.topology_manager is not TopologyPolicy.NONE:
            yield f"topology manager {self.topology_manager}"
        if self.numa_hint is not None:
            yield f"NUMA hint {','.join(map(str, self.numa_hint))}"


def parse_options(text: str) -> KubeletOptions:
    """Read the argument of `--kubelet`, a comma-separated list; empty text is the static policy with nothing reserved.

    * `full-pcpus-only`, `distribute-cpus-across-numa`, `distribute-cpus-across-cores`, `align-by-socket`,
      `strict-cpu-reservation`, `prefer-align-cpus-by-uncorecache`: as the kubelet names them, also with `=true` or
      `=false`
    * `policy=static|none`, `topology-manager=none|best-effort|restricted|single-numa-node`
    * `reserved=LIST`: the reserved CPUs, a cpulist (`reserved=2` is CPU 2); `reserved-count=N`: how many, and the
      kubelet chooses
    * `in-use=LIST`: CPUs that other containers hold exclusively
    * `numa-hint=LIST`: the NUMA nodes to take CPUs from first

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
        if name in _VALUES:
            options = _with_value(options, name, value)
        elif _feature(name, value):
            features.add(Feature(name))
    return replace(options, features=frozenset(features))


def _items(text: str) -> Iterator[tuple[str, str]]:
    parts = re.split(r",(?!\s*\d)", text) if text.strip() else []
    for part in parts:
        name, _, value = part.partition("=")
        yield name.strip(), value.strip()


def _feature(name: str, value: str) -> bool:
    if name not in list(Feature):
        raise UsageError(f"--kubelet: found {name[:60]!r}, wanted one of {_names((*Feature, *_VALUES))}")
    if value.lower() not in _TRUTH:
        raise UsageError(f"--kubelet: {name}: found {value[:60]!r}, wanted true or false")
    return _TRUTH[value.lower()]


def _with_value(options: KubeletOptions, name: str, value: str) -> KubeletOptions:
    match name:
        case "policy":
            return replace(options, policy=Policy(_choice(name, value, Policy)))
        case "topology-manager":
            return replace(options, topology_manager=TopologyPolicy(_choice(name, value, TopologyPolicy)))
        case "reserved":
            return replace(options, reserved=_cpulist(name, value))
        case "in-use":
            return replace(options, in_use=_cpulist(name, value))
        case "numa-hint":
            return replace(options, numa_hint=tuple(_cpulist(name, value)))
        case _:
            return replace(options, reserved_count=_count(name, value))


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


def _count(name: str, value: str) -> int:
    if not re.fullmatch(r"\d{1,4}", value, re.ASCII) or not 0 < int(value) <= MAX_CPUS:
        raise UsageError(f"--kubelet: {name}: found {value[:60]!r}, wanted a number from 1 to {MAX_CPUS}")
    return int(value)


def _names(choices: Iterable[str]) -> str:
    return ", ".join(map(str, choices))
