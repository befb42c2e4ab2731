"""Crop, quarter turns and flips, in that order."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.orientation import Orientation

PLANE = np.array([[1, 2, 3], [4, 5, 6]])


def volume() -> NDArray[np.int64]:
    return np.arange(4 * 5 * 6).reshape(4, 5, 6)


@pytest.mark.parametrize(
    ("orientation", "expected"),
    [
        (Orientation(), [[1, 2, 3], [4, 5, 6]]),
        (Orientation(rotation=1), [[4, 1], [5, 2], [6, 3]]),
        (Orientation(rotation=-1), [[3, 6], [2, 5], [1, 4]]),
        (Orientation(flip_x=True), [[3, 2, 1], [6, 5, 4]]),
        (Orientation(flip_y=True), [[4, 5, 6], [1, 2, 3]]),
        (Orientation(rotation=1, flip_x=True), [[1, 4], [2, 5], [3, 6]]),
        (Orientation(rotation=1, flip_y=True), [[6, 3], [5, 2], [4, 1]]),
        (Orientation((0, 1, 0, 2, 1, 3), 1, True), [[2, 5], [3, 6]]),
    ],
)
def test_planes_and_volumes_are_turned_as_one_sees_them(orientation: Orientation, expected: list[list[int]]) -> None:
    np.testing.assert_array_equal(orientation.apply(PLANE), expected)
    np.testing.assert_array_equal(orientation.apply(PLANE[None]), [expected])


@pytest.mark.parametrize("rotation", [-1, 0, 1])
@pytest.mark.parametrize("crop", [None, (1, 3, 0, 4, 2, 3)])
def test_the_shape_is_told_beforehand(rotation: int, crop: tuple[int, int, int, int, int, int] | None) -> None:
    orientation = Orientation(crop, rotation, True, True)
    assert orientation.shape_of((4, 5, 6)) == orientation.apply(volume()).shape


def test_two_opposite_turns_leave_all_as_it_was() -> None:
    turned = Orientation(rotation=-1).apply(Orientation(rotation=1).apply(volume()))
    np.testing.assert_array_equal(turned, volume())


def test_only_the_crop_of_a_lazy_volume_is_read() -> None:
    class Lazy:
        shape = (4, 5, 6)

        def __getitem__(self, index: Any) -> NDArray[np.int64]:
            assert index == (slice(1, 3), slice(0, 4), slice(2, 3))
            part: NDArray[np.int64] = volume()[index]
            return part

    np.testing.assert_array_equal(Orientation((1, 3, 0, 4, 2, 3)).apply(Lazy()), volume()[1:3, 0:4, 2:3])


@pytest.mark.parametrize("crop", [(0, 5, 0, 5, 0, 6), (0, 4, 0, 5, 0, 7)])
def test_a_crop_beyond_the_volume_is_refused(crop: tuple[int, int, int, int, int, int]) -> None:
    with pytest.raises(OptionError, match="beyond the volume"):
        Orientation(crop).apply(volume())


@pytest.mark.parametrize(
    "options", [{"rotation": 2}, {"crop": (0, 1, 2)}, {"crop": (2, 2, 0, 1, 0, 1)}, {"crop": (-1, 2, 0, 1, 0, 1)}]
)
def test_options_out_of_range_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        Orientation(**options)
