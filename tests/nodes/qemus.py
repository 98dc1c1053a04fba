"""A program in QEMU's place."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

# Puts a shell script there; its first argument is the descriptor of the output, its second the file of the status.
QEMU: TypeAlias = Callable[[str], None]
