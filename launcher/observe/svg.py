"""The placement drawn as a standalone SVG, for a report or a bug thread: no script, no font, no reference outside."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from lxml import etree
from msgspec import Struct

from launcher.host.model import NO_NODE
from launcher.observe.picture import (
    CacheBox,
    CoreBox,
    CPUBox,
    NodeBox,
    Picture,
    State,
    occupant_columns,
    occupant_lines,
)
from launcher.observe.text import counted, printable, wrapped, wrapped_cpulist

_NAMESPACE = "http://www.w3.org/2000/svg"
_SANS = "system-ui, 'DejaVu Sans', Helvetica, Arial, sans-serif"
_MONO = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

# Sizes in CSS pixels. A monospaced character is about 0.6 of the font's size wide; 0.62 leaves some room.
_CPU_FONT = 12
_CHARACTER = 0.62 * _CPU_FONT
# The width of a digit in the widest of the proportional fonts, in units of the font's size.
_WIDE = 0.64
_TEXT_FONT = 13
_TEXT_LINE = 18
_LINE = 17
_TITLE = 16
_GAP = 6
_MARGIN = 14
_NARROWEST = 520
# A wider picture is shown at this width (a viewer can enlarge it); what is written around it grows to stay legible.
_WIDEST = 1600
# Width by height that a picture and each part of it aim at.
_ASPECT = 1.6


class _Paint(Struct, frozen=True, kw_only=True):
    """The colours of one kind of box on a light page and on a dark one: its fill, its edge, its text."""

    light: tuple[str, str, str]
    dark: tuple[str, str, str]
    dashed: bool = False


# Blue, orange and vermilion are those of Okabe and Ito's palette for all kinds of colour vision (the first and the last
# darkened until white text on them is legible); every state differs in text or edge, too.
_PAINTS = {
    "vcpu": _Paint(light=("#0067a5", "#004a77", "#ffffff"), dark=("#1f7fbf", "#7fc4f0", "#ffffff")),
    "shared": _Paint(light=("#b34700", "#7a3000", "#ffffff"), dark=("#b34700", "#ff9a57", "#ffffff")),
    "housekeeping": _Paint(light=("#f0b23a", "#8a5c00", "#1b1b1b"), dark=("#e69f00", "#ffd27a", "#1b1b1b")),
    "floating": _Paint(light=("#cfe5f5", "#0067a5", "#0b2a40"), dark=("#173a52", "#7fc4f0", "#dff0fb")),
    "spare": _Paint(light=("#ffffff", "#00664a", "#00513b"), dark=("#14261f", "#4fd0a5", "#a5ecd4"), dashed=True),
    "others": _Paint(light=("#e6e6e6", "#cfcfcf", "#6b6b6b"), dark=("#2c3136", "#3c4248", "#959ca3")),
    "offline": _Paint(light=("#ffffff", "#b00020", "#b00020"), dark=("#2a1417", "#ff7b8a", "#ff9aa6"), dashed=True),
    "core": _Paint(light=("#ffffff", "#9aa3ab", "#4a525a"), dark=("#20262c", "#5b6670", "#b4bec7")),
    "cache": _Paint(light=("#f1f5f8", "#8c97a1", "#3b444c"), dark=("#1a2026", "#5f6b76", "#c2ccd5")),
    "node": _Paint(light=("#dfe7ee", "#5a6772", "#1f2930"), dark=("#12171c", "#8795a1", "#e4ebf1")),
    "page": _Paint(light=("#ffffff", "#ffffff", "#1f2930"), dark=("#0b0f13", "#0b0f13", "#e4ebf1")),
}


class _Figure(Struct, frozen=True):
    """A group of SVG and the size that it takes."""

    group: etree._Element
    width: float
    height: float


class _Cells(Struct, frozen=True, kw_only=True):
    """What every CPU's cell has in common: the characters of a number and of an occupant, and the width."""

    digits: int
    occupants: int

    @property
    def width(self) -> float:
        """The width of one cell in pixels."""
        return round(max((self.digits + 1 + self.occupants) * _CHARACTER + 8, 58))


