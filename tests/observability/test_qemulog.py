"""QEMU's own words, taken out of libvirt's log of the domain."""

from __future__ import annotations

import pytest

from launcher.observe.qemulog import LAST_LINES, QEMULog

START = (
    "2026-11-22 08:13:02.715+0000: starting up libvirt version: 9.0.0, package: 9.0.0-4, qemu version: 7.2.22",
    "LC_ALL=C \\",
    "/usr/bin/qemu-system-x86_64 \\",
    "-name guest=tests_demo,debug-threads=on \\",
    "-msg timestamp=on",
)
WORDS = ("Domain id=1 is tainted: high-privileges", "terminating on signal 15 from pid 27603")


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def log(told: list[str]) -> QEMULog:
    return QEMULog(told.append)


def take(log: QEMULog, *lines: str) -> None:
    for line in lines:
        log.take(line)


def test_what_qemu_says_is_handed_on_and_the_command_line_is_not(log: QEMULog, told: list[str]) -> None:
    take(log, *START, *WORDS)
    assert (tuple(told), log.last_words) == (WORDS, "\n".join(WORDS))


def test_a_second_start_is_left_out_as_the_first_was(log: QEMULog, told: list[str]) -> None:
    take(log, *START, WORDS[0], *START, WORDS[1])
    assert tuple(told) == WORDS


def test_the_last_words_are_the_last_lines(log: QEMULog) -> None:
    take(log, *(f"line {number}" for number in range(20)))
    assert log.last_words.splitlines() == [f"line {number}" for number in range(20 - LAST_LINES, 20)]


def test_who_said_nothing_has_no_last_words(log: QEMULog) -> None:
    take(log, *START)
    assert log.last_words == ""
