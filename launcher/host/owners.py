"""Whose each CPU of the container is, as the runtime and drivers tell it in the environment.

| variable | what it says | who sets it |
|---|---|---|
| OPENSHIFT_ISOLATED_CPUS | the container's own CPUs | CRI-O, for the annotation cpu-shared.crio.io/CONTAINER: enable |
| OPENSHIFT_SHARED_CPUS | CPUs of its cpuset that others use, too | likewise |
| OPENSHIFT_HOUSEKEEPING_CPUS | those of its own that take interrupts | CRI-O, irq-load-balancing.crio.io |
| DRA_CPUSET_CLAIM | the CPUs of one claim | the driver of kubernetes-sigs/dra-driver-cpu |

One that is absent or empty says nothing; one that is no cpulist is a HostError. The environment is as old as the
container: what it says is compared with the cpuset by `launcher/planner/ownership.py`.
"""

from __future__ import annotations

from collections.abc import Mapping

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.model import Owners, ToldCPUs
from launcher.host.tree import Tree

ISOLATED_CPUS = "OPENSHIFT_ISOLATED_CPUS"
SHARED_CPUS = "OPENSHIFT_SHARED_CPUS"
HOUSEKEEPING_CPUS = "OPENSHIFT_HOUSEKEEPING_CPUS"
CLAIM_PREFIX = "DRA_CPUSET_"
_NAMES = (ISOLATED_CPUS, SHARED_CPUS, HOUSEKEEPING_CPUS)
ENVIRONMENT = "proc/self/environ"
# A cpulist of every other CPU that Linux can have is shorter.
_MOST_CHARACTERS = 1 << 16


def read_owners(environment: Mapping[str, str]) -> Owners:
    """Read the variables; raises HostError that names the one that is no cpulist, and quotes it."""
    claims = (_read(environment, name) for name in sorted(environment) if name.startswith(CLAIM_PREFIX))
    return Owners(
        isolated=_read(environment, ISOLATED_CPUS),
        shared=_read(environment, SHARED_CPUS),
        housekeeping=_read(environment, HOUSEKEEPING_CPUS),
        claims=tuple(claim for claim in claims if claim is not None),
    )


def told_variables(tree: Tree) -> Mapping[str, str]:
    """Return those variables among the environment that this tree's process began with, as a capture keeps them."""
    entries = (entry.partition("=") for entry in (tree.read(ENVIRONMENT) or "").split("\0"))
    return {name: value for name, _, value in entries if name in _NAMES or name.startswith(CLAIM_PREFIX)}


def _read(environment: Mapping[str, str], name: str) -> ToldCPUs | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    if len(text) > _MOST_CHARACTERS:
        raise HostError(f"{name}: {len(text)} characters; wanted a list of CPUs such as 2-5")
    try:
        cpus = CPUSet.parse(text)
    except ValueError as error:
        raise HostError(f"{name}: {_short(str(error))}; wanted a list of CPUs such as 2-5") from error
    return ToldCPUs(cpus=cpus, source=name)


def _short(words: str) -> str:
    return words if len(words) <= 160 else f"{words[:160]}..."
