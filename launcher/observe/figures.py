"""Figures of the host and of the guest in the form of vhostmd, for a guest that asks for downwardMetrics.

Source: KubeVirt's pkg/downwardmetrics (the figures, the disk, the words of the port) and vhostmd's own README.
"""

from __future__ import annotations

import os
import struct
import time
from collections.abc import Iterator, Mapping
from xml.etree import ElementTree

from msgspec import Struct

from launcher.errors import HostError
from launcher.host.model import Host
from launcher.host.tree import Tree

DISK_BYTES = 1 << 18
# Signature, 1 while it is being written, the sum of the body's bytes, its length: big endian.
_HEADER = struct.Struct(">4siii")
_SIGNATURE = b"mvbd"
_NS_PER_S = 10**9
_KIB = 1024
# Nanoseconds of a vCPU, by libvirt's name (VIR_DOMAIN_STATS_VCPU).
_VCPU_TIME = ".time"


class Figure(Struct, frozen=True, kw_only=True):
    """One figure: of the host, or of the guest (vm); a text, whole numbers, or seconds with fractions."""

    name: str
    value: str | int | float
    context: str = "host"
    unit: str = ""


class GuestFigures(Struct, frozen=True, kw_only=True):
    """What is known of the guest: libvirt's counters of its vCPUs, their number, and its memory."""

    counters: Mapping[str, int]
    vcpus: int
    memory_bytes: int


def figures_of(tree: Tree, host: Host, guest: GuestFigures, *, node: str) -> tuple[Figure, ...]:
    """Return the figures as they are now; what the kernel does not tell is left out."""
    return (
        Figure(name="HostName", value=node),
        Figure(name="HostSystemInfo", value="linux"),
        Figure(name="VirtualizationVendor", value="kubevirt.io"),
        *_of_guest(guest),
        Figure(name="NumberOfPhysicalCPUs", value=len({cpu.socket for cpu in host.cpus})),
        *_of_cpus(tree),
        *_of_memory(tree),
        Figure(name="Time", value=int(time.time()), unit="s"),
    )


def _of_guest(guest: GuestFigures) -> Iterator[Figure]:
    spent_ns = sum(value for name, value in guest.counters.items() if name.endswith(_VCPU_TIME))
    memory = guest.memory_bytes // _KIB
    yield Figure(name="TotalCPUTime", value=spent_ns / _NS_PER_S, context="vm", unit="s")
    yield Figure(name="ResourceProcessorLimit", value=guest.vcpus, context="vm")
    yield Figure(name="PhysicalMemoryAllocatedToVirtualSystem", value=memory, context="vm", unit="KiB")
    yield Figure(name="ResourceMemoryLimit", value=memory, context="vm", unit="KiB")


def _of_cpus(tree: Tree) -> Iterator[Figure]:
    """Yield the time that all CPUs spent, user, nice and system (proc(5), /proc/stat)."""
    first = _read(tree, "proc/stat").partition("\n")[0].split()
    if first[:1] == ["cpu"]:
        spent = sum(map(int, first[1:4])) / os.sysconf("SC_CLK_TCK")
        yield Figure(name="TotalCPUTime", value=spent, unit="s")


def _of_memory(tree: Tree) -> Iterator[Figure]:
    found = _numbers(_read(tree, "proc/meminfo"))
    free, cached = found.get("MemFree", 0), found.get("Buffers", 0) + found.get("Cached", 0)
    total, swap_free = found.get("MemTotal", 0), found.get("SwapFree", 0)
    if found:
        used = total + found.get("SwapTotal", 0) - free - cached - found.get("SwapCached", 0)
        yield Figure(name="FreePhysicalMemory", value=free, unit="KiB")
        yield Figure(name="FreeVirtualMemory", value=free + swap_free, unit="KiB")
        yield Figure(name="MemoryAllocatedToVirtualServers", value=total - free - cached, unit="KiB")
        yield Figure(name="UsedVirtualMemory", value=used, unit="KiB")
    paged, page_kib = _numbers(_read(tree, "proc/vmstat")), os.sysconf("SC_PAGE_SIZE") // _KIB
    for name, field in (("PagedInMemory", "pswpin"), ("PagedOutMemory", "pswpout")):
        if field in paged:
            yield Figure(name=name, value=paged[field] * page_kib, unit="KiB")


def _read(tree: Tree, path: str) -> str:
    try:
        return tree.read(path) or ""
    except HostError:
        return ""


def _numbers(text: str) -> dict[str, int]:
    """Return the numbers of lines such as "MemFree:  12 kB" and "pswpin 3" by their names."""
    lines = (line.replace(":", " ").split() for line in text.splitlines())
    return {words[0]: int(words[1]) for words in lines if len(words) > 1 and words[1].isdigit()}


def document_of(figures: tuple[Figure, ...]) -> bytes:
    """Return the figures as vhostmd's XML."""
    metrics = ElementTree.Element("metrics")
    for figure in figures:
        unit = {"unit": figure.unit} if figure.unit else {}
        metric = ElementTree.SubElement(metrics, "metric", {"type": _type(figure), "context": figure.context, **unit})
        ElementTree.SubElement(metric, "name").text = figure.name
        value = f"{figure.value:.6f}" if isinstance(figure.value, float) else str(figure.value)
        ElementTree.SubElement(metric, "value").text = value
    ElementTree.indent(metrics)
    return ElementTree.tostring(metrics) + b"\n"


def _type(figure: Figure) -> str:
    if isinstance(figure.value, str):
        return "string"
    return "real64" if isinstance(figure.value, float) else "int64"


def write_disk(descriptor: int, document: bytes) -> None:
    """Write the disk anew; a guest that reads it meanwhile sees that it is being written, or that the sum is wrong."""
    body = document[: DISK_BYTES - _HEADER.size]
    checksum = sum(body)
    os.pwrite(descriptor, _HEADER.pack(_SIGNATURE, 1, checksum, len(body)), 0)
    os.pwrite(descriptor, body, _HEADER.size)
    os.pwrite(descriptor, _HEADER.pack(_SIGNATURE, 0, checksum, len(body)), 0)


def answer_to(request: bytes) -> bool:
    """Tell whether this is what may be asked over the port: GET /metrics/XML, and an empty line."""
    words = request.split(b"\n")[0].split()
    return len(words) > 1 and words[0] == b"GET" and words[1].partition(b"?")[0] == b"/metrics/XML"
