"""What an admission rule is, and the checks on text that several of them share.

The values of this package are msgspec structures, as the schema's are: defining one takes 10 us, a dataclass 500.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

from msgspec import Struct

from launcher.errors import Fault
from launcher.vmi.fieldpath import item, show
from launcher.vmi.schema import VirtualMachineInstance

_DNS_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
# A name, a tag and a digest without blanks; what it must look like is the container runtime's affair.
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@+-]{0,1023}", re.ASCII)
# Control characters, surrogates and noncharacters: in no XML document, no kernel argument and no sane file name.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_MAX_SUBDOMAIN = 253
# PATH_MAX and NAME_MAX of Linux (include/uapi/linux/limits.h), the first with its final NUL.
_MAX_PATH_BYTES = 4095
_MAX_NAME_BYTES = 255


class Subject(Struct, frozen=True, kw_only=True):
    """A manifest to be admitted, and the architecture of its guest (the kernel's name, such as x86_64)."""

    vmi: VirtualMachineInstance
    arch: str


class Rule(Struct, frozen=True, kw_only=True):
    """One check, and the fields that it reads: where one of those could not be decoded, the rule says nothing."""

    reads: tuple[str, ...]
    check: Callable[[Subject], Iterable[Fault]]


def label_fault(text: str) -> str | None:
    """Say why this is not a DNS label (RFC 1123, as Kubernetes names objects), or None where it is one."""
    if _DNS_LABEL.fullmatch(text):
        return None
    return f"{show(text)} is not a DNS label: 1 to 63 of a-z, 0-9 and -, neither first nor last -"


def subdomain_fault(name: str) -> str | None:
    """Say why this is not a DNS subdomain (RFC 1123, as Kubernetes names most objects), or None where it is one."""
    if len(name) <= _MAX_SUBDOMAIN and all(label_fault(label) is None for label in name.split(".")):
        return None
    return f"{show(name)} is not the name of a Kubernetes object: labels of a-z, 0-9 and -, with dots between them"


def is_image_name(text: str) -> bool:
    """Tell whether this may be the name of a container image."""
    return _IMAGE.fullmatch(text) is not None


def text_fault(text: str) -> str | None:
    """Say which character may not be in a text that reaches libvirt or the guest's kernel, or None."""
    match = _UNPRINTABLE.search(text)
    return None if match is None else f"{show(text)} holds the character {ord(match[0]):#04x}; wanted printable text"


def path_fault(path: str) -> str | None:
    """Say why this is not a path to a file that the launcher opens, or None where it is one."""
    if not path:
        return "'' is not a path"
    if (fault := text_fault(path)) is not None:
        return fault
    parts = path.split("/")
    if ".." in parts:
        return f"{show(path)} holds '..'; wanted a path without it"
    if len(path.encode()) > _MAX_PATH_BYTES or any(len(part.encode()) > _MAX_NAME_BYTES for part in parts):
        return f"{show(path)} is too long: at most {_MAX_PATH_BYTES} bytes, and {_MAX_NAME_BYTES} between slashes"
    return None


def faults_at(path: str, *messages: str | None) -> Iterator[Fault]:
    """Yield a fault at this path for each message that is not None."""
    return (Fault(path, message) for message in messages if message is not None)


def repeated(values: Sequence[object]) -> Iterator[tuple[int, int]]:
    """Yield (index, index of the first) for each value that is not None and was there before."""
    first: dict[object, int] = {}
    for index, value in enumerate(values):
        if value is not None and first.setdefault(value, index) != index:
            yield index, first[value]


def list_name_faults(where: str, names: Sequence[str]) -> Iterator[Fault]:
    """Yield the faults of the names of the items of the list at this path: each is a DNS label, and no other item's."""
    for index, name in enumerate(names):
        yield from faults_at(f"{item(where, index)}.name", label_fault(name))
    for index, first in repeated(names):
        yield Fault(f"{item(where, index)}.name", f"{show(names[index])} is the name of {item(where, first)}, too")
