"""The placement drawn for a terminal, as people know it from lstopo: nodes, caches, cores and CPUs as nested boxes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec import Struct

from launcher.cpuset import CPUSet
from launcher.observe.block import Block, Frame, Line, Span, flowed, flowed_spans, framed, padded_block, shown, widened
from launcher.observe.picture import (
    CacheBox,
    CoreBox,
    CPUBox,
    NodeBox,
    Picture,
    State,
    in_state,
    occupant_columns,
    occupant_lines,
)
from launcher.observe.text import (
    Ink,
    columns,
    counted,
    cut,
    padded,
    printable,
    wrapped,
    wrapped_cpulist,
)

# A host with more CPUs is drawn with one mark for each core and counts for each node, not with a box for each CPU.
MOST_CPUS_IN_BOXES = 256
# A drawing with blank columns and long words is good up to the lines of a plain terminal; then space is saved.
_MOST_LINES_WITH_ROOM = 24
# The cpulists of a summed-up node are cut after so many lines: it is an overview, the table has them all.
_MOST_LIST_LINES = 2
# The columns of a label before a list.
_LABEL = 14
NARROWEST = 40


class _Glyphs(Struct, frozen=True):
    """Every character that is drawn and is not text.

    `crossings` holds the crossing of lines that go on in some directions, at the index 8 up + 4 down + 2 left + right.
    """

    encoding: str
    node: Frame
    cache: Frame
    crossings: str
    across: str
    down: str
    dot: str
    floating: str
    spare: str
    housekeeping: str
    others: str
    offline: str
    core_full: str
    core_part: str

    def blank_of(self, cpu: CPUBox) -> str:
        """Return the mark of a CPU that no thread is planned on."""
        marks = {
            State.OURS: self.floating,
            State.SPARE: self.spare,
            State.HOUSEKEEPING: self.housekeeping,
            State.OTHERS: self.others,
            State.OFFLINE: self.offline,
        }
        return marks[cpu.state]


_UNICODE = _Glyphs(
    encoding="utf-8",
    node=Frame("━", "┃", "┏┓┗┛"),
    cache=Frame("─", "│", "┌┐└┘"),
    crossings="   ─ ┌┐┬ └┘┴│├┤┼",
    across="─",
    down="│",
    dot="·",
    floating="~",
    spare="○",
    housekeeping="◆",
    others="·",
    offline="✗",
    core_full="█",
    core_part="▌",
)
_ASCII = _Glyphs(
    encoding="ascii",
    node=Frame("=", "|", "++++"),
    cache=Frame("-", "|", "++++"),
    crossings="   - +++ +++|+++",
    across="-",
    down="|",
    dot="-",
    floating="~",
    spare="o",
    housekeeping="@",
    others=".",
    offline="x",
    core_full="#",
    core_part="+",
)


class _Style(Struct, frozen=True, kw_only=True):
    """What every part of one drawing agrees on: characters, padding, and the columns of a CPU's cell."""

    glyphs: _Glyphs
    room: int
    digits: int
    occupants: int
    core_word: str
    has_caches: bool

    @property
    def cell(self) -> int:
        """The columns inside a core's box."""
        title = len(self.core_word) + self.digits + 2 if self.room else 0
        return max(self.digits + 1 + self.occupants + 2 * self.room, title)


def draw_boxes(picture: Picture, *, width: int = 80, colour: bool, ascii: bool = False) -> str:  # noqa: A002 - its word
    """Draw the picture in lines of at most `width` columns (at least 40), with a legend, ending in a newline.

    Hosts of up to 256 CPUs get a box for each core; larger ones a mark for each core and the counts of each node.
    """
    width = max(width, NARROWEST)
    glyphs = _ASCII if ascii else _UNICODE
    is_small = sum(len(node.cpus) for node in picture.nodes) <= MOST_CPUS_IN_BOXES
    lines = _boxed_lines(picture, glyphs, width) if is_small else _summed_lines(picture, glyphs, width)
    return "".join(shown(line, colour=colour) + "\n" for line in lines)


