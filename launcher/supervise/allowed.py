"""The cpuset under watch: glanced at often, read through only when its file says something new."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Protocol

from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.errors import HostError
from launcher.host.bounds import read_allowed
from launcher.host.cgroup import GROUPS, find_cpuset
from launcher.host.model import ONLINE, AllowedCPUs
from launcher.host.tree import Tree, read_cpus

# A process may be moved to another control group, which changes the file to look at; that is rare, and so many looks
# later is soon enough.
LOOKS_BETWEEN_GROUPS = 3
# Mounts and controllers that come or go change it too. That is rarer still, and to find the file takes thirty times as
# long as to read it.
LOOKS_BETWEEN_SEARCHES = 24


class OpenableTree(Tree, Protocol):
    """The files of a machine that runs, which can be kept open."""

    def open(self, path: str) -> int:
        """Open a file for reading and return its descriptor; raises OSError."""


class AllowedReader:
    """Reads the CPUs that may be used again and again; between two looks a glance tells whether one is needed.

    Polling, because the kernel tells nobody of a changed cpuset (no inotify event comes from `cpuset.cpus.effective`).

    An affinity that was narrower than the cpuset from the beginning, as by taskset, bounds it for good. One that
    covered the cpuset says nothing of its own: it is the cpuset's, which the kernel changes, and the launcher confines
    itself later on.
    """

    def __init__(self, tree: OpenableTree, affinity: CPUSet) -> None:
        """Watch this machine; `affinity` is what the launcher may use itself, before it confines itself."""
        self._tree = tree
        self._affinity = affinity
        self._looks = 0
        self._groups: str | None = None
        self._path: str | None = None
        self._text: str | None = None
        # The file that is glanced at, kept open, and what it said: through its path a glance costs three times as much.
        self._file: int | None = None
        self._said = b""
        self._allowed: AllowedCPUs | None = None
        self._had_cpuset = find_cpuset(tree) is not None
        self._follows_cpuset = self._had_cpuset and self._read_cpuset().cpus <= affinity

    def has_changed(self) -> bool:
        """Tell by one read whether the file says anything else than at the last look; what cannot be read does."""
        if self._file is None:
            return True
        try:
            return os.pread(self._file, len(self._said) + 1, 0) != self._said
        except OSError:
            return True

    def read(self) -> AllowedCPUs:
        """Return the CPUs that may be used now; raises HostError as `read_allowed` does."""
        self._find()
        text = self._tree.read(self._path or ONLINE)
        if self._had_cpuset and (text is None or self._path is None):
            self._path = None
            raise HostError("the container's control group cannot be found: its file system, or /proc, is gone")
        if self._allowed is None or text != self._text:
            self._allowed = self._read_cpuset() if self._follows_cpuset else self._read_bounded()
            # It may have changed between the two readings: then both are repeated at the next look.
            is_the_same = not text or self._allowed.cpus == self._bounded(CPUSet.parse(text.strip()))
            self._text = text if is_the_same else ""
            self._said = os.fsencode(self._text or "")
        return self._allowed

    def close(self) -> None:
        """Close the file that is glanced at."""
        if self._file is not None:
            os.close(self._file)
        self._file = None

    def _find(self) -> None:
        """Find the file to look at where it may be another one by now, and open it for glances."""
        if self._may_be_another():
            self._path = find_cpuset(self._tree)
            self.close()
        self._looks += 1
        if self._file is None:
            with suppress(OSError):
                self._file = self._tree.open(self._path or ONLINE)

    def _may_be_another(self) -> bool:
        """Tell whether the file is to be found: where it was lost, the groups are others, or it is time to."""
        before = self._groups
        if self._looks % LOOKS_BETWEEN_GROUPS == 0:
            self._groups = self._tree.read(GROUPS)
        is_lost = self._had_cpuset and self._path is None
        return is_lost or self._groups != before or self._looks % LOOKS_BETWEEN_SEARCHES == 0

    def _bounded(self, cpus: CPUSet) -> CPUSet:
        return cpus if self._follows_cpuset else cpus & self._affinity

    def _read_cpuset(self) -> AllowedCPUs:
        # Compared with every CPU there is, the cpuset counts alone, and that the two differ is nothing to warn of.
        return replace(read_allowed(self._tree, self._online()), warnings=())

    def _read_bounded(self) -> AllowedCPUs:
        return read_allowed(self._tree, self._affinity & self._online())

    def _online(self) -> CPUSet:
        return read_cpus(self._tree, ONLINE) or self._affinity
