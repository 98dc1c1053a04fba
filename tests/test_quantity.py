"""Kubernetes quantities: what parses, what is refused, and how they round and print."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from launcher.quantity import Quantity, parse_quantity

NANO = 10**9

PARSED = [
    ("a_whole_number", "4", 4 * NANO),
    ("an_integer_of_yaml", 4, 4 * NANO),
    ("a_float_of_yaml", 0.5, NANO // 2),
    ("a_tiny_float_in_exponent_form", 1e-05, 10_000),
    ("milli", "500m", NANO // 2),
    ("micro", "7u", 7_000),
    ("nano", "7n", 7),
    ("kilo", "2k", 2_000 * NANO),
    ("exa_is_not_an_exponent", "1E", 10**18 * NANO),
    ("exbi", "1Ei", 2**60 * NANO),
    ("kibi", "1Ki", 1024 * NANO),
    ("a_fraction_of_gibi", "1.5Gi", 3 * 2**29 * NANO),
    ("exponent_small_e", "2e3", 2_000 * NANO),
    ("exponent_large_e", "2E3", 2_000 * NANO),
    ("exponent_with_plus", "2e+3", 2_000 * NANO),
    ("exponent_negative", "2e-3", 2_000_000),
    ("no_digit_before_the_point", ".5", NANO // 2),
    ("no_digit_after_the_point", "5.", 5 * NANO),
    ("plus_sign", "+5", 5 * NANO),
    ("minus_sign", "-5m", -5_000_000),
    ("finer_than_nano_rounds_up", "0.1n", 1),
    ("finer_than_nano_rounds_away_from_zero", "-0.1n", -1),
    ("a_very_small_exponent_rounds_up", "1e-300", 1),
    ("zero_of_any_exponent", "0e999", 0),
    ("the_largest", str(2**63 - 1), (2**63 - 1) * NANO),
]

REFUSED = [
    "", " ", " 4", "4 ", "4\n", "4 Gi", "4GiB", "4gb", "4K", "4mi", "1.5.5", ".", "+", "-", "--1", "e3", "1e", "1e+",
    "1e1.5", "1e1000", "1_000", "0x10", "\u0664", "\uff14", "four", "nan", "inf", "1" * 129, float("nan"), float("inf"),
    True, False,
]  # fmt: skip

TOO_LARGE = [str(2**63), "8Ei", "10E", "1e19", "1e999", "-1e19", "9" * 100]

PRINTED = [
    ("a_whole_number", "4", "4"),
    ("zero", "0Gi", "0"),
    ("zero_without_suffix", "0", "0"),
    ("whole_kilos", "2000", "2k"),
    ("a_fraction", "0.5", "500m"),
    ("a_binary_fraction", "1.5Gi", "1536Mi"),
    ("binary_stays_binary", "2048Ki", "2Mi"),
    ("a_binary_fraction_of_a_unit", "0.1Ki", "102400m"),
    ("binary_below_one_kibi", "0.5Ki", "512"),
    ("negative", "-1500m", "-1500m"),
    ("nano", "1n", "1n"),
    ("exponent", "2e3", "2k"),
]

ROUNDED = [
    ("whole", "2", 2, 2000, True),
    ("just_above", "2.000000001", 3, 2001, False),
    ("half", "500m", 1, 500, False),
    ("zero", "0", 0, 0, True),
    ("negative", "-500m", 0, -500, False),
]


@pytest.mark.parametrize(("text", "nano"), [row[1:] for row in PARSED], ids=[row[0] for row in PARSED])
def test_a_quantity_is_read_exactly(text: str | float, nano: int) -> None:
    assert parse_quantity(text).nano == nano


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_what_is_no_quantity_is_refused_with_its_text(text: str | float) -> None:
    with pytest.raises(ValueError, match=r"is not a quantity such as 4, 500m, 1\.5Gi or 2e3") as refusal:
        parse_quantity(text)
    assert str(refusal.value).startswith(repr(text)[:40])


@pytest.mark.parametrize("text", TOO_LARGE, ids=ascii)
def test_more_than_kubernetes_can_hold_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="larger than any quantity may be"):
        parse_quantity(text)


@pytest.mark.parametrize(("text", "printed"), [row[1:] for row in PRINTED], ids=[row[0] for row in PRINTED])
def test_a_quantity_prints_in_canonical_form(text: str, printed: str) -> None:
    assert str(parse_quantity(text)) == printed


@pytest.mark.parametrize(
    ("text", "ceil", "milli", "whole"), [row[1:] for row in ROUNDED], ids=[row[0] for row in ROUNDED]
)
def test_units_and_thousandths_are_rounded_up(text: str, ceil: int, milli: int, *, whole: bool) -> None:
    quantity = parse_quantity(text)
    assert (quantity.ceil, quantity.milli, quantity.is_whole) == (ceil, milli, whole)


def test_the_same_amount_in_another_suffix_is_equal() -> None:
    assert parse_quantity("1Ki") == parse_quantity("1024") == parse_quantity("1.024k")
    assert len({parse_quantity("1Ki"), parse_quantity("1024")}) == 1


def test_a_sum_keeps_the_binary_suffix_only_where_both_have_it() -> None:
    assert str(parse_quantity("1Gi") + parse_quantity("512Mi")) == "1536Mi"
    assert str(parse_quantity("1Ki") + parse_quantity("976")) == "2k"


def test_only_zero_is_false() -> None:
    assert not parse_quantity("0m")
    assert parse_quantity("1n")


def test_importing_it_loads_no_library_that_structures_do_not_load() -> None:
    program = (
        "import sys, msgspec; before = set(sys.modules); import launcher.quantity; "
        "print(*(name for name in set(sys.modules) - before if not name.startswith('launcher')))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert loaded.stdout.strip() == ""


@settings(deadline=None)
@given(st.integers(-(2**63 - 1) * NANO, (2**63 - 1) * NANO), st.booleans())
def test_printing_and_reading_again_gives_the_same_amount(nano: int, binary: bool) -> None:
    assert parse_quantity(str(Quantity(nano, binary=binary))).nano == nano


@settings(deadline=None)
@given(
    st.from_regex(r"[0-9]{1,6}(\.[0-9]{0,12})?", fullmatch=True),
    st.sampled_from(["", "n", "u", "m", "k", "M", "G", "Ki", "Mi", "Gi", "e2", "E-4"]),
)
def test_the_amount_is_the_exact_product_rounded_up_to_nano(number: str, suffix: str) -> None:
    scale: dict[str, int | Fraction] = {
        "n": Fraction(1, 10**9),
        "u": Fraction(1, 10**6),
        "m": Fraction(1, 1000),
        "": 1,
        "k": 1000,
    }
    scale |= {"M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "e2": 100, "E-4": Fraction(1, 10**4)}
    exact = Fraction(number.rstrip(".") or "0") * scale[suffix] * NANO
    assert parse_quantity(number + suffix).nano == -(-exact.numerator // exact.denominator)


@settings(deadline=None)
@given(st.text(max_size=12))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse_quantity(text)
    except ValueError as refusal:
        assert "quantity" in str(refusal)  # noqa: PT017