def draw_svg(picture: Picture) -> str:
    """Draw the picture as an SVG document, legible on light and dark pages, ending in a newline.

    Every CPU of the host is drawn, whatever their number; a pointer that rests on one shows its place and its threads.
    """
    cells = _Cells(
        digits=len(str(max((cpu.cpu for cpu in picture.cpus), default=0))),
        occupants=occupant_columns(picture.cpus, ranges=True),
    )
    figures = [_node(node, cells) for node in picture.nodes]
    if picture.missing:
        figures.append(_offline(picture.missing, cells))
    body = _arranged(figures, gap=2 * _GAP)
    document = _page(picture, body)
    return str(etree.tostring(document, encoding="unicode", pretty_print=True))


def _page(picture: Picture, body: _Figure) -> etree._Element:
    width = round(max(body.width, _NARROWEST))
    scale = max(width / _WIDEST, 1)
    characters = int(width / scale / (_WIDE * _TEXT_FONT))
    above = _scaled(_lines_of_text(list(_heading(picture, characters)), first="bold"), scale)
    legend = _scaled(_legend(picture, width / scale), scale)
    below = _scaled(_lines_of_text(list(_notes(picture, characters)), first="normal"), scale)
    parts = [part for part in (above, body, legend, below) if part.height]
    content = _stacked(parts, gap=_MARGIN * scale)
    document = _document(picture, width + 2 * _MARGIN, math.ceil(content.height) + 2 * _MARGIN, scale)
    document.append(_moved(content.group, _MARGIN, _MARGIN))
    return document


def _document(picture: Picture, width: int, height: int, scale: float) -> etree._Element:
    document = _element("svg")
    size = {"width": _number(width / scale), "height": _number(height / scale)}
    _set(document, {**size, "viewBox": f"0 0 {width} {height}", "font-family": _SANS})
    _set(document, {"role": "img", "aria-labelledby": "title description"})
    _child(document, "title", text=_title(picture)).set("id", "title")
    _child(document, "desc", text=_description(picture)).set("id", "description")
    _child(document, "style", text=_style_sheet())
    _rectangle(document, "page", width, height, radius=0)
    return document


def _scaled(figure: _Figure, scale: float) -> _Figure:
    if scale == 1:
        return figure
    group = _element("g")
    group.append(figure.group)
    figure.group.set("transform", f"scale({scale:.3f})")
    return _Figure(group, figure.width * scale, figure.height * scale)


def _title(picture: Picture) -> str:
    vcpus = sum(len(cpu.vcpus) for cpu in picture.cpus)
    guest = counted(vcpus, "vCPU") if vcpus else "a guest without dedicated CPUs"
    total = sum(len(node.cpus) for node in picture.nodes)
    nodes = sum(node.node != NO_NODE for node in picture.nodes)
    return f"Placement of {guest} on a host of {counted(total, 'CPU')}, {counted(nodes, 'NUMA node')}"


def _description(picture: Picture) -> str:
    used = [f"CPU {cpu.cpu}: {cpu.sentence}" for cpu in picture.cpus if cpu.words]
    return "; ".join([f"cpuset {picture.cpuset} from {printable(picture.source)}", *used, *_floating(picture)])


def _floating(picture: Picture) -> Iterator[str]:
    if picture.floating:
        yield f"floating over the whole cpuset: {', '.join(picture.floating)}"


def _heading(picture: Picture, characters: int) -> Iterator[str]:
    total = sum(len(node.cpus) for node in picture.nodes)
    yield _title(picture)
    yield from wrapped_cpulist(f"cpuset {picture.cpuset}", characters, most_lines=3)
    size = f"{len(picture.cpuset)} of {counted(total, 'CPU')}, read from {printable(picture.source)}"
    yield from wrapped(size.split(), characters)


def _notes(picture: Picture, characters: int) -> Iterator[str]:
    for sentence in _floating(picture):
        yield from wrapped(sentence.split(), characters)
    planned = {cpu.cpu for cpu in picture.missing}
    if rest := [cpu.cpu for cpu in picture.offline if cpu.cpu not in planned]:
        yield f"offline: {counted(len(rest), 'CPU')} without a thread of the guest"


def _node(node: NodeBox, cells: _Cells) -> _Figure:
    caches = [_cache(cache, node, cells) for cache in node.caches]
    return _framed(" \N{MIDDLE DOT} ".join(node.title_words), _arranged(caches, gap=_GAP), "node")


