"""Whether a state of a division may come to a good end: the least crossings that what is left can have, by counting.

An item of a group of n has (n - 1) / n of a crossing. What slack can save of that is taken where it saves most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from launcher.planner.optimum.choices import Choices
from launcher.planner.optimum.outlook import Menus, Outlook, crossings_of
from launcher.planner.optimum.states import Item, State

_TWO_THIRDS = 2 / 3


class Prospects:
    """What is known without a search of items: each one's crossings in a group without waste, and what may be saved."""

    def __init__(self, items: Sequence[Item], size: int, *, extra: int, part: int, slack: int, menus: Menus) -> None:
        """Weigh the items for guest sockets of `size` CPUs and so many CPUs that may stay without a vCPU.

        Groups may have `extra` CPUs beyond those of their items: then nothing is weighed. `part` are the CPUs of which
        nodes give a multiple to groups of several, 0 where whole nodes are the items.
        """
        self.items, self.size, self.extra, self.part = items, size, extra, part
        # Where caches span several items, only the number of items is estimated.
        self.spanning = len({item.cache for item in items}) < len(items)
        self.choices: Choices | None = None
        self.outlook: Outlook | None = None
        self._menus = menus
        self._outlooks: dict[int, Outlook | None] = {}
        self._bounds = [] if self.spanning else [self._by_choice, self._by_size]
        if self._bounds and not extra:
            self._weigh(slack)
            self._bounds.append(self._by_weight)

    def _weigh(self, slack: int) -> None:
        size, base, savings = self.size, list[float](), list[tuple[float, int, float, float]]()
        highs = sorted((item.high for item in self.items), reverse=True)
        rests = Counter([high % size for high in highs])
        for item in self.items:
            count = _least_size(item.high, highs, size)
            share = (max(3, count) - 1) / max(3, count)
            own = item.high % size
            alone = own if item.high >= size else None if item.low else item.high
            others = [rest for rest in rests if rest != own or rests[rest] > 1] if count <= 2 else []
            paired = min([(own + rest) % size for rest in others], default=None)
            for saved, waste in _steps(share, alone, paired, slack):
                savings.append((saved / waste if waste > 0 else 1e18, item.number, saved, max(waste, 0.0)))
            base.append(share)
        self._base = base
        # What is saved for a CPU that stays without a vCPU, the item, what is saved in all, and those CPUs.
        self._savings = sorted(savings, reverse=True)

    def aim(self, slack: int, nodes: int) -> None:
        """Look node by node, for so many nodes crossed; the outlook is the same whatever else is crossed."""
        if self.part and not self.spanning:
            if nodes not in self._outlooks:
                self._outlooks[nodes] = Outlook.of(self.items, self.size, self.part, slack, nodes, known=self._menus)
            self.outlook = self._outlooks[nodes]

    def allow(self, state: State) -> bool:
        """Tell whether so few items and crossings as the state still has may be enough for the rest."""
        if state.items < len(state.rest) and _fewest(state) > state.items:
            return False
        if any(bound(state) > state.crossings for bound in self._bounds) or (
            self.part and self._nodes(state) > state.nodes
        ):
            return False
        return self.outlook is None or self.outlook.crossings(state.rest, state.slack, state.nodes) <= state.crossings

    def least(self, state: State) -> int:
        """Return a number of crossings below which nothing need be searched from this state on."""
        return max((bound(state) for bound in self._bounds), default=0)

    def _by_choice(self, state: State) -> int:
        return len(state.rest) - self.choices.most([item.number for item in state.rest]) if self.choices else 0

    def _by_size(self, state: State) -> int:
        need = sum([item.high for item in state.rest]) - state.slack
        return _fewest(state) - max(0, (need + self.extra) // self.size)

    def _by_weight(self, state: State) -> int:
        inside = {item.number for item in state.rest}
        total, left = sum([self._base[item] for item in inside]), float(max(0, state.slack))
        for _, item, saved, waste in self._savings:
            if item in inside:
                if waste > left:
                    total -= saved * left / waste
                    break
                total -= saved
                left -= waste
        return crossings_of(total)

    def _nodes(self, state: State) -> int:
        """Count the crossings of nodes that there are at least.

        What is left of a node beyond whole guest sockets stays without a vCPU, as far as the slack goes, or shares one
        with what is left of another node, or of two where no pair makes whole ones.
        """
        sums: dict[int, int] = {}
        for item in state.rest:
            sums[item.node] = sums.get(item.node, 0) + item.high
        left = [cpus % self.size for cpus in sums.values() if cpus % self.size]
        total, slack = 0.0, state.slack
        savings = []
        for index, cpus in enumerate(left):
            others = left[:index] + left[index + 1 :]
            part = 0.5 if any((cpus + other) % self.size <= slack for other in others) else _TWO_THIRDS
            total += part
            savings.append((cpus / part, cpus, part))
        for _, cpus, part in sorted(savings):
            if cpus > slack:
                return crossings_of(total - part * slack / cpus)
            slack -= cpus
            total -= part
        return 0


def _fewest(state: State) -> int:
    """Count how many of the items are used at least."""
    return fewest(state.rest, sum([item.high for item in state.rest]) - state.slack)


def fewest(items: Iterable[Item], cpus: int) -> int:
    """Count how many of the items, the largest ones, have so many CPUs together."""
    return _least_size(0, sorted([item.high for item in items], reverse=True), cpus, count=0)


def _least_size(total: int, highs: Sequence[int], enough: int, count: int = 1) -> int:
    """Count the items that are enough together, the largest ones beside what is there."""
    for high in highs:
        if total >= enough:
            break
        total += high
        count += 1
    return count


def _steps(part: float, alone: int | None, paired: int | None, slack: int) -> Iterator[tuple[float, float]]:
    """Yield what is saved from a larger group to a pair and to the item alone, at once where that is better."""
    pair = (part - 0.5, paired / 2) if paired is not None and paired <= slack else None
    if alone is None or alone > slack:
        yield from [pair] if pair else []
    elif pair is None or alone <= pair[1] or 0.5 * pair[1] >= pair[0] * (alone - pair[1]):
        yield part, float(alone)
    else:
        yield pair
        yield 0.5, alone - pair[1]
