"""The launcher's own memory: what the start needed and the long watch does not is given back to the kernel."""

from __future__ import annotations

import ctypes
import gc
import mmap
from contextlib import suppress

_PT_LOAD, _PF_W = 1, 2  # elf.h


class _Segment(ctypes.Structure):
    """Elf64_Phdr (elf(5)); what runs guests has 64 bits."""

    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("physical_address", ctypes.c_uint64),
        ("file_size", ctypes.c_uint64),
        ("memory_size", ctypes.c_uint64),
        ("alignment", ctypes.c_uint64),
    )


class _Object(ctypes.Structure):
    """The beginning of struct dl_phdr_info (dl_iterate_phdr(3))."""

    _fields_ = (
        ("base", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("segments", ctypes.POINTER(_Segment)),
        ("segment_count", ctypes.c_uint16),
    )


def give_back() -> None:
    """Collect what is garbage, return free memory to the kernel (malloc_trim(3)), and let go of program code.

    Call once the guest runs.
    """
    gc.collect()
    gc.freeze()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    # Where no callback can be made for C, the code stays.
    with suppress(MemoryError, OSError, AttributeError):
        let_go_of_code()


def let_go_of_code() -> None:
    """Unmap the pages of the program's and its libraries' files; they come back from the page cache as they are used.

    They are two thirds of what a launcher has resident, most of it libvirt's and its libraries' for the start. These
    are the segments that a file says nobody writes to: of others some pages differ from the file's, such as addresses
    filled in by the dynamic linker, and would be lost (madvise(2), MADV_DONTNEED).
    """
    # Python's lock is kept, and within the callback the linker's: no library comes or goes meanwhile, and nobody who
    # has the one waits for the other.
    libc = ctypes.PyDLL(None)

    def unmap(info: ctypes._Pointer[_Object], _size: int, _data: int | None) -> int:
        code = info.contents
        # The program itself has no name, the kernel's own code no path.
        if not code.name or code.name.startswith(b"/"):
            for segment in code.segments[: code.segment_count]:
                if segment.type == _PT_LOAD and not segment.flags & _PF_W:
                    start = code.base + segment.address
                    inside = start % mmap.PAGESIZE
                    length = ctypes.c_size_t(segment.memory_size + inside)
                    # What fails leaves the pages where they are.
                    libc.madvise(ctypes.c_void_p(start - inside), length, mmap.MADV_DONTNEED)
        return 0

    callback = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.POINTER(_Object), ctypes.c_size_t, ctypes.c_void_p)
    libc.dl_iterate_phdr(callback(unmap), None)
