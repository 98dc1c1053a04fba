"""The guest's devices of the host as a table for people and as a document for programs."""

from __future__ import annotations

from collections.abc import Sequence

from launcher.host.model import NO_NODE
from launcher.host.proximity import Proximity
from launcher.observe.text import columns, cut, printable
from launcher.planner.model import Cell

_HEADINGS = ("device", "address", "node", "root", "cell", "distance")
_GAP = "  "


def device_table(places: Sequence[Proximity], cells: Sequence[Cell], *, width: int) -> str:
    """Return a line for each device, in lines of at most `width` columns; the last one ends in no newline."""
    rows = [_HEADINGS, *(_row(place, cells) for place in places)]
    widths = [max(columns(row[place]) for row in rows) for place in range(len(_HEADINGS))]
    lines = (_GAP.join(f"{text:<{size}}" for text, size in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(cut(line, width) for line in lines)


def _row(place: Proximity, cells: Sequence[Cell]) -> tuple[str, ...]:
    device = place.device
    node = "-" if device.node == NO_NODE else str(device.node)
    cell = _cell_of(device.node, cells)
    return (
        printable(device.request.name),
        device.address,
        node,
        device.root or "-",
        "-" if cell is None else str(cell),
        place.in_words,
    )


def device_documents(places: Sequence[Proximity], cells: Sequence[Cell]) -> list[dict[str, object]]:
    """Return the devices as `plan --format json` tells them; what is not known is null."""
    return [
        {
            "name": place.device.request.name,
            "field": place.device.request.path,
            "type": str(place.device.bus),
            "address": place.device.address,
            "source": place.device.source,
            "node": None if place.device.node == NO_NODE else place.device.node,
            "root": place.device.root or None,
            "cell": _cell_of(place.device.node, cells),
            "nearest": place.nearest,
            "farthest": place.farthest,
        }
        for place in places
    ]


def _cell_of(node: int, cells: Sequence[Cell]) -> int | None:
    return next((cell.cell for cell in cells if cell.node == node != NO_NODE), None)