def _boxed_lines(picture: Picture, glyphs: _Glyphs, width: int) -> list[Line]:
    roomy, dense = _style(picture, glyphs, has_room=True), _style(picture, glyphs, has_room=False)
    nodes = flowed(_node_boxes(picture, roomy, width), width, gap=1)
    if len(nodes.lines) > _MOST_LINES_WITH_ROOM:
        nodes = flowed(_node_boxes(picture, dense, width), width, gap=0)
    return [
        *_heading(picture, glyphs, width),
        *nodes.lines,
        *_missing_lines(picture, glyphs, width),
        *flowed_spans(_box_legend(picture, glyphs), width),
        *_note_lines(picture, width),
    ]


def _summed_lines(picture: Picture, glyphs: _Glyphs, width: int) -> list[Line]:
    return [
        *_heading(picture, glyphs, width),
        *flowed(_node_sums(picture, glyphs, width), width, gap=1).lines,
        *_missing_lines(picture, glyphs, width),
        *flowed_spans(_sum_legend(picture, glyphs), width),
        *_note_lines(picture, width),
    ]


def _heading(picture: Picture, glyphs: _Glyphs, width: int) -> Iterator[Line]:
    """Say what the cpuset is and where it was read."""
    total = sum(len(node.cpus) for node in picture.nodes)
    yield from _listing("cpuset", picture.cpuset, width, Ink.PLAIN, indent=8)
    source = printable(picture.source).encode(glyphs.encoding, "backslashreplace").decode()
    size = f"{len(picture.cpuset)} of {counted(total, 'CPU')}, read from {source}"
    for line in wrapped(size.split(), width - 8):
        yield (Span(" " * 8 + line),)


def _style(picture: Picture, glyphs: _Glyphs, *, has_room: bool) -> _Style:
    cpus = [cpu for node in picture.nodes for cpu in node.cpus]
    caches = [cache for node in picture.nodes for cache in node.caches]
    numbers = [*(cpu.cpu for cpu in cpus), *(core.core for cache in caches for core in cache.cores)]
    return _Style(
        glyphs=glyphs,
        room=int(has_room),
        digits=len(str(max(numbers, default=0))),
        occupants=occupant_columns(cpus, ranges=has_room),
        core_word="core " if has_room else "c",
        has_caches=any(len(cache.cores) > 1 for cache in caches),
    )


def _node_boxes(picture: Picture, style: _Style, width: int) -> list[Block]:
    inner = width - 2 - 2 * style.room
    contents = [_node_content(node, style, inner) for node in picture.nodes]
    return _framed_nodes(picture, contents, style.glyphs, width, room=style.room)


def _framed_nodes(
    picture: Picture, contents: Sequence[Block], glyphs: _Glyphs, width: int, *, room: int
) -> list[Block]:
    """Frame every node, all equally wide."""
    titles = [f" {glyphs.dot} ".join(node.title_words) for node in picture.nodes]
    longest = min(max(map(columns, titles), default=0) + 2, width - 2) - 2 * room
    widest = max(longest, *(content.width for content in contents))
    return [
        framed(title, widened(content, widest), glyphs.node, room=room, ink=Ink.BOLD)
        for title, content in zip(titles, contents, strict=True)
    ]


def _node_content(node: NodeBox, style: _Style, width: int) -> Block:
    if style.has_caches:
        return flowed([_cache_box(cache, style, width) for cache in node.caches], width, gap=style.room)
    return _core_grid([core for cache in node.caches for core in cache.cores], style, width)


def _cache_box(cache: CacheBox, style: _Style, width: int) -> Block:
    title = f"cache {cache.cache}"
    grid = _core_grid(cache.cores, style, width - 2 - 2 * style.room)
    return framed(title, widened(grid, len(title) + 2 - 2 * style.room), style.glyphs.cache, room=style.room)


