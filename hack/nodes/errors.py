"""What ends `hack/node` with one line."""

from __future__ import annotations


class NodeError(Exception):
    """The node could not be built, booted or brought to its end; the message says what to change, or what was seen."""


class NodeStoodStill(NodeError):
    """The node was not up in time, or stands still; QEMU before 8.1 has a reason of its own (hack/README.md)."""
