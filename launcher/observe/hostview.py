"""The host as people and programs read it: one view of topology, memory, cpuset and quota."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import ISOLATED, NOHZ_FULL, AllowedCPUs, Bounds, CPUQuota, Host, Node, Owners, ToldCPUs
from launcher.observe.text import bytes_in_words, counted, printable


class HostView(Struct, frozen=True, kw_only=True):
    """A host, the CPUs that may be used on it, and what their control group is to the kernel."""

    host: Host
    allowed: AllowedCPUs
    partition: str | None = None
    doubts: tuple[str, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that the readers found odd, a quota that the cpuset's CPUs would run into, and doubts."""
        return (*self.host.warnings, *self.allowed.warnings, *self._throttling(), *self.doubts)

    def _throttling(self) -> tuple[str, ...]:
        size, quota = len(self.allowed.cpus), self.allowed.bounds.quota
        if quota is None or quota.cpus >= size:
            return ()
        return (f"{quota.source}: time for {quota.cpus:g} of the cpuset's {size} CPUs: they will be throttled",)


def host_text(view: HostView) -> str:
    """Return the view as lines for people, ending in a newline."""
    return "\n".join(map(printable, _lines(view))) + "\n"


def _lines(view: HostView) -> Iterator[str]:
    host = view.host
    yield f"machine   {host.arch}, {_shape(host)}, pages of {bytes_in_words(host.page_bytes)}"
    yield f"online    {host.online}"
    if host.offline:
        yield f"offline   {host.offline}"
    yield f"cpuset    {view.allowed.cpus} ({counted(len(view.allowed.cpus), 'CPU')}), read from {view.allowed.source}"
    for word, told in told_cpus(view.allowed.owners):
        yield f"{word:<9} {told.cpus}, read from {told.source}"
    if view.partition is not None:
        yield f"partition {view.partition}"
    for kind in host.kinds:
        yield f"kind      {kind.name}: CPUs {kind.cpus}, read from {kind.source}"
    yield from _quiet_lines(host, view.allowed.bounds)
    if view.allowed.bounds.memory_nodes is not None:
        yield f"memory    of nodes {view.allowed.bounds.memory_nodes}, read from {view.allowed.bounds.memory_source}"
    yield from _page_lines(host, view.allowed.bounds)
    yield f"quota     {_quota(view.allowed.bounds.quota)}"
    for node in host.nodes:
        yield from _node_lines(host, node, view.allowed.cpus)
    for warning in view.warnings:
        yield f"warning   {warning}"


def _shape(host: Host) -> str:
    return ", ".join(
        (
            counted(len({cpu.socket for cpu in host.cpus}), "socket"),
            counted(len(host.nodes), "NUMA node"),
            counted(len({cpu.cache for cpu in host.cpus}), "last-level cache"),
            counted(len({cpu.core for cpu in host.cpus}), "core"),
            counted(len(host.cpus), "CPU"),
        )
    )


def _quiet_lines(host: Host, bounds: Bounds) -> Iterator[str]:
    """Name the CPUs between which the scheduler moves no thread, and those that keep no tick, each with its source."""
    if host.isolated:
        yield f"isolated  {host.isolated}, read from {ISOLATED}"
    if bounds.isolated:
        yield f"isolated  {bounds.isolated}, read from {bounds.isolated_source}"
    if host.nohz_full:
        yield f"nohz_full {host.nohz_full}, read from {NOHZ_FULL}"


def told_cpus(owners: Owners) -> Iterator[tuple[str, ToldCPUs]]:
    """Name what the environment says of the CPUs, each kind with its CPUs and its variable."""
    kinds = (("own", owners.isolated), ("shared", owners.shared), ("interrupts", owners.housekeeping))
    yield from ((kind, told) for kind, told in kinds if told is not None)
    yield from (("claimed", claim) for claim in owners.claims)