def _core_grid(cores: Sequence[CoreBox], style: _Style, width: int) -> Block:
    """Lay cores side by side in balanced rows; neighbours share the line between them."""
    if not cores:
        return Block(0, ())
    most = max((width - 1) // (style.cell + 1), 1)
    rows = -(-len(cores) // most)
    across = -(-len(cores) // rows)
    parts = [cores[first : first + across] for first in range(0, len(cores), across)]
    lines: list[Line] = []
    for above, row in zip([(), *parts], [*parts, ()], strict=True):
        lines.append(_grid_line(len(above), row, style))
        lines += _grid_row(row, style)
    return padded_block(lines)


def _grid_line(above: int, row: Sequence[CoreBox], style: _Style) -> Line:
    """Draw the line between two rows: below `above` cores, above the cores of `row`, whose titles it holds."""
    longest = max(above, len(row))
    text = ""
    for column in range(longest + 1):
        up, down = bool(above) and column <= above, bool(row) and column <= len(row)
        text += style.glyphs.crossings[8 * up + 4 * down + 2 * (column > 0) + (column < longest)]
        if column < longest:
            title = f" {style.core_word}{row[column].core} " if column < len(row) else ""
            text += cut(title, style.cell).ljust(style.cell, style.glyphs.across)
    return (Span(text),)


def _grid_row(row: Sequence[CoreBox], style: _Style) -> Iterator[Line]:
    cells = [_core_lines(core, style) for core in row]
    blank = Span(" " * style.cell)
    down = Span(style.glyphs.down)
    for level in range(max(map(len, cells), default=0)):
        line = [down]
        for cell in cells:
            line += [cell[level] if level < len(cell) else blank, down]
        yield tuple(line)


def _core_lines(core: CoreBox, style: _Style) -> list[Span]:
    return [line for cpu in core.cpus for line in _cpu_lines(cpu, style)]


def _cpu_lines(cpu: CPUBox, style: _Style) -> list[Span]:
    inner = style.cell - 2 * style.room
    first, *more = occupant_lines(cpu, style.occupants, blank=style.glyphs.blank_of(cpu))
    texts = [f"{cpu.cpu:>{style.digits}} {first}", *(_continued(words, style, inner) for words in more)]
    return [Span(padded(" " * style.room + text, style.cell), _ink(cpu)) for text in texts]


def _continued(words: str, style: _Style, inner: int) -> str:
    is_long = len(words) > style.occupants
    return cut(words, inner).rjust(inner) if is_long else " " * (style.digits + 1) + words


def _ink(cpu: CPUBox) -> Ink:
    match cpu.state:
        case State.OURS:
            return Ink.SHARED if cpu.is_shared else Ink.VCPU
        case State.HOUSEKEEPING:
            return Ink.HOUSEKEEPING
        case State.SPARE:
            return Ink.SPARE
        case State.OTHERS:
            return Ink.FAINT
        case State.OFFLINE:
            return Ink.BAD if cpu.words else Ink.FAINT


def _missing_lines(picture: Picture, glyphs: _Glyphs, width: int) -> Iterator[Line]:
    """Draw the planned CPUs that are offline, and name the other offline ones."""
    missing = picture.missing
    if missing:
        words = (f"{cpu.cpu} {' '.join(cpu.words) or glyphs.offline}" for cpu in missing)
        texts = wrapped(words, width - 4, joint="  ")
        content = padded_block([(Span(text, Ink.BAD),) for text in texts])
        title = "offline"
        yield from framed(title, widened(content, len(title)), glyphs.cache, room=1, ink=Ink.BAD).lines
    rest = in_state(picture.offline, State.OFFLINE) - CPUSet.of(cpu.cpu for cpu in missing)
    if rest:
        yield from _listing("offline", rest, width, Ink.FAINT, indent=8)


def _node_sums(picture: Picture, glyphs: _Glyphs, width: int) -> list[Block]:
    contents = [padded_block(list(_sum_lines(node, glyphs, width - 4))) for node in picture.nodes]
    return _framed_nodes(picture, contents, glyphs, width, room=1)


def _sum_lines(node: NodeBox, glyphs: _Glyphs, width: int) -> Iterator[Line]:
    cpus = node.cpus
    vcpus = CPUSet.of(vcpu for cpu in cpus for vcpu in cpu.vcpus)
    yield from flowed_spans([_cache_marks(cache, glyphs) for cache in node.caches], width)
    for label, chosen in (
        (counted(len(vcpus), "vCPU"), vcpus),
        ("on CPUs", in_state(cpus, State.OURS)),
        ("housekeeping", in_state(cpus, State.HOUSEKEEPING)),
        ("spare", in_state(cpus, State.SPARE)),
    ):
        if chosen:
            yield from _listing(label, chosen, width, Ink.PLAIN)
    if others := in_state(cpus, State.OTHERS):
        others_label = padded(State.OTHERS, _LABEL)
        yield (Span(f"{others_label}{len(others)} of {counted(len(cpus), 'CPU')}", Ink.FAINT),)


def _cache_marks(cache: CacheBox, glyphs: _Glyphs) -> Line:
    """Return one mark for each core: what most concerns the guest wins."""
    return tuple(_core_mark(core, glyphs) for core in cache.cores)


def _core_mark(core: CoreBox, glyphs: _Glyphs) -> Span:
    """Return the mark of what most concerns the guest among the core's CPUs."""
    states = {cpu.state for cpu in core.cpus}
    if State.HOUSEKEEPING in states:
        return Span(glyphs.housekeeping)
    if State.OURS in states:
        return Span(glyphs.core_full if len(states) == 1 else glyphs.core_part)
    return Span(glyphs.spare) if State.SPARE in states else Span(glyphs.others, Ink.FAINT)


def _listing(label: str, cpus: CPUSet, width: int, ink: Ink, *, indent: int = _LABEL) -> Iterator[Line]:
    """Write a label and a cpulist, broken after commas and cut when it is long, in a column of its own."""
    parts = wrapped_cpulist(str(cpus), width - indent, most_lines=_MOST_LIST_LINES)
    for number, part in enumerate(parts):
        yield (Span(padded("" if number else label, indent), ink), Span(part, ink))


def _box_legend(picture: Picture, glyphs: _Glyphs) -> Iterator[Line]:
    """Explain every mark that occurs, and no other."""
    cpus = picture.cpus
    for sample, meaning, is_there in (
        (Span("v0", Ink.VCPU), "vCPU", any(cpu.vcpus for cpu in cpus)),
        (Span("v0 v1", Ink.SHARED), "vCPUs that share a CPU", any(cpu.is_shared for cpu in cpus)),
        (Span("~0", Ink.HOUSEKEEPING), "shared vCPU", any(cpu.shared for cpu in cpus)),
        (Span("emu", Ink.HOUSEKEEPING), "emulator", any(cpu.emulator for cpu in cpus)),
        (Span("vh", Ink.HOUSEKEEPING), "vhost", any(cpu.vhost for cpu in cpus)),
        (Span("io1", Ink.HOUSEKEEPING), "IOThread", any(cpu.iothreads for cpu in cpus)),
    ):
        if is_there:
            yield (sample, Span(f" {meaning}"))
    for state, meaning in _MEANINGS:
        if cpu := next((cpu for cpu in cpus if cpu.state is state and not cpu.words), None):
            yield (Span(glyphs.blank_of(cpu), _ink(cpu)), Span(f" {meaning}"))


_MEANINGS = (
    (State.OURS, "floating threads"),
    (State.HOUSEKEEPING, "housekeeping"),
    (State.SPARE, "spare"),
    (State.OTHERS, "others'"),
)


def _sum_legend(picture: Picture, glyphs: _Glyphs) -> Iterator[Line]:
    marks = {span.text for node in picture.nodes for cache in node.caches for span in _cache_marks(cache, glyphs)}
    yield (Span("one mark for each core:"),)
    for mark, meaning in (
        (glyphs.core_full, "vCPUs or floating threads only"),
        (glyphs.core_part, "in part"),
        (glyphs.housekeeping, "housekeeping"),
        (glyphs.spare, "spare"),
        (glyphs.others, "others'"),
    ):
        if mark in marks:
            yield (Span(f"{mark} {meaning}"),)


def _note_lines(picture: Picture, width: int) -> Iterator[Line]:
    if picture.floating:
        text = f"floating over the whole cpuset: {', '.join(picture.floating)}"
        for line in wrapped(text.split(), width):
            yield (Span(line),)
