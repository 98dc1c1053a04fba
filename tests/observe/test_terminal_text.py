"""Text for a terminal: what is made harmless, how it is measured, cut and broken."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.cpuset import CPUSet
from launcher.observe import text as texts
from launcher.observe.text import (
    Ink,
    bytes_in_words,
    columns,
    console_line,
    counted,
    cut,
    padded,
    painted,
    printable,
    wrapped,
    wrapped_cpulist,
)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("CPU 0/KVM", "CPU 0/KVM", id="a thread's name stays"),
        pytest.param("gäst 数", "gäst 数", id="letters of every language stay"),
        pytest.param("a\x1b[2Jb", r"a\x1b[2Jb", id="an escape sequence is written out"),
        pytest.param("a\nb\tc\x7f", r"a\x0ab\x09c\x7f", id="line ends, tabs and delete are written out"),
        pytest.param("\x9b31m", r"\x9b31m", id="the one-character CSI is written out"),
        pytest.param("a\u202eb", r"a\u202eb", id="a direction override is written out"),
        pytest.param("a\u2028b", r"a\u2028b", id="a line separator is written out"),
        pytest.param("\udc80", r"\udc80", id="a byte that is no UTF-8 is written out"),
    ],
)
def test_printable_text_cannot_steer_a_terminal(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_printable_text_holds_no_control_character(text: str) -> None:
    assert not any(unicodedata.category(c)[0] == "C" for c in printable(text) + console_line(text))


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        pytest.param("login: \r\n", "login: ", id="the line's end is dropped"),
        pytest.param("[\x1b[0;32m  OK  \x1b[0m] up", "[  OK  ] up", id="colours are dropped"),
        pytest.param("\x1b]0;title\x07\x1b7\x1b(Bx\x1b[?25l", "x", id="titles and cursor commands are dropped"),
        pytest.param("1%\r50%\r100%", "1% 50% 100%", id="what a carriage return overwrote stays"),
        pytest.param("a\tb", "a       b", id="a tab goes to the next eighth column"),
        pytest.param("a\x1b", r"a\x1b", id="a cut-off sequence is written out"),
        pytest.param("\x00\x08", r"\x00\x08", id="other controls are written out"),
    ],
)
def test_console_lines_keep_their_text_only(line: str, shown: str) -> None:
    assert console_line(line) == shown


@pytest.mark.parametrize(
    ("text", "width"),
    [
        pytest.param("abc", 3, id="ascii"),
        pytest.param("数a", 3, id="a wide character takes two"),
        pytest.param("e\u0301", 1, id="a combining one takes none"),
        pytest.param("┌─ 7 ╿", 6, id="what boxes are drawn with takes one"),
        pytest.param("│数│", 4, id="a wide character in a box takes two"),
    ],
)
def test_columns_are_those_of_a_terminal(text: str, width: int) -> None:
    assert columns(text) == width


def test_what_is_counted_at_once_is_counted_as_its_characters_are() -> None:
    for character in map(chr, range(0x20, 0x10000)):
        assert columns(character) == texts._columns_of(character), ascii(character)


@given(text=st.text(), width=st.integers(0, 30))
def test_cut_and_padded_text_has_the_width(text: str, width: int) -> None:
    shown = printable(text)
    assert columns(cut(shown, width)) <= width
    assert columns(padded(shown, width)) == width


def test_cut_text_says_so() -> None:
    assert (cut("abcdef", 5), cut("abcdef", 6), cut("abcdef", 2)) == ("ab...", "abcdef", "..")


def test_words_are_broken_into_lines() -> None:
    assert wrapped(["a", "bb", "ccc", "dddddd"], 5) == ("a bb", "ccc", "dd...")
    assert wrapped([], 5) == ()


@given(cpus=st.sets(st.integers(0, 500)).map(CPUSet.of), width=st.integers(6, 40))
def test_broken_cpulist_is_still_the_same_set(cpus: CPUSet, width: int) -> None:
    lines = wrapped_cpulist(str(cpus), width)
    assert "".join(lines) == str(cpus)
    assert max(map(len, lines)) <= width


def test_long_cpulist_is_cut_with_a_mark() -> None:
    assert wrapped_cpulist("0-1,10-11,20-21,30-31", 12, most_lines=1) == ("0-1,...",)
    assert wrapped_cpulist("0-1,10-11", 12, most_lines=1) == ("0-1,10-11",)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        pytest.param(512, "512 bytes", id="bytes"),
        pytest.param(1 << 30, "1 GiB", id="a whole unit"),
        pytest.param(3 << 29, "1.5 GiB", id="half a unit"),
        pytest.param(5 << 40, "5 TiB", id="the largest unit"),
    ],
)
def test_bytes_are_told_in_binary_units(number: int, words: str) -> None:
    assert bytes_in_words(number) == words


def test_counted_nouns_agree_with_the_number() -> None:
    assert (counted(1, "CPU"), counted(0, "CPU"), counted(2, "cache")) == ("1 CPU", "0 CPUs", "2 caches")


def test_text_is_painted_only_in_colour() -> None:
    assert painted("x", Ink.BAD, colour=True) == "\x1b[1;31mx\x1b[0m"
    assert (painted("x", Ink.BAD, colour=False), painted("x", Ink.PLAIN, colour=True)) == ("x", "x")
