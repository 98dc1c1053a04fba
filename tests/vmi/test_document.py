"""Reading a manifest's bytes: files of every kind, standard input, and what is not one YAML mapping."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from launcher import files
from launcher.errors import ExitStatus, Fault, InvalidVMI
from launcher.vmi.document import MAX_BYTES, parse_document, read_document
from launcher.vmi.manifest import Document

REFUSED = [
    ("nothing", b"", "is empty; wanted a VirtualMachineInstance"),
    ("only_a_comment", b"# nothing\n", "is empty; wanted a VirtualMachineInstance"),
    ("only_a_separator", b"---\n", "is empty; wanted a VirtualMachineInstance"),
    ("a_list", b"\n- a\n", "line 2: a list is not a mapping; wanted a VirtualMachineInstance"),
    ("text", b"demo", "line 1: 'demo' is not a mapping; wanted a VirtualMachineInstance"),
    (
        "two_documents_that_are_no_machines",
        b"kind: Secret\n---\nb: 2\n",
        "holds no VirtualMachineInstance and no VirtualMachine, but 1 Secret, 1 object",
    ),
    ("a_document_of_text", b"kind: Secret\n---\nb\n", "line 3: 'b' is not a mapping; wanted an object"),
    ("latin_1", b"a: 1\nb: \xe9t\xe9\n", "line 2: byte 0xe9 is not UTF-8 text"),
    ("utf_16", "a: 1".encode("utf-16"), "line 1: byte 0xff is not UTF-8 text"),
    ("an_encoded_surrogate", b"a: \xed\xa0\x80", "line 1: byte 0xed is not UTF-8 text"),
    ("an_image", b"QFI\xfb\0\0\0\x03", "line 1: byte 0xfb is not UTF-8 text"),
    ("a_script", b"#!/bin/sh\nset -eu\n", "line 2: 'set -eu' is not a mapping; wanted a VirtualMachineInstance"),
    ("bad_yaml", b"a: [", "line 2, column 1: not YAML: did not find expected node content"),
]


def _refusal(path: str) -> str:
    with pytest.raises(InvalidVMI) as refusal:
        read_document(path)
    assert refusal.value.exit_status is ExitStatus.INVALID_VMI
    return str(refusal.value)


@pytest.fixture
def standard_input() -> Iterator[int]:
    """Put a pipe in the place of standard input; gives the end to write to."""
    saved = os.dup(0)
    reading, writing = os.pipe()
    os.dup2(reading, 0)
    os.close(reading)
    yield writing
    os.dup2(saved, 0)
    os.close(saved)


@pytest.mark.parametrize(("data", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_not_one_yaml_mapping_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(InvalidVMI) as refusal:
        parse_document("vmi.yaml", data)
    assert refusal.value.faults == (Fault("", message),)


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "vmi.yaml"
    file.write_text("kind: x\n")
    assert read_document(str(file)) == Document(source=str(file), root={"kind": "x"})


def test_a_byte_order_mark_is_skipped() -> None:
    assert parse_document("vmi.yaml", b"\xef\xbb\xbfa: 1").root == {"a": 1}


def test_a_dash_is_standard_input(standard_input: int) -> None:
    os.write(standard_input, b"a: 1\n")
    threading.Timer(0.05, os.close, [standard_input]).start()
    assert read_document("-") == Document(source="standard input", root={"a": 1})


def test_standard_input_is_bounded(standard_input: int) -> None:
    writer = threading.Thread(target=_write_all, args=(standard_input, b"#" * (MAX_BYTES + 1)))
    writer.start()
    assert _refusal("-") == "standard input: is larger than 1024 KiB"
    writer.join()


def _write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.close(descriptor)


def test_a_process_substitution_is_read() -> None:
    reading, writing = os.pipe()
    threading.Timer(0.05, _write_all, [writing, b"a: 1\n"]).start()
    try:
        assert read_document(f"/dev/fd/{reading}").root == {"a": 1}
    finally:
        os.close(reading)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert _refusal(f"{tmp_path}/none") == f"{tmp_path}/none: cannot be read: No such file or directory"


def test_a_directory_is_refused(tmp_path: Path) -> None:
    assert _refusal(str(tmp_path)) == f"{tmp_path}: is a directory"


def test_a_name_with_a_nul_is_refused() -> None:
    assert _refusal("a\0b") == "a\0b: cannot be read: its name holds a NUL byte"


def test_a_name_that_no_file_can_have_is_refused() -> None:
    assert _refusal("a\ud800b") == "a\ud800b: cannot be read: its name cannot be a file's"


def test_a_name_that_is_too_long_is_refused() -> None:
    assert _refusal("x" * 300).endswith(": cannot be read: File name too long")


def test_a_socket_is_refused(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{tmp_path}/s")
        assert _refusal(f"{tmp_path}/s") == f"{tmp_path}/s: cannot be read: No such device or address"


def test_a_file_whose_reading_fails_is_refused() -> None:
    assert _refusal("/proc/self/mem") == "/proc/self/mem: cannot be read: Input/output error"


def test_a_file_without_end_is_refused() -> None:
    assert _refusal("/dev/zero") == "/dev/zero: is larger than 1024 KiB"


def test_an_empty_device_is_refused() -> None:
    assert _refusal("/dev/null") == "/dev/null: is empty; wanted a VirtualMachineInstance"


def test_a_named_pipe_without_writer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIPE_TIMEOUT_S", 0.1)
    os.mkfifo(tmp_path / "fifo")
    assert _refusal(f"{tmp_path}/fifo") == f"{tmp_path}/fifo: cannot be read: it did not end within 0.1 s"


def test_a_named_pipe_whose_writer_is_silent_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "PIPE_TIMEOUT_S", 0.1)
    os.mkfifo(tmp_path / "fifo")
    writer = os.open(tmp_path / "fifo", os.O_RDWR)
    try:
        os.write(writer, b"a: 1\n")
        assert _refusal(f"{tmp_path}/fifo") == f"{tmp_path}/fifo: cannot be read: it did not end within 0.1 s"
    finally:
        os.close(writer)


def test_a_file_of_exactly_the_largest_size_is_read(tmp_path: Path) -> None:
    file = tmp_path / "vmi.yaml"
    file.write_bytes(b"a: 1\n#".ljust(MAX_BYTES, b"x"))
    assert read_document(str(file)).root == {"a": 1}


def test_a_file_of_one_byte_more_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "vmi.yaml"
    file.write_bytes(b"a: 1\n#".ljust(MAX_BYTES + 1, b"x"))
    assert _refusal(str(file)) == f"{file}: is larger than 1024 KiB"


def test_nothing_stays_open(tmp_path: Path) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    for path in (str(tmp_path), "/dev/zero", "/dev/null", "/proc/self/mem"):
        _refusal(path)
    assert set(Path("/proc/self/fd").iterdir()) <= before
