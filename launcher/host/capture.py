r"""A host as a text that can be reviewed in a diff and replayed elsewhere: one line `path: value` for each file.

Paths are relative to `/`, sorted with numbers by value. A value stands on one line: a backslash is written `\\`, a
newline `\n`, a tab `\t`, any other character that does not print `\x07`, and a byte that is not UTF-8 as its surrogate,
`\udc80`. A path is written likewise, and a colon that would end it `\x3a`. Blank lines and lines that begin with `#`
speak to people.

A capture holds what the readers read and no more: of a file of many lines only those that they use, and of the process
that captured only its affinity, its memory's nodes, the page size (as a process of one page), and the variables that
say whose its CPUs are, which other runs would find the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from msgspec import Struct, field

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.files import read_file
from launcher.host.bounds import read_allowed, read_bounds, read_status_memory_nodes
from launcher.host.cgroup import read_allowed_cpus, read_cpu_quota, read_cpuset_partition
from launcher.host.owners import ENVIRONMENT, told_variables
from launcher.host.pci import read_pci
from launcher.host.sysfs import ARCH, STATM, STATUS, read_host, read_page_bytes
from launcher.host.tree import Tree, natural_key

# A machine of 2,048 CPUs takes some 400 kB, the largest that Linux knows, 8,192 CPUs, four times that.
MAX_CAPTURE_BYTES = 16 << 20

_WRITTEN = {"\\": "\\\\", "\n": "\\n", "\t": "\\t"}
_MEANT = {written: meant for meant, written in _WRITTEN.items()}
_HEXADECIMAL = 16
_TO_ESCAPE = re.compile(r"[\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_ESCAPED = re.compile(r"\\(?:x[0-9a-f]{2}|u[0-9a-f]{4}|.?)")
_COLON = re.compile(r":(?= |$)")
_LINE = re.compile(r"(?P<path>[^\s/](?:.*?[^/])?):(?: (?P<value>.*))?")

# Other lines are nobody's business, or differ from one minute to the next.
_USED_LINES = {
    "proc/self/cgroup": re.compile(r"^\d+:(?:|(?:.*,)?(?:cpu(?:set)?|hugetlb)(?:,.*)?):"),
    "proc/self/mountinfo": re.compile(r" - cgroup2 | - cgroup .*[ ,](?:cpu(?:set)?|hugetlb)(?:,|$)"),
    "meminfo": re.compile(r"\bMemTotal:"),
    # The CPUs, and the interrupts of guests' devices.
    "proc/interrupts": re.compile(r"\bCPU\d|\bvfio-"),
    # Of a PCI device only the windows that it has.
    "resource": re.compile(r"[1-9a-f]", re.ASCII),
}


class CaptureTree(Struct, frozen=True, kw_only=True):
    """The files of a captured host: their texts by path, and the names in each folder."""

    source: str
    files: Mapping[str, str]
    folders: Mapping[str, tuple[str, ...]]

    def read(self, path: str) -> str | None:
        """Return the file's text, None where the capture has no such file."""
        return self.files.get(path)

    def list(self, path: str) -> tuple[str, ...]:
        """Return the names that the capture has in a folder, in natural order."""
        return self.folders.get(path, ())

    def where(self, path: str) -> str:
        """Name the file by the capture and its path there."""
        return f"{self.source}: /{path}"


class _RecordingTree(Struct, frozen=True, kw_only=True):
    """Another tree, and the texts of all files that were read through this one."""

    tree: Tree
    files: dict[str, str] = field(default_factory=dict)

    def read(self, path: str) -> str | None:
        text = self.tree.read(path)
        if text is not None:
            self.files[path] = text
        return text

    def list(self, path: str) -> tuple[str, ...]:
        return self.tree.list(path)

    def where(self, path: str) -> str:
        return self.tree.where(path)


def capture(tree: Tree, affinity: CPUSet, arch: str) -> str:
    """Return the text of a capture: the files that the readers of the host and the control groups read.

    `affinity` is what `sched_getaffinity(0)` says, `arch` what `uname -m` says. A host that the readers refuse is
    captured as far as they came, with what they said as a comment: that is when a capture is needed most.
    """
    from launcher.host.advice import advise  # noqa: PLC0415 - only captures need it, and start-up time counts

    recording = _RecordingTree(tree=tree)
    refusals = [
        *_refusals(lambda: read_host(recording, arch)),
        *_refusals(lambda: read_allowed_cpus(recording, affinity)),
        *_refusals(lambda: read_cpu_quota(recording)),
        *_refusals(lambda: read_bounds(recording)),
        *_refusals(lambda: read_cpuset_partition(recording)),
        *_refusals(lambda: read_pci(recording)),
        *_refusals(lambda: advise(recording, read_host(recording, arch), read_allowed(recording, affinity))),
    ]
    files = recording.files | _process_files(tree, affinity)
    files.setdefault(ARCH, arch)
    lines = [_written_line(path, files[path]) for path in sorted(files, key=natural_key)]
    return "".join(f"{line}\n" for line in (*(f"# {_escape(refusal)}" for refusal in refusals), *lines))


