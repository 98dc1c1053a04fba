"""Samples: medians, spreads and ratios of what was measured in turns."""

from __future__ import annotations

import pytest

from hack.benchmarks.samples import Samples, ratio


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        pytest.param((3.0,), (3.0, 3.0, 3.0), id="one value is its own median and spread"),
        pytest.param((9.0, 1.0, 2.0), (2.0, 1.0, 9.0), id="one disturbed repetition does not move the median"),
        pytest.param(
            (4.0, 1.0, 3.0, 2.0), (2.5, 1.0, 4.0), id="of an even number the two in the middle count half each"
        ),
    ],
)
def test_samples_have_a_median_and_a_spread(values: tuple[float, ...], expected: tuple[float, float, float]) -> None:
    samples = Samples(values=values)
    assert (samples.median, samples.least, samples.most) == expected


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing was measured"):
        Samples(values=())


def test_a_ratio_is_taken_pair_by_pair_so_that_a_slow_turn_cancels_out() -> None:
    slow_second_turn = ratio(Samples(values=(2.0, 20.0, 2.0)), Samples(values=(1.0, 10.0, 1.0)))
    assert slow_second_turn == Samples(values=(2.0, 2.0, 2.0))


def test_a_ratio_of_unequal_numbers_of_samples_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        ratio(Samples(values=(1.0, 2.0)), Samples(values=(1.0,)))


def test_another_unit_changes_every_sample() -> None:
    assert Samples(values=(0.5, 0.25)).times(1000) == Samples(values=(500.0, 250.0))
