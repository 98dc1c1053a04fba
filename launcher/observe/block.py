"""Rectangles of painted text: put side by side, framed and broken into lines of a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from launcher.observe.text import Ink, columns, cut, painted


class Span(Struct, frozen=True):
    """A piece of a line, painted in one way."""

    text: str
    ink: Ink = Ink.PLAIN


Line = tuple[Span, ...]


class Block(Struct, frozen=True):
    """Lines that all have the same width."""

    width: int
    lines: tuple[Line, ...]


class Frame(Struct, frozen=True):
    """The characters of a box: across, down, and the corners top left, top right, bottom left, bottom right."""

    across: str
    down: str
    corners: str


def framed(title: str, content: Block, frame: Frame, *, room: int, ink: Ink = Ink.PLAIN) -> Block:
    """Put a box with a title in its upper line around a block."""
    inner = content.width + 2 * room
    heading = cut(f" {title} ", inner)
    top = (
        Span(frame.corners[0]),
        Span(heading, ink),
        Span(frame.across * (inner - columns(heading)) + frame.corners[1]),
    )
    left, right = Span(frame.down + " " * room), Span(" " * room + frame.down)
    bottom = (Span(frame.corners[2] + frame.across * inner + frame.corners[3]),)
    return Block(inner + 2, (top, *((left, *line, right) for line in content.lines), bottom))


def flowed(blocks: Sequence[Block], width: int, *, gap: int) -> Block:
    """Lay blocks side by side as far as they fit, then in the next row."""
    rows: list[list[Block]] = []
    for block in blocks:
        if rows and sum(member.width + gap for member in rows[-1]) + block.width <= width:
            rows[-1].append(block)
        else:
            rows.append([block])
    return padded_block([line for row in rows for line in _beside(row, gap)])


def _beside(row: Sequence[Block], gap: int) -> Iterator[Line]:
    for level in range(max(len(block.lines) for block in row)):
        line: list[Span] = []
        for number, block in enumerate(row):
            line.append(Span(" " * gap if number else ""))
            line += block.lines[level] if level < len(block.lines) else (Span(" " * block.width),)
        yield tuple(line)


def flowed_spans(groups: Iterable[Line], width: int) -> Iterator[Line]:
    """Join groups of spans, two spaces between them, into lines; a group that is too long is broken."""
    line: list[Span] = []
    for group in groups:
        if line and _width(line) + 2 + _width(group) <= width:
            line.append(Span("  "))
        elif line:
            yield tuple(line)
            line = []
        for span in group:
            if _width(line) + columns(span.text) > width:
                yield tuple(line)
                line = []
            line.append(span)
    if line:
        yield tuple(line)


def padded_block(lines: Sequence[Line]) -> Block:
    """Make a block as wide as its longest line."""
    width = max(map(_width, lines), default=0)
    return widened(Block(width, tuple(lines)), width)


def widened(block: Block, width: int) -> Block:
    """Fill every line with blanks up to this width, where the block is narrower."""
    wanted = max(width, block.width)
    return Block(wanted, tuple((*line, Span(" " * (wanted - _width(line)))) for line in block.lines))


def _width(line: Iterable[Span]) -> int:
    return columns("".join([span.text for span in line]))


def shown(line: Line, *, colour: bool) -> str:
    """Return the line as text, without blanks at its end."""
    return "".join(painted(span.text, span.ink, colour=colour) for span in line).rstrip(" ")