def read_capture(path: Path) -> CaptureTree:
    """Read a captured host from a file; raises HostError where that cannot be read or is no capture."""
    try:
        content = read_file(str(path), most_bytes=MAX_CAPTURE_BYTES)
    except ValueError as error:
        raise HostError(f"{path}: {error}; wanted a captured host") from error
    try:
        return parse_capture(content.decode(), str(path))
    except UnicodeDecodeError as error:
        raise HostError(f"{path}: byte {error.start} is not UTF-8; wanted the text of a captured host") from error


def parse_capture(text: str, source: str) -> CaptureTree:
    """Read the text of a capture; `source` names it in errors.

    Raises HostError that names the line, quotes it and says what was wanted.
    """
    if len(text) > MAX_CAPTURE_BYTES:
        raise HostError(f"{source}: longer than {MAX_CAPTURE_BYTES} bytes; wanted a captured host")
    files: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        path, value = _parse_line(line, f"{source}:{number}")
        if path in files:
            raise HostError(f"{source}:{number}: {path} for the second time; wanted each file once")
        files[path] = value
    if not files:
        raise HostError(f"{source}: no line `path: value`; wanted a captured host")
    return CaptureTree(source=source, files=files, folders=_folders(files))


def _refusals(read: Callable[[], object]) -> tuple[str, ...]:
    try:
        read()
    except HostError as error:
        return (str(error),)
    return ()


def _process_files(tree: Tree, affinity: CPUSet) -> dict[str, str]:
    lines = [f"VmSize:\t{read_page_bytes(tree) >> 10} kB", f"Cpus_allowed_list:\t{affinity}"]
    with suppress(HostError):
        memory_nodes = read_status_memory_nodes(tree)
        lines += [] if memory_nodes is None else [f"Mems_allowed_list:\t{memory_nodes}"]
    told = "\0".join(f"{name}={value}" for name, value in sorted(told_variables(tree).items()))
    return {STATM: "1", STATUS: "\n".join(lines), **({ENVIRONMENT: told} if told else {})}


def _written_line(path: str, text: str) -> str:
    value = _escape(_used_part(path, text))
    written = _COLON.sub(r"\\x3a", _escape(path))
    return f"{written}: {value}" if value else f"{written}:"


def _used_part(path: str, text: str) -> str:
    lines = text.strip("\n").split("\n")
    used = _USED_LINES.get(path) or _USED_LINES.get(path.rpartition("/")[2])
    return "\n".join(line for line in lines if used is None or used.search(line))


def _escape(text: str) -> str:
    return _TO_ESCAPE.sub(lambda match: _escape_character(match[0]), text)


def _escape_character(character: str) -> str:
    code = ord(character)
    return _WRITTEN.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


def _parse_line(line: str, where: str) -> tuple[str, str]:
    match = _LINE.fullmatch(line)
    if match is None:
        raise HostError(f"{where}: {line[:80]!r} is not `path: value` with a path relative to /")
    return _unescape(match["path"], where), _unescape(match["value"] or "", where)


def _unescape(written: str, where: str) -> str:
    return _ESCAPED.sub(lambda match: _meant(match[0], where), written)


def _meant(escape: str, where: str) -> str:
    if len(escape) > 2:
        return chr(int(escape[2:], _HEXADECIMAL))
    if escape not in _MEANT:
        raise HostError(f"{where}: {escape!r} is not an escape; wanted \\\\, \\n, \\t, \\x07 or \\udc80")
    return _MEANT[escape]


def _folders(files: Mapping[str, str]) -> Mapping[str, tuple[str, ...]]:
    folders: dict[str, set[str]] = {}
    for path in files:
        for folder, name in _ancestry(path):
            folders.setdefault(folder, set()).add(name)
    return {folder: tuple(sorted(names, key=natural_key)) for folder, names in folders.items()}


def _ancestry(path: str) -> Iterator[tuple[str, str]]:
    while path:
        folder, _, name = path.rpartition("/")
        yield folder, name
        path = folder
