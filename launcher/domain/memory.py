"""The domain's memory: how much, on which pages, and on which host nodes."""

from __future__ import annotations

from launcher.domain.blueprint import Blueprint
from launcher.domain.xml import Element, add
from launcher.host.model import NO_NODE


def fill_memory(domain: Element, blueprint: Blueprint) -> None:
    """Write memory, memoryBacking and, where the guest has cells, numatune strict per cell."""
    add(domain, "memory", blueprint.guest.memory.guest_bytes // 1024, unit="KiB")
    _fill_backing(domain, blueprint)
    if blueprint.pinning.cells:
        _fill_numatune(domain, blueprint)


def _fill_backing(domain: Element, blueprint: Blueprint) -> None:
    page_bytes = blueprint.guest.memory.huge_page_bytes
    realtime = blueprint.guest.cpu.realtime_vcpus is not None
    # Huge pages are taken at the start anyway; of ordinary ones a node may have none left later.
    taken_at_once = page_bytes is None and _is_bound(blueprint)
    if page_bytes is None and not realtime and not blueprint.shares and not taken_at_once:
        return
    backing = add(domain, "memoryBacking")
    if page_bytes is not None:
        add(add(backing, "hugepages"), "page", size=page_bytes // 1024, unit="KiB")
    if blueprint.shares:
        # The daemon of a shared folder reads and writes the guest's memory.
        add(backing, "source", type="memfd")
        add(backing, "access", mode="shared")
    if realtime:
        add(backing, "nosharepages")
        add(backing, "locked")
    if taken_at_once:
        add(backing, "allocation", mode="immediate")


def _is_bound(blueprint: Blueprint) -> bool:
    cells = blueprint.pinning.cells
    return bool(cells) and all(cell.node != NO_NODE for cell in cells)


def _fill_numatune(domain: Element, blueprint: Blueprint) -> None:
    cells = blueprint.pinning.cells
    if not _is_bound(blueprint):
        return
    numatune = add(domain, "numatune")
    add(numatune, "memory", mode="strict", nodeset=",".join(str(cell.node) for cell in cells))
    for cell in cells:
        add(numatune, "memnode", cellid=cell.cell, mode="strict", nodeset=cell.node)
