"""The kubelet's CPU manager state file: its policy, and the CPUs that it gave to containers alone."""

from __future__ import annotations

import json

from launcher.cpuset import CPUSet


def kubelet_assignments(text: str) -> tuple[CPUSet, ...]:
    """Return the exclusive CPU set of each container in a `cpu_manager_state` file, in the file's order.

    Raises ValueError where the text is no such file (pkg/kubelet/cm/cpumanager/state/checkpoint.go).
    """
    document = json.loads(text)
    if isinstance(document, dict) and isinstance(document.get("data"), str):
        document = json.loads(document["data"])
    if not isinstance(document, dict) or "policyName" not in document:
        raise ValueError("no policyName: this is no CPU manager state")
    return tuple(CPUSet.parse(cpus) for cpus in _leaves(document.get("entries") or {}))


def _leaves(entries: object) -> list[str]:
    """Return the cpulists below containers (version 1) or below pods and containers (later versions)."""
    if isinstance(entries, str):
        return [entries]
    if not isinstance(entries, dict):
        raise ValueError(f"entries: found {type(entries).__name__}, wanted an object of cpulists")
    return [leaf for inner in entries.values() for leaf in _leaves(inner)]
