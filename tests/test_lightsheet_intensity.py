"""The brightness of two views is matched to within 2 %, whatever offset is left in them."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.lightsheet.alignment import NothingInCommon
from planish.lightsheet.intensity import CHANNEL_SLAB, factors, gain
from planish.lightsheet.phantom import PhantomOptions, TwoCameraPhantom
from planish.lightsheet.phantom_options import SecondChannel
from planish.lightsheet.transform import CameraTransform, apply_camera, covered

SHAPE = (48, 160, 176)


def less(volume: NDArray[np.uint16], offset: float) -> NDArray[np.uint16]:
    """Subtract as the correction does: nothing falls below 0."""
    return np.clip(volume.astype(np.int32) - round(offset), 0, 65535).astype(np.uint16)


@pytest.mark.parametrize("tilt", [0.0, 14.0])
@pytest.mark.parametrize("true", [0.4, 1.5])
@pytest.mark.parametrize("offset", [90.0, 97.0, 100.0])
def test_gain_of_cameras_is_found_within_two_percent(true: float, tilt: float, offset: float) -> None:
    options = PhantomOptions(seed=3, shape=SHAPE, gain=true, tilt=tilt, dx=14.3, dy=-8.2, angle_deg=1.1)
    phantom = TwoCameraPhantom(options)
    transform = CameraTransform(14.3, -8.2, 1.1)
    second = apply_camera(less(phantom.view(1), offset), transform)
    found = gain(less(phantom.view(0), offset), second, phantom.surface, where=covered(SHAPE[1:], transform))
    assert found * true == pytest.approx(1, abs=0.02)


def test_gain_of_channels_is_found_within_two_percent() -> None:
    sheet = SecondChannel(gain=0.6, reweight=0.0)
    phantom = TwoCameraPhantom(PhantomOptions(seed=4, shape=SHAPE, second_channel=sheet))
    middle = np.full((SHAPE[1], SHAPE[0]), (SHAPE[2] - 1) / 2)
    middle[:, :4] = np.nan
    found = gain(phantom.view(0, 0), phantom.view(0, 1), middle, CHANNEL_SLAB, axis=2)
    assert found * 0.6 == pytest.approx(1, abs=0.02)


def test_offsets_cancel() -> None:
    phantom = TwoCameraPhantom(PhantomOptions(seed=5, shape=SHAPE, dx=0, dy=0, angle_deg=0))
    first, second = phantom.view(0).astype(np.float32), phantom.view(1).astype(np.float32)
    plain, shifted = gain(first, second, phantom.surface), gain(first + 500, second - 70, phantom.surface)
    assert shifted == pytest.approx(plain, rel=1e-4)


def test_the_dimmer_view_is_multiplied() -> None:
    assert factors(1.4) == (1.0, 1.4)
    assert factors(0.5) == (2.0, 1.0)
    assert factors(1.0) == (1.0, 1.0)


def test_slab_without_specimen_is_refused() -> None:
    surface = np.full((20, 20), 3.0)
    with pytest.raises(NothingInCommon, match="no specimen"):
        gain(np.zeros((8, 20, 20)), np.zeros((8, 20, 20)), surface)
    with pytest.raises(NothingInCommon, match="no specimen"):
        gain(np.ones((8, 20, 20)), np.ones((8, 20, 20)), np.full((20, 20), np.nan))


def test_shapes_that_do_not_fit_are_refused() -> None:
    volume = np.zeros((8, 20, 24))
    with pytest.raises(OptionError, match="register them first"):
        gain(volume, volume[1:], np.zeros((20, 24)))
    with pytest.raises(OptionError, match=r"\(20, 8\), not \(20, 24\)"):
        gain(volume, volume, np.zeros((20, 24)), axis=2)
