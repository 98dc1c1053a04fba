"""What ends `hack/node` with one line."""

from __future__ import annotations


class NodeError(Exception):
    """The node could not be built, booted or brought to its end; the message says what to change, or what was seen."""


class EmulatorAtFault(NodeError):
    """The node is not up in time, stands still, or its QEMU crashed: none of it is its own doing (hack/README.md)."""