def _cache(cache: CacheBox, node: NodeBox, cells: _Cells) -> _Figure:
    place = f"cache {cache.cache}, {node.title_words[0]}"
    cores = [_core(core, place, cells) for core in cache.cores]
    return _framed(f"cache {cache.cache}", _arranged(cores, gap=_GAP), "cache")


def _core(core: CoreBox, place: str, cells: _Cells) -> _Figure:
    column = _stacked([_cpu(cpu, f"core {core.core}, {place}", cells) for cpu in core.cpus])
    return _framed(f"core {core.core}", column, "core")


def _offline(missing: Sequence[CPUBox], cells: _Cells) -> _Figure:
    boxes = [_cpu(cpu, "offline", cells) for cpu in missing]
    return _framed("offline", _arranged(boxes, gap=_GAP), "offline")


def _cpu(cpu: CPUBox, place: str, cells: _Cells) -> _Figure:
    lines = occupant_lines(cpu, cells.occupants, blank="")
    height = _LINE * len(lines) + 3
    kind = _kind(cpu)
    group = _element("g")
    _child(group, "title", text=f"CPU {cpu.cpu} ({place}): {cpu.sentence}")
    _rectangle(group, kind, cells.width, height, radius=2)
    _cell_text(group, kind, str(cpu.cpu), 4 + cells.digits * _CHARACTER, _LINE - 3, anchor="end")
    for number, line in enumerate(lines):
        if line:
            x = 4 + (cells.digits + 1) * _CHARACTER
            _cell_text(group, kind, line, x, _LINE * (number + 1) - 3, weight="bold")
    return _Figure(group, cells.width, height)


def _kind(cpu: CPUBox) -> str:
    match cpu.state:
        case State.OURS:
            return "floating" if cpu.is_floating else "shared" if cpu.is_shared else "vcpu"
        case State.HOUSEKEEPING:
            return "housekeeping"
        case State.SPARE:
            return "spare"
        case State.OTHERS:
            return "others"
        case State.OFFLINE:
            return "offline"


_MEANINGS = {
    "vcpu": "vCPU (v)",
    "shared": "vCPUs that share a CPU",
    "housekeeping": "emulator (emu), IOThreads (io), shared vCPUs (~), housekeeping",
    "floating": "floating threads",
    "spare": "spare",
    "others": "others'",
    "offline": "offline",
}


def _legend(picture: Picture, width: float) -> _Figure:
    """Explain the kinds of CPU that occur, in rows."""
    kinds = {_kind(cpu) for node in picture.nodes for cpu in node.cpus} | {_kind(cpu) for cpu in picture.missing}
    group = _element("g")
    x, y = 0.0, 0.0
    for kind, meaning in _MEANINGS.items():
        if kind not in kinds:
            continue
        needed = 22 + len(meaning) * 0.57 * _TEXT_FONT + 18
        if x and x + needed > width:
            x, y = 0.0, y + _TEXT_LINE + 4
        entry = _child(group, "g")
        _rectangle(entry, kind, 16, 14, radius=2)
        _text(entry, meaning, 22, 12)
        _moved(entry, x, y)
        x += needed
    return _Figure(group, width, y + _TEXT_LINE)


def _lines_of_text(lines: Sequence[str], *, first: str) -> _Figure:
    group = _element("g")
    for number, line in enumerate(lines):
        _text(group, line, 0, _TEXT_LINE * number + _TEXT_FONT, weight="normal" if number else first)
    return _Figure(group, 0, _TEXT_LINE * len(lines))


def _arranged(figures: Sequence[_Figure], *, gap: float) -> _Figure:
    """Lay figures in rows so that the whole comes near to the wanted proportions and the last row is full."""
    group = _element("g")
    right, y = 0.0, 0.0
    columns = _columns(figures, gap) if figures else 1
    for first in range(0, len(figures), columns):
        row = figures[first : first + columns]
        x = 0.0
        for figure in row:
            group.append(_moved(figure.group, x, y))
            x += figure.width + gap
        right = max(right, x - gap)
        y += max(figure.height for figure in row) + gap
    return _Figure(group, right, max(y - gap, 0))


