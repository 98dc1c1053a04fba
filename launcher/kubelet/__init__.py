"""What the kubelet's static CPU manager would hand to a container: the QoS rules, the options and the allocation."""

from __future__ import annotations

from launcher.kubelet.admission import admit, container_cpuset
from launcher.kubelet.errors import NotEnoughCPUs, SMTAlignmentError, TopologyAffinityError
from launcher.kubelet.node import Admission, Assignment
from launcher.kubelet.options import Feature, KubeletOptions, Policy, TopologyPolicy, parse_options
from launcher.kubelet.requests import (
    Amount,
    ContainerRequests,
    PodRequests,
    QoSClass,
    pod_of,
    qos_class,
    requests_of,
)

__all__ = [
    "Admission",
    "Amount",
    "Assignment",
    "ContainerRequests",
    "Feature",
    "KubeletOptions",
    "NotEnoughCPUs",
    "PodRequests",
    "Policy",
    "QoSClass",
    "SMTAlignmentError",
    "TopologyAffinityError",
    "TopologyPolicy",
    "admit",
    "container_cpuset",
    "parse_options",
    "pod_of",
    "qos_class",
    "requests_of",
]
