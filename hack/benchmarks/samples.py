"""Samples of one quantity: their median and their spread, and the ratio of two that were taken in turns."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What was measured, in the order in which it was measured; at least one value."""

    values: tuple[float, ...]

    def __post_init__(self) -> None:
        """Refuse an empty measurement: it has no median."""
        if not self.values:
            raise ValueError("nothing was measured")

    @property
    def median(self) -> float:
        """The value in the middle, which one disturbed repetition does not move."""
        return median(self.values)

    @property
    def least(self) -> float:
        """The smallest value."""
        return min(self.values)

    @property
    def most(self) -> float:
        """The largest value."""
        return max(self.values)

    def times(self, factor: float) -> Samples:
        """Return the same samples in another unit."""
        return Samples(values=tuple(factor * value for value in self.values))


def ratio(numerator: Samples, denominator: Samples) -> Samples:
    """Divide pair by pair, each pair taken in the same turn: what slows the machine down slows both of a pair.

    Raises ValueError where they are not as many.
    """
    pairs = zip(numerator.values, denominator.values, strict=True)
    return Samples(values=tuple(above / below for above, below in pairs))
