"""The node's label `cpumanager`: whether its kubelet runs the static CPU manager, why not, and what to do about it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from msgspec import Struct

from launcher.kubelet.options import Policy
from launcher.kubelet.state import parse_state
from launcher.quantity import parse_quantity
from launcher.vmi.manifest import Value
from launcher.vmi.yamltree import read_trees

# KubeVirt's label (v1.CPUManager), by which the pods of guests with dedicated CPUs choose their nodes.
LABEL = "cpumanager"
_POLICIES = (Policy.STATIC, Policy.NONE)


class Verdict(Struct, frozen=True, kw_only=True):
    """Whether whole CPUs are handed out on the node, and the evidence; `policy` is None where the file says none.

    `is_known` is false where the file is there and could not be read: then nobody is told anything about the node.
    """

    is_static: bool
    reason: str
    policy: str | None = None
    is_known: bool = True

    @property
    def value(self) -> str:
        """The label's value."""
        return "true" if self.is_static else "false"

    def __str__(self) -> str:
        """Return the label as kubectl writes it: "cpumanager=true"."""
        return f"{LABEL}={self.value}"


class KubeletConfiguration(Struct, frozen=True, kw_only=True):
    """What the kubelet's configuration file says of the CPU manager; the policy is None where it names none."""

    policy: str | None = None
    reserves_cpus: bool = False


def verdict_of(text: str) -> Verdict:
    """Judge the text of the kubelet's state file; one that cannot be read as such means false, and says why."""
    try:
        state = parse_state(text)
    except ValueError as error:
        return Verdict(is_static=False, reason=str(error))
    if state.policy not in _POLICIES:
        reason = f"the kubelet runs the CPU manager's policy {state.policy[:64]!r}, which nobody here knows"
        return Verdict(is_static=False, reason=reason, policy=state.policy)
    is_static = state.policy == Policy.STATIC
    doubt = "" if state.doubt is None else f" ({state.doubt})"
    reason = f"the kubelet runs the CPU manager's policy {state.policy}{doubt}"
    return Verdict(is_static=is_static, reason=reason, policy=state.policy)


def parse_configuration(text: str) -> KubeletConfiguration:
    """Read the kubelet's configuration file (KubeletConfiguration of kubelet.config.k8s.io, YAML or JSON).

    Raises ValueError that says what is wrong with it.
    """
    trees = read_trees(text)
    root = trees[0].value if trees else None
    if not isinstance(root, dict) or root.get("kind") != "KubeletConfiguration":
        raise ValueError("holds no KubeletConfiguration")
    policy = root.get("cpuManagerPolicy")
    return KubeletConfiguration(
        policy=str(policy) if policy else None,
        reserves_cpus=bool(root.get("reservedSystemCPUs"))
        or any(_reserves(root, key) for key in ("kubeReserved", "systemReserved")),
    )


def _reserves(root: Mapping[str, Value], key: str) -> bool:
    """Tell whether this map of reserved resources holds CPU; what is no quantity reserves nothing."""
    resources = root.get(key)
    amount = resources.get("cpu") if isinstance(resources, dict) else None
    try:
        return isinstance(amount, str | int | float) and bool(parse_quantity(amount))
    except ValueError:
        return False


def contradiction(verdict: Verdict, configuration: KubeletConfiguration) -> str | None:
    """Say why this kubelet cannot start, or None where it can: its configuration against its state file.

    Source: state_checkpoint.go ("configured policy … differs from state checkpoint policy …") and policy_static.go (a
    reservation above zero is required). A policy on the kubelet's command line is not seen here.
    """
    if configuration.policy is None:
        return None
    if verdict.policy is not None and configuration.policy != verdict.policy:
        return (
            f"its configuration says {configuration.policy!r} and its state file {verdict.policy!r}: "
            "the kubelet ends at every start until the state file is removed"
        )
    if configuration.policy == Policy.STATIC and not configuration.reserves_cpus:
        return (
            "its configuration asks for the static policy and reserves no CPU (unless its command line does): "
            "the kubelet ends at every start"
        )
    return None


def way_to_read(state_file: str) -> str:
    """Return what to do where the state file may not be read: nothing is wrong with the node for that."""
    return (
        f"the file is root's: ask as root (sudo virt-launcher node-label --state-file {shlex.quote(state_file)}), or "
        "by the DaemonSet in templates/node-label, which mounts its folder; what this node's kubelet does is not known"
    )


def missing_file(state_file: str) -> str:
    """Return where else to look for a state file that is not there, before anything is done to the node."""
    return (
        f"{state_file} is not there. Does the kubelet keep its files elsewhere (its --root-dir)? Then name the file: "
        "--state-file. Is this a container? Then the folder is to be mounted (templates/node-label does). Else the "
        "kubelet has not written one yet, and hands out no whole CPUs."
    )


def remedy(*, node: str, state_file: str, configuration_file: str, has_file: bool = True) -> str:
    """Return the steps that make a node hand out whole CPUs, one a line; a file that is not there is not removed.

    Source: Kubernetes, "Control CPU Management Policies on the Node", changing the CPU Manager policy.
    """
    target = shlex.quote(node)
    reservation = "reserve CPU above zero, such as reservedSystemCPUs: 0-1, or cpu in kubeReserved or systemReserved"
    steps = (
        f"drain the node: kubectl drain {target} --ignore-daemonsets --delete-emptydir-data",
        "stop the kubelet: systemctl stop kubelet",
        *((f"remove the state file: rm {shlex.quote(state_file)}",) if has_file else ()),
        f"in {configuration_file} set cpuManagerPolicy: static and {reservation}",
        f"start the kubelet: systemctl start kubelet; then kubectl uncordon {target}",
    )
    return "\n".join(f"{number}. {step}" for number, step in enumerate(steps, start=1))
