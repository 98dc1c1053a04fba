"""The effort of a search: a number of steps instead of a time, so that every machine finds the same."""

from __future__ import annotations

from msgspec import Struct


class TooLong(Exception):
    """A search is longer than its effort."""


class Effort(Struct):
    """How many steps the searches that share this value may still take."""

    steps: int

    def spend(self, steps: int = 1) -> None:
        """Take so many; raises TooLong where there are fewer."""
        if self.steps < steps:
            raise TooLong
        self.steps -= steps

    def charge(self, steps: int) -> None:
        """Take so many that cannot be done without, even where fewer are left."""
        self.steps -= steps
