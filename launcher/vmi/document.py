"""Reads a manifest's bytes, bounded in size and time, from a file of any kind or from standard input."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from msgspec.structs import replace

from launcher.errors import Fault, InvalidVMI
from launcher.files import drain, read_file
from launcher.vmi.manifest import Choice, Companion, Document

if TYPE_CHECKING:
    from launcher.vmi.yamltree import Tree

# Issue 2's number: more than any VMI needs, less than etcd takes (1.5 MiB).
MAX_BYTES = 1024 * 1024
_NO_CHOICE = Choice()


def read_document(path: str, choice: Choice = _NO_CHOICE) -> Document:
    """Read the manifest in this file, or on standard input for "-"; of several machines the one that is chosen.

    Raises InvalidVMI where it cannot be read, is larger than MAX_BYTES, or holds no machine, or several.
    """
    document = parse_document(_source(path), _read(path), choice)
    files = {"--instancetype": choice.instancetype, "--preference": choice.preference}
    if all(file is None for file in files.values()):
        return document
    beside = (_beside(option, file) for option, file in files.items() if file is not None)
    return replace(document, companions=(*document.companions, *chain.from_iterable(beside)))


def parse_document(source: str, data: bytes, choice: Choice = _NO_CHOICE) -> Document:
    """Read the machine's mapping out of YAML (or JSON); raises InvalidVMI, with the line where there is one."""
    trees = _trees(source, data)
    if not trees:
        raise _invalid(source, "is empty; wanted a VirtualMachineInstance")
    only = trees[0].value if len(trees) == 1 else None
    if isinstance(only, dict) and choice.name is None and not isinstance(only.get("items"), list):
        return Document(source=source, root=only)
    # Most manifests are one document.
    from launcher.vmi.stream import choose_machine, objects_of  # noqa: PLC0415

    return choose_machine(source, objects_of(source, trees), choice)


def _beside(option: str, path: str) -> tuple[Companion, ...]:
    """Read every object of a file that an option names."""
    from launcher.vmi.stream import objects_of  # noqa: PLC0415 - as above

    source = _source(path)
    objects = objects_of(source, _trees(source, _read(path)))
    if not objects:
        raise _invalid(source, f"is empty; wanted what {option} names")
    return tuple(replace(one, given_as=option) for one in objects)


def _source(path: str) -> str:
    return "standard input" if path == "-" else path


def _read(path: str) -> bytes:
    try:
        return drain(0, most_bytes=MAX_BYTES, timeout_s=None) if path == "-" else read_file(path, most_bytes=MAX_BYTES)
    except ValueError as error:
        raise _invalid(_source(path), str(error)) from error


def _trees(source: str, data: bytes) -> tuple[Tree, ...]:
    # PyYAML takes 15 ms to import; a file that cannot be read is refused without it.
    from launcher.vmi.yamltree import NotYAML, read_trees  # noqa: PLC0415

    try:
        return read_trees(text := _text(data))
    except NotYAML as error:
        # Only for what is refused.
        from launcher.vmi.templates import template_in_lines  # noqa: PLC0415

        raise _invalid(source, template_in_lines(text, error.lines) or str(error)) from error
    except ValueError as error:
        raise _invalid(source, str(error)) from error


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"line {line}: byte {data[error.start]:#04x} is not UTF-8 text") from error


def _invalid(source: str, message: str) -> InvalidVMI:
    return InvalidVMI(source, [Fault("", message)])
