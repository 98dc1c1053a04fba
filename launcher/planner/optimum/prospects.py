"""Whether a state of a division may come to a good end: the estimates, asked together."""

from __future__ import annotations

from collections.abc import Collection

from msgspec import Struct

from launcher.planner.optimum.estimate import Estimate
from launcher.planner.optimum.outlook import Outlook
from launcher.planner.optimum.states import State


class Prospects(Struct):
    """What is known without a search of the items that are left.

    `usual` estimates with whole guest cores, `every` with all CPUs where guest cores lie across nodes, and `outlook`
    node by node. Where caches are `spanning` several items, only their number is estimated.
    """

    usual: Estimate
    every: Estimate | None
    spanning: bool
    outlook: Outlook | None = None

    def least(self, state: State, numbers: Collection[int]) -> int:
        """Return a number of crossings below which nothing need be searched from the first state on."""
        if self.spanning:
            return 0
        least = self.usual.crossings(numbers, state.slack)
        return least if self.every is None else max(least, self.every.crossings(numbers, state.raw))

    def allow(self, state: State, numbers: Collection[int]) -> bool:
        """Tell whether so few items and crossings as the state still has may be enough for the rest."""
        open_groups = [group for group in (state.incoming, state.outgoing, *state.waiting) if group is not None]
        high = sum(group.high for group in open_groups)
        every = high + sum(group.extra for group in open_groups)
        for estimate, slack, opened in ((self.usual, state.slack, high), (self.every, state.raw, every)):
            if estimate is None:
                continue
            if estimate.fewest(numbers, slack) > state.items:
                return False
            if not self.spanning and estimate.crossings(numbers, slack, opened) > state.crossings:
                return False
        if self.outlook is None or state.incoming is not None:
            return True
        return self.outlook.crossings(state.others, state.slack, state.nodes) <= state.crossings
