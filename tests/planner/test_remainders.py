"""The most groups of numbers that add up to multiples, by comparison with every order of closing them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.planner.remainders import most_groups

_STABLE = settings(derandomize=True, deadline=None, database=None)


def _most_by_every_order(numbers: list[int], size: int) -> int:
    """Count the groups of the best order in which the numbers are added up, a group ending at each multiple."""
    most = [0] * (1 << len(numbers))
    for choice in range(1, len(most)):
        members = [index for index in range(len(numbers)) if choice >> index & 1]
        closed = sum(numbers[index] for index in members) % size == 0
        most[choice] = max(most[choice ^ 1 << index] for index in members) + closed
    return most[-1]


def _members(group: int, numbers: list[int]) -> list[int]:
    return [number for index, number in enumerate(numbers) if group >> index & 1]


@settings(_STABLE, max_examples=1000)
@given(st.lists(st.integers(0, 40), max_size=8), st.integers(1, 12))
def test_no_order_closes_more_groups(numbers: list[int], size: int) -> None:
    groups = most_groups(numbers, size)
    assert len(groups) == _most_by_every_order(numbers, size)
    assert all(sum(_members(group, numbers)) % size == 0 for group in groups)
    assert sum(groups) == sum(groups) & (1 << len(numbers)) - 1
    assert sum(group.bit_count() for group in groups) == sum(groups).bit_count()


def test_numbers_that_add_up_to_a_multiple_are_all_in_groups() -> None:
    groups = most_groups([1, 2, 3, 5, 5], 8)
    assert sorted(_members(group, [1, 2, 3, 5, 5]) for group in groups) == [[1, 2, 5], [3, 5]]


@pytest.mark.parametrize(
    ("numbers", "size"),
    [
        pytest.param([1, 1, 31, 2, 2, 29, 3, 3, 27, 4, 4, 25, 5, 5, 23, 33], 33, id="in threes"),
        pytest.param([*range(1, 16), 12], 33, id="no two go together"),
        pytest.param([1] * 10 + [8] * 5 + [4], 9, id="many equal"),
    ],
)
def test_no_order_of_sixteen_numbers_closes_more_groups(numbers: list[int], size: int) -> None:
    assert len(most_groups(numbers, size)) == _most_by_every_order(numbers, size)


def test_more_numbers_than_are_searched_are_divided_in_threes() -> None:
    numbers = [number for first in range(1, 12) for number in (first, first + 40, 960 - 2 * first)]
    assert len(most_groups(numbers, 1000)) == 11
