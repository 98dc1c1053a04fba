"""How many groups items can make, by every way to divide a few of them."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

import pytest

from launcher.planner.optimum.choices import Choices


def partitions(items: Sequence[int]) -> Iterator[list[list[int]]]:
    """Yield every partition into groups."""
    if not items:
        yield []
        return
    for groups in partitions(items[1:]):
        yield [[items[0]], *groups]
        for index, group in enumerate(groups):
            yield [*groups[:index], [items[0], *group], *groups[index + 1 :]]


def most_groups(items: Sequence[int], size: int, slack: int) -> int:
    """Try every division; 0 where none leaves so little beyond whole sockets."""
    return max(
        (len(groups) for groups in partitions(items) if sum(sum(group) % size for group in groups) <= slack), default=0
    )


def test_no_division_makes_more_groups_and_one_makes_as_many() -> None:
    chance = random.Random(15)  # noqa: S311 - the same cases in every run
    for _case in range(150):
        cpus, size = [chance.randint(1, 12) for _ in range(chance.randint(1, 7))], chance.randint(2, 8)
        slack = chance.randint(0, size - 1)
        choices = Choices(cpus, size, slack)
        for count in range(1, len(cpus) + 1):
            items = chance.sample(range(len(cpus)), count)
            found = most_groups([cpus[item] for item in items], size, slack)
            assert choices.most(items) == found, (cpus, size, slack, items)


@pytest.mark.parametrize("slack", [8, 100])
def test_where_any_sum_will_do_nothing_is_counted(slack: int) -> None:
    assert Choices([3, 5], 8, slack).most([0, 1]) == 2


def test_nothing_is_counted_where_choices_are_too_many() -> None:
    assert Choices(list(range(1, 31)), 32, 0).most(range(30)) == 30