def _page_lines(host: Host, bounds: Bounds) -> Iterator[str]:
    """Tell what the nodes' counts of huge pages do not: pages promised already, still to be made, and limits."""
    for pool in host.page_pools:
        size = bytes_in_words(pool.size_bytes)
        yield f"pages     of {size}: {pool.promised} of the free ones are promised, {pool.makeable} more can be made"
    for limit in bounds.page_limits:
        most, used = bytes_in_words(limit.limit_bytes), bytes_in_words(limit.used_bytes)
        yield f"pages     of {bytes_in_words(limit.size_bytes)}: {used} of {most} used, read from {limit.source}"


def _quota(quota: CPUQuota | None) -> str:
    return "none" if quota is None else f"{quota.cpus:g} CPUs of time, read from {quota.source}"


def _node_lines(host: Host, node: Node, allowed: CPUSet) -> Iterator[str]:
    cpus = node_cpus(host, node)
    memory = bytes_in_words(node.memory_bytes)
    yield f"node {node.node:<4} CPUs {cpus or 'none'}; in the cpuset {cpus & allowed or 'none'}; {memory}"
    for pages in node.huge_pages:
        yield f"          huge pages of {bytes_in_words(pages.size_bytes)}: {pages.free} of {pages.total} free"
    if len(host.nodes) > 1 and node.distances:
        yield "          distances " + ", ".join(f"{other}: {distance}" for other, distance in node.distances)


def node_cpus(host: Host, node: Node) -> CPUSet:
    """Return the online CPUs of a node."""
    return CPUSet.of(cpu.cpu for cpu in host.cpus if cpu.node == node.node)


def host_document(view: HostView) -> dict[str, object]:
    """Return the view for programs; cpulists are text, memory is in bytes."""
    host, bounds = view.host, view.allowed.bounds
    return {
        "arch": host.arch,
        "page_bytes": host.page_bytes,
        "online": str(host.online),
        "offline": str(host.offline),
        "cpuset": str(view.allowed.cpus),
        "source": view.allowed.source,
        "partition": view.partition,
        "quota": None if bounds.quota is None else {"cpus": bounds.quota.cpus, "source": bounds.quota.source},
        "isolated": [
            {"cpus": str(cpus), "source": source}
            for cpus, source in ((host.isolated, ISOLATED), (bounds.isolated, bounds.isolated_source))
            if cpus
        ],
        "kinds": [{"name": kind.name, "cpus": str(kind.cpus), "source": kind.source} for kind in host.kinds],
        "nohz_full": str(host.nohz_full),
        "memory_nodes": None
        if bounds.memory_nodes is None
        else {"nodes": str(bounds.memory_nodes), "source": bounds.memory_source},
        "owners": [
            {"kind": kind, "cpus": str(told.cpus), "source": told.source}
            for kind, told in told_cpus(view.allowed.owners)
        ],
        "page_pools": [
            {"size_bytes": pool.size_bytes, "promised": pool.promised, "makeable": pool.makeable}
            for pool in host.page_pools
        ],
        "page_limits": [
            {
                "size_bytes": limit.size_bytes,
                "limit_bytes": limit.limit_bytes,
                "used_bytes": limit.used_bytes,
                "source": limit.source,
            }
            for limit in bounds.page_limits
        ],
        "cpus": [
            {
                "cpu": cpu.cpu,
                "core": cpu.core,
                "die": cpu.die,
                "socket": cpu.socket,
                "node": cpu.node,
                "cache": cpu.cache,
            }
            for cpu in host.cpus
        ],
        "nodes": [_node_document(host, node) for node in host.nodes],
        "warnings": list(view.warnings),
    }


def _node_document(host: Host, node: Node) -> dict[str, object]:
    return {
        "node": node.node,
        "cpus": str(node_cpus(host, node)),
        "memory_bytes": node.memory_bytes,
        "distances": {str(other): distance for other, distance in node.distances},
        "huge_pages": [
            {"size_bytes": pages.size_bytes, "total": pages.total, "free": pages.free} for pages in node.huge_pages
        ],
    }
