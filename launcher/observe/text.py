"""Text for a terminal: foreign characters made harmless, columns counted, lines cut, wrapped and painted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from enum import StrEnum

# ECMA-48: a control sequence (CSI ... final byte), an operating system command (OSC ... BEL or ST), or a short escape.
_ESCAPE = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[ -/]*[0-Z\\^-~]")
# What takes a column each beside ASCII: Latin letters, and what pictures are drawn with (box drawings, blocks,
# geometric shapes up to the first wide ones, a ballot x).
_NARROW = re.compile("[ -~\u00a0-\u02ff\u2500-\u25fc\u2717]*")
_TAB_COLUMNS = 8
_CUT = "..."


class Ink(StrEnum):
    """How a piece of text is painted: the parameters of ECMA-48's "select graphic rendition".

    Only the sixteen colours that every terminal has, and none of the pairs that colour-blind people mix up: the pairs
    that matter (blue, yellow) differ in lightness, too.
    """

    PLAIN = ""
    BOLD = "1"
    FAINT = "2"
    VCPU = "97;44"
    HOUSEKEEPING = "30;43"
    SHARED = "97;41"
    SPARE = "1;4"
    GOOD = "32"
    BAD = "1;31"
    WARNING = "33"


def painted(text: str, ink: Ink, *, colour: bool) -> str:
    """Wrap the text into its escape sequences; return it as it is without colour."""
    return f"\x1b[{ink}m{text}\x1b[0m" if colour and ink and text else text


def printable(text: str) -> str:
    r"""Write every character that could steer a terminal or deceive a reader as an escape such as \x1b.

    That is all of Unicode's category C (controls, direction overrides, lone surrogates, unassigned) and the line and
    paragraph separators. Thread names come from the kernel and may hold any byte (prctl(2), PR_SET_NAME).
    """
    return text if text.isascii() and text.isprintable() else "".join(map(_harmless, text))


def console_line(text: str) -> str:
    """Make one line of the guest's console fit to be shown: colours and cursor movements dropped, the rest printable.

    What a carriage return overwrote stays, after a space; tabs become spaces up to the next multiple of eight columns.
    """
    plain = _ESCAPE.sub("", text.rstrip("\r\n")).expandtabs(_TAB_COLUMNS)
    return printable(plain.strip("\r").replace("\r", " "))


def columns(text: str) -> int:
    """Count the columns that this text takes: two for wide East Asian characters, none for combining ones."""
    return len(text) if text.isascii() or _NARROW.fullmatch(text) else sum(map(_columns_of, text))


def cut(text: str, width: int) -> str:
    """Shorten the text to at most so many columns; three full stops tell that something is missing."""
    if columns(text) <= width:
        return text
    mark = _CUT[: max(width, 0)]
    kept = text
    while columns(kept) + len(mark) > width and kept:
        kept = kept[:-1]
    return kept + mark


def padded(text: str, width: int) -> str:
    """Cut or fill the text with spaces to exactly so many columns."""
    shown = cut(text, width)
    return shown + " " * (width - columns(shown))


def wrapped(words: Iterable[str], width: int, *, joint: str = " ") -> tuple[str, ...]:
    """Join the words into lines of at most so many columns; a word that is longer than a line is cut."""
    lines: list[str] = []
    for word in words:
        longer = f"{lines[-1]}{joint}{word}" if lines else word
        if lines and columns(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(cut(word, width))
    return tuple(lines)


def wrapped_cpulist(cpulist: str, width: int, *, most_lines: int | None = None) -> tuple[str, ...]:
    """Break a cpulist after commas into lines of at most so many columns; an empty list is one empty line.

    A range that is wider than a line is broken after its dash. What does not fit into `most_lines` is left out; three
    full stops tell so.
    """
    room = width - (len(_CUT) if most_lines else 0)
    lines = wrapped(_pieces(cpulist, room), room, joint="") or ("",)
    if most_lines is None or len(lines) <= most_lines:
        return lines
    return (*lines[: most_lines - 1], lines[most_lines - 1] + _CUT)


def _pieces(cpulist: str, width: int) -> Iterator[str]:
    for part in re.findall("[^,]+,?", cpulist):
        yield from (part,) if len(part) <= width else re.findall("[^-]+-?", part)


def counted(number: int, noun: str) -> str:
    """Return "1 core", "2 cores": the number and the noun that goes with it."""
    return f"{number} {noun if number == 1 else noun + 's'}"


def bytes_in_words(number: int) -> str:
    """Return a number of bytes in the largest binary unit that leaves at least 1: "16 GiB", "1.5 GiB"."""
    for power, unit in ((40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")):
        if number >= 1 << power:
            return f"{number / (1 << power):.1f}".removesuffix(".0") + f" {unit}"
    return f"{number} bytes"


def _harmless(character: str) -> str:
    category = unicodedata.category(character)
    if category[0] != "C" and category not in {"Zl", "Zp"}:
        return character
    return (
        character.encode("ascii", "backslashreplace").decode() if ord(character) > 127 else f"\\x{ord(character):02x}"
    )


def _columns_of(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in {"W", "F"} else 1
