"""The versions of the kubelet whose decisions are foretold here, where they differ."""

from __future__ import annotations

from enum import StrEnum


class KubeletVersion(StrEnum):
    """A minor version of Kubernetes, oldest first."""

    V1_36 = "1.36"
    V1_37 = "1.37"

    @property
    def shares_by_socket(self) -> bool:
        """Whether distribute-cpus-across-numa with align-by-socket prefers the NUMA nodes of one socket."""
        return self is not KubeletVersion.V1_36

    @property
    def judges_each_container(self) -> bool:
        """Whether requests must equal limits in each container for Guaranteed; before, in the sums over all."""
        return self is not KubeletVersion.V1_36


NEWEST = KubeletVersion.V1_37
