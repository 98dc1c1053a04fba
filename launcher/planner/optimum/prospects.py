"""Whether a state of a division may come to a good end: the estimates, asked together."""

from __future__ import annotations

from msgspec import Struct

from launcher.planner.optimum.estimate import Estimate, crossings_of
from launcher.planner.optimum.outlook import Outlook
from launcher.planner.optimum.states import State

_TWO_THIRDS = 2 / 3


class Prospects(Struct):
    """What is known without a search of the items that are left.

    `estimate` weighs item by item, `outlook` node by node. Where caches are `spanning` several items, only their number
    is estimated.
    """

    estimate: Estimate
    spanning: bool
    # The CPUs of a guest socket; 0 where whole nodes are the items.
    socket: int
    outlook: Outlook | None = None

    def least(self, state: State) -> int:
        """Return a number of crossings below which nothing need be searched from this state on."""
        if self.spanning:
            return 0
        return self.estimate.crossings({item.number for item in state.rest}, state.slack)

    def allow(self, state: State) -> bool:
        """Tell whether so few items and crossings as the state still has may be enough for the rest."""
        if self.socket and self._nodes(state) > state.nodes:
            return False
        numbers = {item.number for item in state.rest}
        if self.estimate.fewest(numbers, state.slack) > state.items:
            return False
        if not self.spanning and self.estimate.crossings(numbers, state.slack) > state.crossings:
            return False
        return self.outlook is None or self.outlook.crossings(state.rest, state.slack, state.nodes) <= state.crossings

    def _nodes(self, state: State) -> int:
        """Count the crossings of nodes that there are at least.

        What is left of a node beyond whole guest sockets stays without a vCPU, as far as the slack goes, or shares one
        with what is left of another node, or of two where no pair makes whole ones.
        """
        sums: dict[int, int] = {}
        for item in state.rest:
            sums[item.node] = sums.get(item.node, 0) + item.high
        left = [cpus % self.socket for cpus in sums.values() if cpus % self.socket]
        if not left:
            return 0
        total, slack = 0.0, state.slack
        savings = []
        for index, cpus in enumerate(left):
            others = left[:index] + left[index + 1 :]
            part = 0.5 if any((cpus + other) % self.socket <= slack for other in others) else _TWO_THIRDS
            total += part
            savings.append((cpus / part, cpus, part))
        for _, cpus, part in sorted(savings):
            if cpus > slack:
                return crossings_of(total - part * slack / cpus)
            slack -= cpus
            total -= part
        return 0
