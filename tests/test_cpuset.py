"""The CPU set against Python's own set, and the cpulist against what the kernel accepts and prints."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.cpuset import MAX_CPUS, CPUSet

CPUS = st.frozensets(st.integers(0, 300) | st.integers(0, MAX_CPUS - 1), max_size=40)

PARSED = [
    ("empty", "", set()),
    ("blank", " \n", set()),
    ("one_cpu", "0", {0}),
    ("a_trailing_newline_as_sysfs_has_it", "0-1\n", {0, 1}),
    ("a_range", "2-4", {2, 3, 4}),
    ("a_range_of_one", "3-3", {3}),
    ("a_list", "0-1,8,10-11", {0, 1, 8, 10, 11}),
    ("out_of_order_and_overlapping", "8,0-2,1-3", {0, 1, 2, 3, 8}),
    ("spaces_around_the_parts", " 0 , 2-3 ,\t5", {0, 2, 3, 5}),
    ("leading_zeros", "007", {7}),
    ("a_stride", "0-31:2/4", {cpu for cpu in range(32) if cpu % 4 < 2}),
    ("a_stride_counts_from_the_first_cpu", "3-9:1/3", {3, 6, 9}),
    ("a_stride_that_uses_the_whole_group", "0-5:3/3", set(range(6))),
    ("a_stride_larger_than_the_range", "4-6:2/100", {4, 5}),
    ("the_largest_cpu", f"{MAX_CPUS - 1}", {MAX_CPUS - 1}),
]

REFUSED = [
    ("backwards", "3-1", "'3-1' in cpulist '3-1' is a range that runs backwards"),
    ("open_end", "0-", "'0-' in cpulist '0-' is not a CPU, a range a-b or a range a-b:used/group"),
    ("open_start", "-3", "'-3' in cpulist '-3' is not a CPU"),
    ("far_too_large", "0-9999999", f"'0-9999999' in cpulist '0-9999999' is beyond CPU {MAX_CPUS - 1}"),
    ("just_too_large", str(MAX_CPUS), f"'{MAX_CPUS}' in cpulist '{MAX_CPUS}' is beyond CPU {MAX_CPUS - 1}"),
    ("beyond_nine_digits", "0-99999999999999999999", "is not a CPU"),
    ("hexadecimal", "0x1f", "'0x1f' in cpulist '0x1f' is not a CPU"),
    ("a_word", "0-3,all", "'all' in cpulist '0-3,all' is not a CPU"),
    ("an_empty_part", "0,,2", "'' in cpulist '0,,2' is not a CPU"),
    ("a_trailing_comma", "0,", "'' in cpulist '0,' is not a CPU"),
    ("a_space_inside_a_part", "0 - 3", "'0 - 3' in cpulist '0 - 3' is not a CPU"),
    ("a_stride_of_zero", "0-7:0/2", "'0-7:0/2' in cpulist '0-7:0/2' needs 1 <= used <= group"),
    ("a_stride_of_more_than_its_group", "0-7:3/2", "'0-7:3/2' in cpulist '0-7:3/2' needs 1 <= used <= group"),
    ("a_group_of_zero", "0-7:0/0", "needs 1 <= used <= group"),
    ("a_stride_without_a_group", "0-7:2", "'0-7:2' in cpulist '0-7:2' is not a CPU"),
    ("a_stride_of_one_cpu", "4:1/2", "'4:1/2' in cpulist '4:1/2' is not a CPU"),
    ("digits_of_another_script", "\u0664", "is not a CPU"),
    ("a_nul", "0\0", "is not a CPU"),
]


@pytest.mark.parametrize(("text", "cpus"), [row[1:] for row in PARSED], ids=[row[0] for row in PARSED])
def test_a_cpulist_is_read_as_the_kernel_reads_it(text: str, cpus: set[int]) -> None:
    assert set(CPUSet.parse(text)) == cpus


@pytest.mark.parametrize(("text", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_wrong_cpulist_is_refused_with_the_part_that_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError, match="cpulist") as refusal:
        CPUSet.parse(text)
    assert message in str(refusal.value)


def test_a_refusal_of_a_huge_text_is_short() -> None:
    with pytest.raises(ValueError, match="is not a CPU") as refusal:
        CPUSet.parse("x" * 1_000_000)
    assert len(str(refusal.value)) < 300


@pytest.mark.parametrize("cpu", [-1, MAX_CPUS, 10**12])
def test_a_cpu_number_that_no_kernel_has_is_refused(cpu: int) -> None:
    with pytest.raises(ValueError, match=f"CPU {cpu} is outside 0-{MAX_CPUS - 1}"):
        CPUSet.of([0, cpu])


@pytest.mark.parametrize(
    ("cpus", "text"),
    [
        (set(), ""),
        ({5}, "5"),
        ({0, 1}, "0-1"),
        ({0, 2, 4}, "0,2,4"),
        ({9, 8, 0, 1, 2}, "0-2,8-9"),
        (range(MAX_CPUS), f"0-{MAX_CPUS - 1}"),
    ],
)
def test_the_canonical_cpulist_joins_neighbours(cpus: set[int] | range, text: str) -> None:
    assert str(CPUSet.of(cpus)) == text


@settings(deadline=None)
@given(CPUS)
def test_a_set_survives_its_own_text(cpus: frozenset[int]) -> None:
    assert CPUSet.parse(str(CPUSet.of(cpus))) == CPUSet.of(cpus)


@settings(deadline=None)
@given(CPUS, CPUS)
def test_set_algebra_agrees_with_the_builtin_set(left: frozenset[int], right: frozenset[int]) -> None:
    ours, theirs = CPUSet.of(left), CPUSet.of(right)
    assert set(ours | theirs) == left | right
    assert set(ours & theirs) == left & right
    assert set(ours - theirs) == left - right
    assert (ours <= theirs) == (left <= right)
    assert (ours == theirs) == (left == right)


@settings(deadline=None)
@given(CPUS, st.integers(-5, MAX_CPUS + 5))
def test_queries_agree_with_the_builtin_set(cpus: frozenset[int], cpu: int) -> None:
    ours = CPUSet.of(cpus)
    assert (list(ours), len(ours), bool(ours)) == (sorted(cpus), len(cpus), bool(cpus))
    assert (cpu in ours) == (cpu in cpus)
    assert hash(ours) == hash(CPUSet.of(sorted(cpus, reverse=True)))


@settings(deadline=None)
@given(CPUS.filter(bool))
def test_the_lowest_cpu_is_the_minimum(cpus: frozenset[int]) -> None:
    assert CPUSet.of(cpus).lowest == min(cpus)


def test_the_empty_set_has_no_lowest_cpu() -> None:
    with pytest.raises(ValueError, match="the empty CPU set has no lowest CPU"):
        _ = CPUSet().lowest


def test_what_is_no_number_is_in_no_set() -> None:
    assert "0" not in CPUSet.of([0])


def test_a_cpumap_has_one_bool_for_each_host_cpu() -> None:
    assert CPUSet.of([0, 2, 9]).cpumap(4) == (True, False, True, False)


@settings(deadline=None)
@given(st.integers(0, 200), st.integers(0, 200), st.integers(1, 40), st.integers(1, 40))
def test_a_stride_takes_the_first_cpus_of_each_group(first: int, more: int, used: int, rest: int) -> None:
    last, group = first + more, used + rest - 1
    chosen = {cpu for cpu in range(first, last + 1) if (cpu - first) % group < used}
    assert set(CPUSet.parse(f"{first}-{last}:{used}/{group}")) == chosen


@settings(deadline=None)
@given(st.text(alphabet="0123456789-,:/ \n", max_size=30) | st.text(max_size=20))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        cpus = CPUSet.parse(text)
    except ValueError as refusal:
        assert "in cpulist" in str(refusal)  # noqa: PT017
    else:
        assert cpus.mask.bit_length() <= MAX_CPUS
