"""Plain columns of text: a heading, rows, and what is too wide cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from launcher.observe.text import Ink, columns, cut, padded, painted

_GAP = "  "


def aligned(
    heading: Sequence[str], rows: Sequence[tuple[Sequence[str], Ink]], width: int, *, colour: bool
) -> Iterator[str]:
    """Write columns as wide as their longest cell; what is too much is taken from the widest one."""
    widths = [max(map(columns, column)) for column in zip(heading, *(cells for cells, _ in rows), strict=True)]
    while sum(widths) + len(_GAP) * (len(widths) - 1) > width and max(widths) > 1:
        widths[widths.index(max(widths))] -= 1
    yield painted(_line(heading, widths), Ink.BOLD, colour=colour)
    for cells, ink in rows:
        yield painted(_line(cells, widths), ink, colour=colour)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    return _GAP.join(padded(cut(cell, wide), wide) for cell, wide in zip(cells, widths, strict=True)).rstrip()
