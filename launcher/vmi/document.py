"""Reads a manifest's bytes, bounded in size and time, from a file of any kind or from standard input."""

from __future__ import annotations

from launcher.errors import Fault, InvalidVMI
from launcher.files import drain, read_file
from launcher.vmi.fieldpath import show
from launcher.vmi.manifest import Document

# Issue 2's number: more than any VMI needs, less than etcd takes (1.5 MiB).
MAX_BYTES = 1024 * 1024


def read_document(path: str) -> Document:
    """Read the manifest in this file, or on standard input for "-".

    Raises InvalidVMI where it cannot be read, is larger than MAX_BYTES, or is not one YAML mapping.
    """
    source = "standard input" if path == "-" else path
    try:
        data = drain(0, most_bytes=MAX_BYTES, timeout_s=None) if path == "-" else read_file(path, most_bytes=MAX_BYTES)
    except ValueError as error:
        raise _invalid(source, str(error)) from error
    return parse_document(source, data)


def parse_document(source: str, data: bytes) -> Document:
    """Read one YAML (or JSON) mapping from these bytes; raises InvalidVMI, with the line where there is one."""
    # PyYAML takes 15 ms to import; a file that cannot be read is refused without it.
    from launcher.vmi.yamltree import read_trees  # noqa: PLC0415

    try:
        trees = read_trees(_text(data))
    except ValueError as error:
        raise _invalid(source, str(error)) from error
    if not trees:
        raise _invalid(source, "is empty; wanted a VirtualMachineInstance")
    if len(trees) > 1:
        raise _invalid(source, f"line {trees[1].line}: a second document; wanted one VirtualMachineInstance")
    if not isinstance(root := trees[0].value, dict):
        raise _invalid(source, f"line {trees[0].line}: {show(root)} is not a mapping; wanted a VirtualMachineInstance")
    return Document(source=source, root=root)


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: byte {data[error.start]:#04x} is not UTF-8 text") from error


def _invalid(source: str, message: str) -> InvalidVMI:
    return InvalidVMI(source, [Fault("", message)])
