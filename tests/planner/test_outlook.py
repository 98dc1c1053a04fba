"""What nodes are said to cross at least is no more than what they do, by every way to divide a few areas."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence

import pytest

from launcher.planner.optimum.outlook import Outlook, Way, undominated, ways
from launcher.planner.optimum.states import Item


def items_of(*nodes: tuple[int, ...], low: int = 0) -> list[Item]:
    """List the areas of nodes by the CPUs that each has."""
    areas = [(node, high) for node, highs in enumerate(nodes) for high in highs]
    return [
        Item(number=number, node=node, low=low, high=high, kind=high, cache=number)
        for number, (node, high) in enumerate(areas)
    ]


def partitions(items: Sequence[Item]) -> Iterator[list[list[Item]]]:
    """Yield every partition into blocks, the first of which is idle and may be empty."""
    if not items:
        yield [[]]
        return
    for blocks in partitions(items[1:]):
        for index, block in enumerate(blocks):
            yield [*blocks[:index], [items[0], *block], *blocks[index + 1 :]]
        yield [*blocks, [items[0]]]


def fewest_crossings(items: Sequence[Item], socket: int, threads: int, slack: int, nodes: int) -> int | None:
    """Try every division; None where none is allowed."""
    found = []
    for idle, *groups in partitions(items):
        wasted = sum(item.high for item in idle)
        crossed = 0
        for group in groups:
            by_node = Counter[int]()
            for item in group:
                by_node[item.node] += item.high
            crossed += len(by_node) - 1
            useful = sum(by_node.values())
            if len(by_node) > 1:
                useful = sum(cpus - cpus % threads for cpus in by_node.values())
            if useful < socket:
                break
            wasted += sum(by_node.values()) - useful // socket * socket
        else:
            if wasted <= slack and crossed <= nodes:
                found.append(sum(len(group) - 1 for group in groups))
    return min(found, default=None)


def test_no_division_crosses_less_than_the_outlook_says() -> None:
    chance = random.Random(15)  # noqa: S311 - the same cases in every run
    compared = told = 0
    for _case in range(200):
        count = chance.randint(2, 4)
        items = items_of(*(tuple(chance.randint(1, 9) for _ in range(chance.randint(1, 2))) for _ in range(count)))
        threads = chance.choice((1, 2))
        socket = threads * chance.randint(1, 6)
        slack, nodes = chance.randint(0, 4), chance.randint(0, 3)
        outlook = Outlook.of(items, socket, threads, slack, nodes)
        least = fewest_crossings(items, socket, threads, slack, nodes)
        assert outlook is not None
        if least is not None:
            compared += 1
            told += least > 0 and outlook.crossings(items, slack, nodes) == least
            assert outlook.crossings(items, slack, nodes) <= least, (items, socket, threads, slack, nodes)
    # It is not there to say 0.
    assert compared > 80
    assert told > 20


@pytest.mark.parametrize(
    ("nodes", "slack", "crossed", "least"),
    [
        pytest.param(((5, 3), (6, 2)), 0, 0, 2, id="each node's caches together make a guest socket"),
        pytest.param(((5, 3), (6, 2)), 9, 0, 1, id="one node may be left out"),
        pytest.param(((8, 8), (8, 8)), 0, 0, 0, id="whole guest sockets"),
        pytest.param(((5, 6), (5, 6), (5, 5)), 0, 2, 4, id="two nodes crossed"),
    ],
)
def test_nodes_of_two_caches_cross_so_many_at_least(
    nodes: tuple[tuple[int, ...], ...], slack: int, crossed: int, least: int
) -> None:
    items = items_of(*nodes)
    outlook = Outlook.of(items, 8, 1, slack, crossed)
    assert outlook is not None
    assert outlook.crossings(items, slack, crossed) == least


def test_one_node_and_nodes_of_many_caches_have_no_outlook() -> None:
    assert Outlook.of(items_of((4, 4)), 8, 1, 0, 0) is None
    assert Outlook.of(items_of((1,) * 6, (1,)), 2, 1, 0, 0) is None


def test_the_ways_of_a_node_are_idle_alone_and_part_of_a_group() -> None:
    assert set(ways(items_of((9,)), 8, 2)) == {
        Way(idle=9, parts=0, halves=0),
        Way(idle=1, parts=0, halves=0),
        Way(idle=1, parts=1, halves=1),
    }
    # What must be used is not idle.
    assert set(ways(items_of((9,), low=1), 8, 2)) == {
        Way(idle=1, parts=0, halves=0),
        Way(idle=1, parts=1, halves=1),
    }


def test_a_way_beside_which_another_is_as_good_is_left_out() -> None:
    menu = [Way(1, 0, 2), Way(1, 0, 0), Way(0, 1, 1), Way(2, 1, 1), Way(1, 0, 0)]
    assert undominated(menu) == [Way(0, 1, 1), Way(1, 0, 0)]
