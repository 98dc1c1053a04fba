"""Which tests one worker runs, one after the other, where several run at once."""

from __future__ import annotations

from pathlib import PurePath


def scope_of(nodeid: str) -> str:
    """Return the name of what a test of this id belongs to: its folder, its file, or nothing but itself.

    The tests of `host` read what they change, cpusets and mounts; those of `distribution` look at what is built once.
    Of the others each file may have one guest or daemon for several tests; what it changes is its own (a control group
    named for its process, mounts over its folder), or it has a lock (tests/faults/huge_pages.py). Those of `qemu` and
    of the planner have nothing in common, and take the longest.
    """
    path = PurePath(nodeid.partition("::")[0])
    match path.parent.name:
        case "host" | "distribution" as folder:
            return folder
        case "qemu" | "planner":
            return nodeid
        case _:
            return str(path)
