"""The launcher's own memory: what the start needed and the long watch does not is given back to the kernel."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

_M_ARENA_MAX = -8  # malloc.h (glibc)
_MADV_DONTNEED = 4  # asm-generic/mman-common.h
_SMAPS = Path("/proc/self/smaps")


def use_one_arena() -> None:
    """Have all threads share one heap; call before they start.

    glibc gives each of the first threads a heap of its own: megabytes here, and nothing is the faster for it
    (mallopt(3)).
    Elsewhere than with glibc this does nothing.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Collect what is garbage, let go of the files' pages, and return free memory to the kernel (malloc_trim(3)).

    Call once the guest runs.
    """
    gc.collect()
    gc.freeze()
    libc = ctypes.CDLL(None)
    with suppress(OSError), _SMAPS.open() as smaps:
        for start, length in file_pages(smaps):
            # What fails leaves the pages where they are.
            libc.madvise(ctypes.c_void_p(start), ctypes.c_size_t(length), _MADV_DONTNEED)
    trim = getattr(libc, "malloc_trim", None)
    if trim is not None:
        trim(0)


def file_pages(smaps: Iterable[str]) -> Iterator[tuple[int, int]]:
    """List where pages of files are mapped that nobody has written to: start and length in bytes (proc(5), smaps).

    Two thirds of what a launcher has resident is program code, most of it libvirt's and its libraries' for the start.
    Such pages come back from the page cache as they are used (madvise(2)). What was written to a mapping, such as
    addresses by the dynamic linker before it was made read-only, is anonymous memory, and would be lost.
    """
    start = length = 0
    for line in smaps:
        field, _, value = line.partition(" ")
        if field == "Anonymous:":
            if length and value.split() == ["0", "kB"]:
                yield start, length
        elif not field.endswith(":"):
            permissions, _offset, _device, _inode, *names = value.split(maxsplit=4)
            begin, end = (int(address, 16) for address in field.split("-"))
            is_clean = permissions[1] == "-" and permissions[3] == "p" and bool(names) and names[0].startswith("/")
            start, length = begin, end - begin if is_clean else 0
