"""How many groups a few items can make at most: all choices of them are looked at together, as the bits of a number."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import product
from math import prod

# Choices, times the CPUs that may stay without a vCPU, for which this takes no more than a few milliseconds.
_MOST = 300_000


class Choices:
    """The groups that every choice of some items makes at most, idle items among them.

    Groups in a row are choices of which each has all items of the one before. What the first of them have beyond guest
    sockets is the remainder of their sum then, and never gets less. Items of the same remainder are of a kind; a choice
    is how many there are of each kind, as the digits of a number.
    """

    def __init__(self, cpus: Sequence[int], size: int, slack: int) -> None:
        """Look at all choices of items of so many CPUs, where so many in all may be beyond sockets of `size`."""
        rests = [own % size for own in cpus]
        kinds = Counter(rests)
        # The choices that make so many groups; nothing where they are too many.
        self.made = list[int]()
        if slack >= size or prod(count + 1 for count in kinds.values()) * (slack + 1) > _MOST:
            return
        # The choices by the remainder of their sum; what one item more adds to the numbers of which choices.
        by_rest, steps, total = {0: 1}, dict[int, tuple[int, int]](), 1
        for own, count in kinds.items():
            longer = defaultdict[int, int](int)
            for taken, (rest, choices) in product(range(count + 1), by_rest.items()):
                longer[(rest + taken * own) % size] |= choices << taken * total
            copies = sum(1 << taken * total for taken in range(count + 1))
            steps = {rest: (step, room * copies) for rest, (step, room) in steps.items()}
            steps[own] = total, (1 << count * total) - 1
            by_rest, total = longer, total * (count + 1)
        self.steps = [steps[own] for own in rests]
        self.made = [1] + [0] * len(cpus)
        for rest, groups in product(sorted(by_rest.keys() & range(slack + 1)), range(len(cpus))):
            self.made[groups + 1] |= by_rest[rest] & self._larger(self.made[groups])

    def _larger(self, choices: int) -> int:
        """Return the choices that have all items of one of these, and more."""
        larger = 0
        for step, room in set(self.steps) if choices else ():
            larger |= (choices & room) << step
        for step, room in self.steps if larger else ():
            larger |= (larger & room) << step
        return larger

    def most(self, items: Sequence[int]) -> int:
        """Count the groups that these items make at most."""
        if not self.made:
            return len(items)
        number = sum([self.steps[item][0] for item in items])
        return next((groups for groups in reversed(range(len(self.made))) if self.made[groups] >> number & 1), 0)