def _columns(figures: Sequence[_Figure], gap: float) -> int:
    wide = max(figure.width for figure in figures) + gap
    # The usual height: what one of them holds more than the others makes no other shape of the whole, so that nodes
    # which are alike look alike.
    high = sorted(figure.height for figure in figures)[len(figures) // 2] + gap

    def ugliness(columns: int) -> float:
        rows = math.ceil(len(figures) / columns)
        empty = 1 - len(figures) / (rows * columns)
        return abs(math.log(columns * wide / (rows * high) / _ASPECT)) + 4 * empty

    return min(range(1, len(figures) + 1), key=ugliness)


def _stacked(figures: Sequence[_Figure], gap: float = 2) -> _Figure:
    group = _element("g")
    y = 0.0
    for figure in figures:
        group.append(_moved(figure.group, 0, y))
        y += figure.height + gap
    return _Figure(group, max(figure.width for figure in figures), y - gap)


def _framed(title: str, content: _Figure, kind: str) -> _Figure:
    """Put a box with a title in its upper left corner around a figure."""
    width = max(content.width, len(title) * 0.6 * _CPU_FONT) + 2 * _GAP
    height = content.height + _TITLE + 2 * _GAP - (0 if content.height else _GAP)
    group = _element("g")
    _rectangle(group, kind, width, height, radius=4)
    _text(group, title, _GAP, _TITLE, kind=kind, size=_CPU_FONT - 1)
    group.append(_moved(content.group, _GAP, _TITLE + _GAP))
    return _Figure(group, width, height)


def _rectangle(parent: etree._Element, kind: str, width: float, height: float, *, radius: int) -> None:
    paint = _PAINTS[kind]
    fill, edge, _ = paint.light
    attributes = {"class": kind, "width": _number(width), "height": _number(height), "fill": fill, "stroke": edge}
    if radius:
        attributes["rx"] = str(radius)
    if paint.dashed:
        attributes["stroke-dasharray"] = "4 2"
    _set(_child(parent, "rect"), attributes)


def _cell_text(
    parent: etree._Element, kind: str, text: str, x: float, y: float, *, anchor: str = "start", weight: str = "normal"
) -> None:
    element = _text(parent, text, x, y, kind=kind, size=_CPU_FONT, weight=weight)
    if anchor != "start":
        element.set("text-anchor", anchor)


def _text(
    parent: etree._Element,
    text: str,
    x: float,
    y: float,
    *,
    kind: str = "page",
    size: int = _TEXT_FONT,
    weight: str = "normal",
) -> etree._Element:
    element = _child(parent, "text", text=text)
    attributes = {"class": f"t-{kind}", "x": _number(x), "y": _number(y), "font-size": str(size)}
    _set(element, {**attributes, "fill": _PAINTS[kind].light[2]})
    if weight != "normal":
        element.set("font-weight", weight)
    return element


def _style_sheet() -> str:
    """Return the cells' font, and the colours for dark pages; the light ones are attributes, which all viewers know."""
    cells = ", ".join(f".t-{kind}" for kind in _MEANINGS)
    rules = "".join(_dark_rules(_PAINTS.items()))
    return f"{cells} {{ font-family: {_MONO} }} @media (prefers-color-scheme: dark) {{ {rules}}}"


def _dark_rules(paints: Iterable[tuple[str, _Paint]]) -> Iterator[str]:
    for kind, paint in paints:
        fill, edge, text = paint.dark
        yield f".{kind} {{ fill: {fill}; stroke: {edge}; }} .t-{kind} {{ fill: {text}; }} "


def _moved(group: etree._Element, x: float, y: float) -> etree._Element:
    if x or y:
        group.set("transform", f"translate({_number(x)} {_number(y)})")
    return group


def _element(tag: str) -> etree._Element:
    # lxml-stubs leave out that the prefix None stands for the default namespace.
    return etree.Element(f"{{{_NAMESPACE}}}{tag}", nsmap={None: _NAMESPACE})  # type: ignore[dict-item]


def _child(parent: etree._Element, tag: str, *, text: str | None = None) -> etree._Element:
    child = etree.SubElement(parent, f"{{{_NAMESPACE}}}{tag}")
    child.text = text
    return child


def _set(element: etree._Element, attributes: dict[str, str]) -> None:
    for name, value in attributes.items():
        element.set(name, value)


def _number(value: float) -> str:
    """Write a length without a needless fraction, so that the same picture has the same bytes."""
    return f"{value:.1f}".removesuffix(".0")
