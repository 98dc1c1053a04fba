"""The realtime mask: what it means, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launcher.vmi.realtime import parse_mask

VCPUS = 34

# KubeVirt's parser answers the same for each (issue 3, item 3).
PARSED = [
    ("an_empty_mask_means_all", "", set(range(VCPUS))),
    ("a_range", "0-2", {0, 1, 2}),
    ("ranges_may_overlap", "0-2,2-3", {0, 1, 2, 3}),
    ("ranges_and_single_vcpus", "10-12,20,21", {10, 11, 12, 20, 21}),
    ("blanks_around_the_mask", "  0-2  ", {0, 1, 2}),
    ("blanks_around_the_parts", " 6 , 1-2 , 5 ", {1, 2, 5, 6}),
    ("single_vcpus", "0,1,2", {0, 1, 2}),
    ("a_vcpu_twice", "0-2,1", {0, 1, 2}),
    ("what_a_negation_alone_does_not_name_is_off", "^3", set()),
    ("a_negation_twice", "^0,^1,^0", set()),
    ("negations_of_high_vcpus", "^13,^15", set()),
    ("negations_of_what_is_off_anyway", "0,1,2,^3,^4", {0, 1, 2}),
    ("a_negation_wins_though_it_comes_first", "^0,0", set()),
    ("a_negation_wins_over_a_range", "0-2,^1", {0, 2}),
    ("a_negation_before_what_it_does_not_touch", "^10,0-2,3", {0, 1, 2, 3}),
    ("all_forms_mixed", "^1,0-3,^3,4,5,6-8,^7", {0, 2, 4, 5, 6, 8}),
    ("a_range_of_one", "4-4", {4}),
    ("the_last_vcpu", "33", {33}),
    ("leading_zeros", "007", {7}),
]

REFUSED = [
    ("letters", "a-b,33_", "'a-b' in the mask 'a-b,33_' is not a vCPU n, a range a-b or a negation ^n"),
    ("only_blanks_and_commas", "  ,   ", "'' in the mask '  ,   ' is not a vCPU n, a range a-b or a negation ^n"),
    ("only_blanks", "  ", "'' in the mask '  ' is not a vCPU n, a range a-b or a negation ^n"),
    ("a_negative_negation", "^3,^-1", "'^-1' in the mask '^3,^-1' is not a vCPU n, a range a-b or a negation ^n"),
    ("a_range_without_end", "1-", "'1-' in the mask '1-' is not a vCPU n, a range a-b or a negation ^n"),
    ("a_negative_vcpu", "0,-1", "'-1' in the mask '0,-1' is not a vCPU n, a range a-b or a negation ^n"),
    ("a_negated_range", "^0-1", "'^0-1' in the mask '^0-1' is not a vCPU n, a range a-b or a negation ^n"),
    ("a_comma_at_the_end", "1,", "'' in the mask '1,' is not a vCPU n, a range a-b or a negation ^n"),
    ("other_digits", "\u0663", "'\u0663' in the mask '\u0663' is not a vCPU n, a range a-b or a negation ^n"),
    ("a_newline", "1\n2", "'1\\n2' in the mask '1\\n2' is not a vCPU n, a range a-b or a negation ^n"),
    ("a_range_backwards", "3-1", "'3-1' in the mask '3-1' is a range that runs backwards"),
    ("a_vcpu_that_is_not_there", "34", "'34' in the mask '34' names vCPU 34; the guest has vCPUs 0-33"),
    ("a_range_past_the_end", "30-99", "'30-99' in the mask '30-99' names vCPU 99; the guest has vCPUs 0-33"),
    ("a_negation_past_the_end", "^34", "'^34' in the mask '^34' names vCPU 34; the guest has vCPUs 0-33"),
    ("a_huge_range", "0-9999999", "'0-9999999' in the mask '0-9999999' names vCPU 9999999; the guest has vCPUs 0-33"),
]


@pytest.mark.parametrize(("mask", "expected"), [row[1:] for row in PARSED], ids=[row[0] for row in PARSED])
def test_a_mask_names_the_realtime_vcpus(mask: str, expected: set[int]) -> None:
    assert parse_mask(mask, VCPUS) == expected


@pytest.mark.parametrize(("mask", "message"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_a_wrong_mask_is_refused(mask: str, message: str) -> None:
    with pytest.raises(ValueError) as refusal:  # noqa: PT011 - the whole message is compared
        parse_mask(mask, VCPUS)
    assert str(refusal.value) == message


@given(st.text(st.sampled_from("0123456789-^, "), min_size=1), st.integers(1, 4096))
def test_any_mask_names_only_vcpus_that_exist(mask: str, vcpus: int) -> None:
    try:
        named = parse_mask(mask, vcpus)
    except ValueError:
        return
    assert named <= set(range(vcpus))


def test_a_long_mask_of_wide_ranges_is_parsed_like_a_short_one() -> None:
    assert parse_mask(",".join(["0-4095"] * 100_000), 4096) == parse_mask("", 4096)
