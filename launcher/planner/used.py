"""What guest cores use of a stock, and what that costs in terms 2 and 3."""

from __future__ import annotations

from typing import NamedTuple

from launcher.planner.optimum.stock import Stock

# Terms 2 and 3 are fields of one number, the price: they add and compare at once.
PRICE_FIELD = 14


class Used(NamedTuple):
    """What is used of a stock: places for whole guest cores, the same beside housekeeping, loose CPUs, the same."""

    whole: int
    whole_beside: int
    loose: int
    loose_beside: int

    def cpus(self, threads: int) -> int:
        """Count the CPUs."""
        return threads * (self.whole + self.whole_beside) + self.loose + self.loose_beside

    def price(self, threads: int) -> int:
        """Return terms 2 and 3 as one number."""
        splits = (self.loose + self.loose_beside) // threads
        return splits << PRICE_FIELD | threads * self.whole_beside + self.loose_beside


def use_of(stock: Stock, guest_cores: int, threads: int) -> Used | None:
    """Use a stock for so many guest cores, what costs least in terms 2 and 3 first; None where it is too small."""
    whole = min(guest_cores, stock.whole)
    beside = min(guest_cores - whole, stock.whole_beside)
    cpus = threads * (guest_cores - whole - beside)
    loose = min(cpus, stock.loose)
    return Used(whole, beside, loose, cpus - loose) if cpus <= stock.looses else None
