"""Robust loess against known courses, a reference implementation and its own rules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planish.errors import OptionError
from planish.lightsheet.loess import robust_course, robust_loess

GOLDEN = Path(__file__).with_name("golden") / "skmisc_loess.npz"


@pytest.fixture(scope="module")
def reference() -> Any:
    return np.load(GOLDEN)


@pytest.mark.parametrize("window", [20, 30, 100])
def test_equals_the_reference_to_within_0_05(reference: Any, window: int) -> None:
    for y, expected in zip(reference["y"], reference[f"window{window}"], strict=True):
        assert np.abs(robust_loess(reference["t"], y, window) - expected).max() <= 0.05


@pytest.mark.parametrize("window", [20, 30])
def test_a_tenth_of_outliers_leaves_an_error_of_at_most_0_10(reference: Any, window: int) -> None:
    for y, truth in zip(reference["y"], reference["truth"], strict=True):
        error = robust_loess(reference["t"], y, window) - truth
        assert np.sqrt(np.mean(error**2)) <= 0.10


def test_a_quadratic_stays_what_it_is_whatever_the_distances() -> None:
    x = np.cumsum(np.random.default_rng(3).uniform(0.5, 3, 60))
    y = 2 - 0.3 * x + 0.02 * x**2
    assert np.allclose(robust_loess(x, y, 15), y, atol=1e-8)


def test_an_outlier_of_a_straight_line_weighs_nothing() -> None:
    x = np.arange(40.0)
    y = 3 * x + 0.01 * np.sin(7 * x)
    y[17] += 5
    course = robust_course(x, y, 12)
    assert course.weights[17] == 0
    assert course.values[17] == pytest.approx(51, abs=0.02)


def test_missing_samples_lie_on_the_line_between_their_neighbours() -> None:
    x = np.arange(30.0)
    y = x**2
    y[10:14] = np.nan
    course = robust_course(x, y, 9)
    assert np.allclose(course.values[9:15], np.linspace(81, 196, 6), atol=1e-6)
    assert np.isnan(course.weights[10:14]).all()


def test_beyond_the_ends_the_course_is_level() -> None:
    y = np.r_[np.nan, np.arange(10.0), np.nan]
    assert np.allclose(robust_loess(np.arange(12), y, 6)[[0, -1]], [0, 9])


def test_too_few_samples_stay_as_they_are() -> None:
    assert robust_loess(np.arange(3), np.array([1.0, 5.0, 2.0]), 20).tolist() == [1, 5, 2]


def test_nothing_but_missing_samples_stays_missing() -> None:
    assert np.isnan(robust_loess(np.arange(5), np.full(5, np.nan), 20)).all()


def test_a_constant_series_has_no_outliers() -> None:
    course = robust_course(np.arange(50), np.full(50, 0.1), 20)
    assert np.allclose(course.values, 0.1)
    assert (course.weights > 0).all()


def test_an_x_that_does_not_rise_is_refused() -> None:
    with pytest.raises(OptionError, match="x rising"):
        robust_loess(np.array([0, 1, 1]), np.zeros(3), 20)


def test_a_window_too_small_for_the_degree_is_refused() -> None:
    with pytest.raises(OptionError, match="window of at least 4"):
        robust_loess(np.arange(9), np.zeros(9), 3)
