"""The guest's memory under watch: whether its pages lie on the nodes of the vCPUs that use them.

A look is not free: the kernel goes through every page that QEMU has (50 ns each, 13 ms for a GiB of 4 KiB pages on one
machine, next to nothing in huge ones), and holds what QEMU needs to map more memory meanwhile. So looks are rare, the
dearer the rarer, and made outside of the loop.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence

from launcher.host.model import NO_NODE
from launcher.planner.model import Pinning
from launcher.quantity import Quantity
from launcher.supervise.errands import Errands
from launcher.supervise.memory_map import Share, Whereabouts, locate
from launcher.supervise.threads import has_ended

_log = logging.getLogger(__name__)

# In the long run all looks together take this part of one CPU, half of what the threads' watch may: the memory
# of a guest of a few hundred MiB in small pages, or of any size in huge ones, is looked at every minute, the largest
# guests' every hour. The first looks at a guest are closer together: each is twice as far from the last as the last was
# from the one before.
LOOK_SHARE = 0.0001
SHORTEST_INTERVAL_S = 30.0
LONGEST_INTERVAL_S = 3600.0
# The first look is at what the guest has touched while it booted.
FIRST_LOOK_S = 5.0

# QEMU has some hundred mappings, a line each of 60 to 300 bytes; the kernel allows 65,530.
MAX_FILE_BYTES = 16 << 20


class MemoryWatch:
    """Looks at where the guest's pages are, now and then.

    `found` is what the last look found, a new tuple each time that anything is different; `fault` is why nothing was.
    `look_s` is the CPU time that the last look took.
    """

    def __init__(self, pid: int, memory_bytes: int, *, proc: str = "/proc") -> None:
        self.found: tuple[Whereabouts, ...] = ()
        self.fault = ""
        self.look_s = 0.0
        self._pid = pid
        self._folder = f"{proc}/{pid}"
        self._memory_bytes = memory_bytes
        self._at_s = 0.0
        self._looks = 0
        self._is_looking = False

    def look_in_time(self, pinning: Pinning, errands: Errands, now_s: float) -> None:
        """Begin a look where it is time to, without waiting for it."""
        if self._at_s == 0.0:
            self._at_s = now_s + FIRST_LOOK_S
        if self._is_looking or now_s < self._at_s or not shares_of(pinning, self._memory_bytes):
            return
        self._is_looking = True
        self._at_s = now_s + SHORTEST_INTERVAL_S
        try:
            errands.begin("memory", lambda: self._look_aside(pinning))
        except RuntimeError as error:
            self._is_looking = False
            _log.warning("memory: not looked at: %s", error)

    def look(self, pinning: Pinning) -> None:
        """Look now; what is new is logged, and so is that all is well again."""
        shares, began_s = shares_of(pinning, self._memory_bytes), time.thread_time()
        if not shares:
            return
        before = self.found
        try:
            found = locate(shares, self._read("numa_maps"), self._read("maps"))
        except (OSError, ValueError) as error:
            self._doubt(str(error))
            return
        finally:
            self.look_s = time.thread_time() - began_s
        self.fault = ""
        if found != before:
            self.found = found
            _tell(before, found)

    def _look_aside(self, pinning: Pinning) -> None:
        try:
            self.look(pinning)
        finally:
            self._looks += 1
            self._at_s = time.monotonic() + interval_s(self._looks, self.look_s)
            self._is_looking = False

    def _doubt(self, fault: str) -> None:
        if has_ended(self._pid):
            return
        if fault != self.fault:
            _log.warning("memory: not known where it lies: %s", fault)
        self.found, self.fault = (), fault

    def _read(self, name: str) -> bytes:
        """Read a file of QEMU's, in reads as large as the kernel gives, no more than any QEMU's can be."""
        path = f"{self._folder}/{name}"
        parts, size = [], 0
        with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - paths of /proc are text here
            while part := file.read(1 << 16):
                parts.append(part)
                size += len(part)
                if size > MAX_FILE_BYTES:
                    raise ValueError(f"{path}: more than {MAX_FILE_BYTES >> 20} MiB")
        if not size:
            raise ValueError(f"{path}: empty")
        return b"".join(parts)


def interval_s(looks: int, look_s: float) -> float:
    """Return how long to wait after so many looks, of which the last took so much CPU time."""
    most_s = min(max(look_s / LOOK_SHARE, SHORTEST_INTERVAL_S), LONGEST_INTERVAL_S)
    doublings = min(looks - 1, 16)
    return min(SHORTEST_INTERVAL_S * (1 << doublings), most_s)


def shares_of(pinning: Pinning, memory_bytes: int) -> tuple[Share, ...]:
    """Return what of the guest's memory belongs where: its cells', else all of it where its vCPUs are.

    A guest without dedicated CPUs has no place where its memory should be.
    """
    if pinning.cells:
        return tuple(
            Share(cell=cell.cell, node=cell.node if cell.node != NO_NODE else None, memory_bytes=cell.memory_bytes)
            for cell in pinning.cells
        )
    nodes = {pin.node for pin in pinning.vcpus}
    if not nodes:
        return ()
    node = nodes.pop() if len(nodes) == 1 and NO_NODE not in nodes else None
    return (Share(cell=None, node=node, memory_bytes=memory_bytes),)


def misplaced(found: Iterable[Whereabouts]) -> tuple[str, ...]:
    """Name what is not on its node: cell, node, and how many pages are where."""
    return tuple(_misplaced(one) for one in found if one.elsewhere)


def placed(found: Iterable[Whereabouts]) -> str:
    """Say where everything is."""
    return "; ".join(f"{one.share}: {_sizes(one.bytes_on) or 'no page yet'}" for one in found)


def _misplaced(one: Whereabouts) -> str:
    pages = ", ".join(
        f"{size // one.page_bytes} pages of {_size(one.page_bytes)} ({_size(size)}) on node {node}"
        for node, size in one.elsewhere
    )
    return f"{one.share}, which belongs on node {one.share.node}, has {pages}"


def _sizes(bytes_on: Sequence[tuple[int, int]]) -> str:
    return ", ".join(f"{_size(size)} on node {node}" for node, size in bytes_on)


def _size(size_bytes: int) -> str:
    return str(Quantity.of_units(size_bytes, binary=True))


def _tell(before: tuple[Whereabouts, ...], found: tuple[Whereabouts, ...]) -> None:
    was = {one.share for one in before if one.elsewhere}
    for one in found:
        if one.elsewhere and one.share not in was:
            _log.warning("memory: %s", _misplaced(one))
    if was and not misplaced(found):
        _log.info("memory: all of it is where it belongs again")
    elif not before and not misplaced(found):
        _log.info("memory: %s", placed(found))
