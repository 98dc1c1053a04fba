"""Processes and their threads as /proc shows them, not the launcher's own way; what ends meanwhile is left out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

# Run as root in a mount namespace, it lets every user reach the checkout, wherever that lies.
OPEN_CHECKOUT = Path(__file__).parent / "open-checkout"

T = TypeVar("T")

PROC = Path("/proc")


def threads_by_name(pid: int) -> dict[str, int]:
    """Return the thread ids by name; QEMU's first thread, after which others are named, too, is called main."""
    named = _of_each_thread(pid, lambda task: ((task / "comm").read_text().strip(), int(task.name)))
    return {**dict(named), "main": pid}


def allowed_by_name(pid: int) -> dict[str, str]:
    """Return the CPUs of each thread by its name, read from /proc/<pid>/task/*/status."""
    fields = _of_each_thread(pid, lambda task: fields_of(task / "status"))
    return {thread["Name"]: thread["Cpus_allowed_list"] for thread in fields}


def affinities_of(pid: int) -> dict[int, tuple[int, ...]]:
    """Return the CPUs, ascending, on which each thread of a process may run, by the threads' ids."""
    tids = _of_each_thread(pid, lambda task: (int(task.name), os.sched_getaffinity(int(task.name))))
    return {tid: tuple(sorted(cpus)) for tid, cpus in tids}


def children_of(pid: int) -> list[int]:
    """Return the processes that a process has begun or was left with, zombies among them."""
    words = " ".join(_of_each_thread(pid, lambda task: (task / "children").read_text()))
    return [int(word) for word in words.split()]


def daemons_of(root: Path, name: str) -> list[int]:
    """Return the processes of this program, whatever its suffix, whose command line names something below this root."""
    found = []
    for entry in PROC.glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        program = Path(os.fsdecode(command.partition(b"\0")[0])).name
        if program.partition(".")[0] == name and os.fsencode(root) in command:
            found.append(int(entry.name))
    return found


def fields_of(status: Path) -> dict[str, str]:
    """Return a file /proc/<pid>/status by its names."""
    return dict(line.split(":\t", 1) for line in status.read_text().splitlines() if ":\t" in line)


def is_running(pid: int) -> bool:
    """Tell whether the process is there and no zombie."""
    return state_of(pid) not in ("", "Z")


def state_of(pid: int) -> str:
    """Return the letter of a process's state (proc_pid_stat(5)), none once it is gone."""
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _of_each_thread(pid: int, read: Callable[[Path], T]) -> list[T]:
    found = []
    for task in sorted((PROC / str(pid) / "task").iterdir()):
        try:
            found.append(read(task))
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found
