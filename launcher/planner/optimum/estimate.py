"""Fewer crossings than this there cannot be: what each item costs at least, and what slack can save of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil

from msgspec import Struct

# An item's part of the crossings of a group of n is (n - 1) / n; in the fractions of the least sizes of groups.
_ROUNDING = 1e-9


class Estimate(Struct, frozen=True, kw_only=True):
    """For each item its crossings in a group without waste; and savings (efficiency, item, saved, waste) descending."""

    socket: int
    extra: int
    # (CPUs at most, item), the largest first.
    highs: Sequence[tuple[int, int]]
    base: Sequence[float]
    savings: Sequence[tuple[float, int, float, float]]

    @staticmethod
    def of(sizes: Sequence[tuple[int, int]], socket: int, slack: int, extra: int, most: int) -> Estimate:
        """Weigh items that must and may hold so many CPUs, and `extra` more each, `most` in all."""
        base, savings = [], []
        highs = sorted((high for _, high in sizes), reverse=True)
        remainders = sorted({high % socket for high in highs})
        counts = {rest: sum(high % socket == rest for high in highs) for rest in remainders}
        for index, (low, high) in enumerate(sizes):
            count = _least_size(high, highs, socket, extra)
            part = (max(3, count) - 1) / max(3, count)
            base.append(part)
            alone = _waste(high, socket, min(extra, most)) if high + extra >= socket else high if not low else None
            paired = _pair_waste(high, remainders, counts, socket, min(2 * extra, most)) if count <= 2 else None
            savings += _savings(index, part, alone, paired, slack)
        by_size = sorted(((high, index) for index, (_, high) in enumerate(sizes)), reverse=True)
        return Estimate(socket=socket, extra=most, highs=by_size, base=base, savings=sorted(savings, reverse=True))

    def crossings(self, inside: Collection[int], slack: int) -> int:
        """Return the least crossings of these items when so many CPUs may stay without a vCPU."""
        need = sum(high for high, index in self.highs if index in inside) - slack
        groups = max(0, (need + self.extra) // self.socket)
        return max(self.fewest(inside, slack) - groups, self._by_weight(inside, slack))

    def fewest(self, inside: Collection[int], slack: int) -> int:
        """Count how many of the items are used at least."""
        highs = [high for high, index in self.highs if index in inside]
        need, used = sum(highs) - slack, 0
        for high in highs:
            if need <= 0:
                break
            need -= high
            used += 1
        return used

    def _by_weight(self, inside: Collection[int], slack: int) -> int:
        total = sum(self.base[item] for item in inside)
        left = float(max(0, slack))
        for _, item, saved, waste in self.savings:
            if item not in inside:
                continue
            if waste > left:
                total -= saved * left / waste
                break
            total -= saved
            left -= waste
        return crossings_of(total)


def crossings_of(least: float) -> int:
    """Return the whole number of crossings that this bound, which was summed up in fractions, allows at least."""
    return max(0, ceil(least - _ROUNDING))


def _waste(high: int, socket: int, extra: int) -> int:
    return 0 if -high % socket <= extra else high % socket


def _least_size(high: int, highs: Sequence[int], socket: int, extra: int) -> int:
    """Count the items that a group with this one needs at least to hold a guest socket."""
    total, count = high + extra, 1
    for other in highs:
        if total >= socket:
            break
        total += other + extra
        count += 1
    return count


def _pair_waste(high: int, remainders: Sequence[int], counts: dict[int, int], socket: int, extra: int) -> int | None:
    own = high % socket
    wastes = [_waste(own + other, socket, extra) for other in remainders if other != own or counts[other] > 1]
    return min(wastes, default=None)


def _savings(
    index: int, part: float, alone: int | None, paired: int | None, slack: int
) -> list[tuple[float, int, float, float]]:
    """List the steps from a larger group to a pair and to the item alone, joined where the second is the better one."""
    steps = []
    if paired is not None and paired <= slack:
        steps.append((part - 0.5, paired / 2))
    if alone is not None and alone <= slack:
        saved, waste = sum(s for s, _ in steps), sum(w for _, w in steps)
        last = part - saved, alone - waste
        if steps and (last[1] <= 0 or last[0] * steps[0][1] >= steps[0][0] * last[1]):
            steps = [(part, float(alone))]
        else:
            steps.append(last)
    return [(saved / waste if waste > 0 else 1e18, index, saved, max(waste, 0.0)) for saved, waste in steps]
