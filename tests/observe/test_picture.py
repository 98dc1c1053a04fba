"""The picture's value: who is in which box, and in which state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from launcher.cpuset import CPUSet
from launcher.host.model import NO_NODE
from launcher.observe.picture import CPUBox, State, occupant_lines, picture_of
from tests.observe.examples import EXAMPLES, Example, host_of, pinning_of

_HOST = host_of(cores=4, offline="3")


def _box(cpu: int, *, cpuset: str = "0-2", vcpus: tuple[int, ...] = (), **roles: str) -> CPUBox:
    picture = picture_of(pinning_of(_HOST, cpuset=cpuset, vcpus=vcpus, **roles), _HOST)
    return next(box for box in picture.cpus if box.cpu == cpu)


@pytest.mark.parametrize(
    ("box", "state"),
    [
        pytest.param(_box(0, vcpus=(0,)), State.OURS, id="a CPU with a vCPU is ours"),
        pytest.param(_box(0, vcpus=(0,), emulator="0"), State.OURS, id="a CPU with vCPU and emulator is ours"),
        pytest.param(_box(1, vcpus=(0,), emulator="1"), State.HOUSEKEEPING, id="a CPU with the emulator alone"),
        pytest.param(_box(1, vcpus=(0,), emulator="2", housekeeping="1-2"), State.HOUSEKEEPING, id="a reserved CPU"),
        pytest.param(_box(1, vcpus=(0,), emulator="2", spare="1"), State.SPARE, id="a CPU that nothing uses"),
        pytest.param(_box(1, vcpus=(0,), emulator="2"), State.SPARE, id="an unnamed CPU where nothing floats"),
        pytest.param(_box(1, vcpus=(0,)), State.OURS, id="a CPU where only the emulator floats"),
        pytest.param(_box(1), State.OURS, id="a CPU of an undedicated guest"),
        pytest.param(_box(1, spare="1"), State.OURS, id="a spare CPU of an undedicated guest, whose vCPUs float"),
        pytest.param(_box(4), State.OTHERS, id="a CPU outside the cpuset is others'"),
        pytest.param(_box(3), State.OFFLINE, id="an offline CPU"),
        pytest.param(_box(3, cpuset="2-3", vcpus=(3,)), State.OFFLINE, id="an offline CPU with a vCPU is offline"),
        pytest.param(_box(40, cpuset="2,40"), State.OFFLINE, id="a CPU that the host does not have"),
    ],
)
def test_state_says_whose_the_cpu_is(box: CPUBox, state: State) -> None:
    assert box.state is state


@pytest.mark.parametrize(
    ("box", "words", "sentence"),
    [
        pytest.param(_box(0, vcpus=(0,)), ("v0",), "vCPU 0", id="one vCPU"),
        pytest.param(_box(0, vcpus=(0, 0)), ("v0", "v1"), "vCPUs 0-1", id="two vCPUs in one CPU"),
        pytest.param(_box(0, vcpus=(0,) * 6), ("v0", "v1", "v2", "+3"), "vCPUs 0-5", id="six vCPUs are summed up"),
        pytest.param(
            _box(1, vcpus=(0,), emulator="1", iothreads=("1", "1", "2", "1")),  # type: ignore[arg-type]
            ("emu", "io1-2", "io4"),
            "emulator, IOThreads 1-2,4",
            id="emulator and IOThreads",
        ),
        pytest.param(_box(1), (), "floating threads", id="only what floats"),
        pytest.param(_box(4), (), "others'", id="nothing of ours"),
        pytest.param(_box(3, cpuset="3", vcpus=(3,)), ("v0",), "vCPU 0 (offline)", id="a vCPU on an offline CPU"),
    ],
)
def test_occupants_are_told_in_short_and_in_words(box: CPUBox, words: tuple[str, ...], sentence: str) -> None:
    assert (box.words, box.sentence) == (words, sentence)


@pytest.mark.parametrize(
    ("vcpus", "emulator", "iothreads", "floating"),
    [
        pytest.param((), "0-2", ("0-2", "0-2"), ("all vCPUs", "emulator", "IOThreads 1-2"), id="an undedicated guest"),
        pytest.param((0,), "0-2", ("1", "0-2"), ("emulator", "IOThread 2"), id="a dedicated one, not isolated"),
        pytest.param((0,), "1", (), (), id="an isolated one"),
    ],
)
def test_threads_on_the_whole_cpuset_float(
    vcpus: tuple[int, ...], emulator: str, iothreads: tuple[str, ...], floating: tuple[str, ...]
) -> None:
    pinning = pinning_of(_HOST, cpuset="0-2", vcpus=vcpus, emulator=emulator, iothreads=iothreads)
    assert picture_of(pinning, _HOST).floating == floating


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_cpu_has_one_place(name: str) -> None:
    example = EXAMPLES[name]()
    picture = picture_of(example.pinning, example.host)
    assert sorted(cpu.cpu for cpu in picture.cpus) == list(example.host.online | example.host.offline)


def _reversed(example: Example) -> Example:
    host = replace(example.host, cpus=example.host.cpus[::-1], nodes=example.host.nodes[::-1])
    return Example(host=host, pinning=replace(example.pinning, vcpus=example.pinning.vcpus[::-1]))


@pytest.mark.parametrize("name", EXAMPLES)
def test_order_of_the_input_does_not_matter(name: str) -> None:
    example = EXAMPLES[name]()
    turned = _reversed(example)
    assert picture_of(turned.pinning, turned.host) == picture_of(example.pinning, example.host)


def test_cpus_without_a_node_come_first_and_memory_without_cpus_is_a_node() -> None:
    example = EXAMPLES["cpus-in-no-node"]()
    nodes = picture_of(example.pinning, example.host).nodes
    assert [node.node for node in nodes] == [NO_NODE, 0]
    assert [node.title_words for node in nodes] == [("no node", "socket 0"), ("node 0", "8 GiB", "memory only")]


def test_offline_cpus_that_nobody_planned_are_not_missing() -> None:
    example = EXAMPLES["degraded-offline3"]()
    picture = picture_of(example.pinning, example.host)
    assert [cpu.cpu for cpu in picture.missing] == [3]
    assert [cpu.cpu for cpu in picture.offline] == [3, 7]


@pytest.mark.parametrize(
    ("width", "lines"),
    [
        pytest.param(3, ("emu", "io1-12"), id="a long word has a line of its own"),
        pytest.param(6, ("emu", "io1-12"), id="words that do not fit together"),
        pytest.param(10, ("emu io1-12",), id="words that do"),
    ],
)
def test_occupants_are_broken_into_lines(width: int, lines: tuple[str, ...]) -> None:
    box = CPUBox(cpu=0, state=State.HOUSEKEEPING, emulator=True, iothreads=CPUSet.parse("1-12"))
    assert occupant_lines(box, width, blank="?") == lines


def test_long_word_alone_leaves_the_line_of_the_number() -> None:
    box = CPUBox(cpu=0, state=State.HOUSEKEEPING, iothreads=CPUSet.parse("1-12"))
    assert occupant_lines(box, 3, blank="?") == ("", "io1-12")
    assert occupant_lines(CPUBox(cpu=0, state=State.OTHERS), 3, blank="?") == ("?",)
