"""The life of a machine: what tells it from the next one of the same name and UUID."""

from __future__ import annotations

from msgspec import Struct


class Life(Struct, frozen=True, kw_only=True):
    """One life of a machine: a manifest may name the UUID, so that the next machine has the same one.

    `number` is libvirt's id of an active domain, which no other life behind the same driver has; -1 is that of one
    that has ended, and says nothing of which.
    """

    uuid: str
    number: int

    @property
    def is_over(self) -> bool:
        """Tell whether the number was taken away already, as in the event of a domain that somebody has destroyed."""
        return self.number < 0
