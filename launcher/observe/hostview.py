"""The host as people and programs read it: one view of topology, memory, cpuset and quota."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.host.model import AllowedCPUs, Host, Node
from launcher.observe.text import bytes_in_words, counted, printable


class HostView(Struct, frozen=True, kw_only=True):
    """A host, the CPUs that may be used on it, and the limits that control groups set; `quota_cpus` in CPUs."""

    host: Host
    allowed: AllowedCPUs
    quota_cpus: float | None = None
    quota_source: str = ""
    partition: str | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """Everything that the readers found odd, and a quota that the cpuset's CPUs would run into."""
        return (*self.host.warnings, *self.allowed.warnings, *self._throttling())

    def _throttling(self) -> tuple[str, ...]:
        size = len(self.allowed.cpus)
        if self.quota_cpus is None or self.quota_cpus >= size:
            return ()
        return (
            f"{self.quota_source}: time for {self.quota_cpus:g} of the cpuset's {size} CPUs: they will be throttled",
        )


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
    if view.partition is not None:
        yield f"partition {view.partition}"
    yield f"quota     {_quota(view)}"
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


def _quota(view: HostView) -> str:
    return "none" if view.quota_cpus is None else f"{view.quota_cpus:g} CPUs of time, read from {view.quota_source}"


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
    host = view.host
    return {
        "arch": host.arch,
        "page_bytes": host.page_bytes,
        "online": str(host.online),
        "offline": str(host.offline),
        "cpuset": str(view.allowed.cpus),
        "source": view.allowed.source,
        "partition": view.partition,
        "quota": None if view.quota_cpus is None else {"cpus": view.quota_cpus, "source": view.quota_source},
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
