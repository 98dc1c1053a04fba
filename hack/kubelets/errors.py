"""What keeps a real Kubernetes from being built or brought up."""

from __future__ import annotations


class GoError(Exception):
    """Go is not there, is too old, or does not build what it is told; the message is one line for a person."""
