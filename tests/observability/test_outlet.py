"""The way out: whole and in order for whoever reads, and nobody's hindrance where nobody does."""

from __future__ import annotations

import fcntl
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher.observe.logs import LogFormat, dropped_notice
from launcher.observe.outlet import Outlet

LINE = b"line %05d\n"
LINE_BYTES = len(LINE % 0)
PIPE_BYTES = 4096


class Pipe:
    """A small pipe and the end of it that is read when the test likes."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def read_until(self, last: bytes) -> bytes:
        found = b""
        while not found.endswith(last):
            chunk = os.read(self.reader, 65536)
            assert chunk
            found += chunk
        return found

    def close_reader(self) -> None:
        os.close(self.reader)
        self.reader = -1

    def close(self) -> None:
        os.close(self.writer)
        if self.reader >= 0:
            os.close(self.reader)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.close()


def test_all_that_is_put_is_written_in_order(pipe: Pipe) -> None:
    outlet = Outlet([pipe.writer])
    for number in range(2000):
        outlet.put(pipe.writer, LINE % number)
    assert pipe.read_until(LINE % 1999) == b"".join(LINE % number for number in range(2000))
    assert outlet.flush()


def test_the_order_between_two_streams_of_one_reader_is_kept(pipe: Pipe) -> None:
    second = os.dup(pipe.writer)
    outlet = Outlet([pipe.writer, second])
    for number in range(1000):
        outlet.put((pipe.writer, second)[number % 2], LINE % number)
    assert pipe.read_until(LINE % 999) == b"".join(LINE % number for number in range(1000))
    os.close(second)


def test_a_piece_larger_than_the_pipe_and_than_what_may_wait_comes_whole(pipe: Pipe) -> None:
    outlet = Outlet([pipe.writer], most_bytes=100)
    outlet.put(pipe.writer, b"x" * 50_000 + b"\n")
    assert pipe.read_until(b"\n") == b"x" * 50_000 + b"\n"


def test_what_nobody_reads_holds_nobody_up_and_is_counted_when_somebody_does(pipe: Pipe) -> None:
    outlet = Outlet([pipe.writer], most_bytes=100 * LINE_BYTES)
    for number in range(5000):
        outlet.put(pipe.writer, LINE % number)
    assert not outlet.flush(0.1)
    text = pipe.read_until(LINE % 4999).decode()
    told = [int(number) for number in re.findall(r"virt-launcher: (\d+) lines dropped: nobody read them\n", text)]
    shown = [int(number) for number in re.findall(r"^line (\d+)$", text, re.MULTILINE)]
    assert told, "what is missing is told"
    assert len(shown) + sum(told) == 5000
    assert shown == sorted(shown)
    assert shown[-100:] == list(range(4900, 5000)), "the last words are kept"
    assert outlet.flush()


@pytest.mark.parametrize("log_format", [LogFormat.JSON, LogFormat.TEXT])
def test_what_is_missing_of_the_log_is_told_in_a_line_of_the_log(pipe: Pipe, log_format: LogFormat) -> None:
    outlet = Outlet([pipe.writer], most_bytes=LINE_BYTES)
    outlet.tell_dropped_as(pipe.writer, dropped_notice(log_format))
    for number in range(2000):
        outlet.put(pipe.writer, LINE % number)
    told = [line for line in pipe.read_until(LINE % 1999).decode().splitlines() if not line.startswith("line ")]
    assert told
    for line in told:
        if log_format is LogFormat.JSON:
            record = json.loads(line)
            assert (record["level"], record["event"]) == ("warning", "dropped")
            assert re.fullmatch(r"\d+ lines that nobody read", record["message"])
        else:
            assert re.search(r" WARNING dropped: \d+ lines that nobody read$", line)


def test_one_stream_that_nobody_reads_does_not_hold_up_the_other(pipe: Pipe, other: Pipe) -> None:
    outlet = Outlet([pipe.writer, other.writer])
    for number in range(1000):
        outlet.put(pipe.writer, LINE % number)
    outlet.put(other.writer, b"drifted\n")
    assert other.read_until(b"\n") == b"drifted\n"
    pipe.read_until(LINE % 999)


def test_who_waits_for_room_loses_nothing_to_a_slow_reader(pipe: Pipe) -> None:
    outlet = Outlet([pipe.writer], most_bytes=10 * LINE_BYTES)

    def write_all() -> None:
        for number in range(3000):
            outlet.wait_for_room(pipe.writer)
            outlet.put(pipe.writer, LINE % number)

    writer = threading.Thread(target=write_all, daemon=True)
    writer.start()
    assert pipe.read_until(LINE % 2999) == b"".join(LINE % number for number in range(3000))
    writer.join()


def test_a_reader_that_is_gone_is_no_error_and_no_hindrance(pipe: Pipe, other: Pipe) -> None:
    pipe.close_reader()
    outlet = Outlet([pipe.writer, other.writer])
    outlet.put(pipe.writer, b"nobody hears this\n")
    outlet.put(other.writer, b"but this\n")
    assert other.read_until(b"\n") == b"but this\n"
    assert outlet.flush()


def test_a_full_disk_is_told_of_once_there_is_room(pipe: Pipe) -> None:
    target = os.open("/dev/full", os.O_WRONLY)
    outlet = Outlet([target])
    outlet.put(target, b"lost\n")
    assert outlet.flush()
    outlet.put(target, b"lost, too\n")
    assert outlet.flush()
    os.dup2(pipe.writer, target)
    outlet.put(target, b"found\n")
    assert pipe.read_until(b"found\n") == b"virt-launcher: 2 lines dropped: nobody read them\nfound\n"
    os.close(target)


def test_with_nothing_to_say_its_thread_sleeps(pipe: Pipe) -> None:
    tasks = Path("/proc/self/task")
    before = set(tasks.iterdir())
    outlet = Outlet([pipe.writer])
    outlet.put(pipe.writer, b"said\n")
    assert outlet.flush()
    (own,) = set(tasks.iterdir()) - before

    def turns() -> list[str]:
        return [line for line in (own / "status").read_text().splitlines() if "ctxt_switches" in line]

    pipe.read_until(b"said\n")
    # On a busy machine it may be a while before it sleeps; one that never does turns without end.
    looks = [turns()]
    while len(looks) < 2 or (looks[-1] != looks[-2] and len(looks) < 60):
        threading.Event().wait(0.5)
        looks.append(turns())
    assert looks[-1] == looks[-2]


CRASH = """
import threading
from launcher.observe.logs import LogFormat, dropped_notice
from launcher.observe.outlet import take_over_streams

take_over_streams()
print("planned")
thread = threading.Thread(target=lambda: 1 // 0)
thread.start()
thread.join()
raise RuntimeError("a bug")
"""


def test_the_last_words_of_a_crash_come_after_all_that_was_said_before() -> None:
    result = subprocess.run(
        [sys.executable, "-c", CRASH], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    assert result.returncode == 1
    words = ["planned\n", "ZeroDivisionError", "RuntimeError: a bug\n"]
    assert sorted(words, key=result.stdout.index) == words
    assert result.stdout.endswith("RuntimeError: a bug\n")
