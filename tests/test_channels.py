"""Channels: which are kept, and which decides for all of them."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile

from arrays import ArraySlide
from planish.cli import main
from planish.errors import OptionError
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.model import Box
from planish.slide.open import open_slide
from planish.slide.views import RegionView

NAMES = ["DAPI", "FITC"]


def two_channels() -> np.ndarray[tuple[int, ...], np.dtype[np.uint16]]:
    """Return 3 planes of 512², (Z, Y, X, C): the first channel is sharp in plane 0, the second one in plane 2."""
    texture = np.random.default_rng(3).integers(0, 60_000, (512, 512, 2)).astype(np.float32)
    stack = np.empty((3, 512, 512, 2), np.uint16)
    for channel, sharp in enumerate((0, 2)):
        for plane in range(3):
            sigma = 0.8 + 2 * abs(plane - sharp)
            stack[plane, ..., channel] = cv2.GaussianBlur(texture[..., channel], (0, 0), sigma)
    return stack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "two.ome.tif"
    stack = np.moveaxis(two_channels(), 3, 1)
    tifffile.imwrite(path, stack, tile=(256, 256), photometric="minisblack",
                     metadata={"axes": "ZCYX", "Channel": {"Name": NAMES}})  # fmt: skip
    return path


def test_the_chosen_channel_decides() -> None:
    slide = ArraySlide(two_channels())
    for channel, sharp in ((0, 0), (1, 2), ("1", 2)):
        focus = survey(slide, SurveyOptions(channel=channel, sampler="dense", audit=False))
        assert (focus.plane == sharp).all()
        focus.check_fits(slide)


def test_channels_go_by_name_or_number_in_the_order_asked_for(path: Path) -> None:
    with open_slide(path) as slide:
        assert slide.channels == ("DAPI", "FITC")
        view = slide.view(channels=["FITC", 0], planes=[2, 0])
        assert view.channels == ("FITC", "DAPI")
        both = slide.read_tile(0, 2, 1, 0)
        assert np.array_equal(view.read_tile(0, 1, 1, 0), both[..., ::-1])
        assert np.array_equal(view.view(channels=[1]).read_tile(0, 1, 1, 0), both[..., :1])
        part = RegionView(slide, 0, Box(10, 20, 100, 50)).view(channels=["FITC"])
        assert np.array_equal(part.read_tile(0, 0, 0, 0), slide.read_region(0, 0, 10, 20, 100, 50)[..., 1:])
        for wrong in ("Cy5", 2, -1):
            with pytest.raises(OptionError, match="DAPI, FITC"):
                slide.view(channels=[wrong])


@pytest.mark.parametrize("channel", ["FITC", 1])
def test_a_channel_that_is_not_kept_can_decide(path: Path, channel: int | str) -> None:
    with open_slide(path) as slide:
        kept = RegionView(slide.view(channels=["DAPI"], planes=[0, 2]), 0, Box(0, 0, 512, 256))
        focus = survey(kept, SurveyOptions(channel=channel, sampler="dense", audit=False))
        assert (focus.plane == 1).all()
        focus.check_fits(kept)


def test_flatten_keeps_one_channel_by_the_map_of_another(path: Path, tmp_path: Path) -> None:
    flat, words = tmp_path / "flat.tif", ["--channel", "DAPI", "--focus-channel", "FITC", "--fuse", "select", "--quiet"]
    assert main(["flatten", str(path), str(flat), *words]) == 0
    with open_slide(flat) as slide:
        assert slide.channels == ("DAPI",)
        assert np.array_equal(slide.read_region(0, 0, 0, 0, 512, 512), two_channels()[2, ..., :1])
    assert main(["verify", str(flat), str(path), "--all"]) == 0


def test_reading_some_channels_counts_each_tile_once() -> None:
    slide = ArraySlide(two_channels())
    slide.view(channels=[1], planes=[0]).read_tile(0, 0, 0, 0)
    assert slide.decoded.total() == 1


def test_flatten_keeps_all_channels_by_the_map_of_one(path: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.tif"
    assert main(["flatten", str(path), str(flat), "--focus-channel", "FITC", "--fuse", "select", "--quiet"]) == 0
    stack = two_channels()
    with open_slide(flat) as slide:
        assert np.array_equal(slide.read_region(0, 0, 0, 0, 512, 512), stack[2])
        assert slide.channels == ("DAPI", "FITC")
    assert json.loads((tmp_path / "flat.record.json").read_text())["arguments"]["survey"]["channel"] == "FITC"
    assert main(["verify", str(flat), str(path), "--all"]) == 0


def test_flatten_keeps_the_channels_asked_for(path: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat.tif"
    assert main(["flatten", str(path), str(flat), "--channel", "DAPI", "--fuse", "select", "--quiet"]) == 0
    with open_slide(flat) as slide:
        assert np.array_equal(slide.read_region(0, 0, 0, 0, 512, 512), two_channels()[0, ..., :1])
        assert slide.channels == ("DAPI",)
    assert main(["verify", str(flat), str(path), "--all"]) == 0


def test_a_channel_or_scene_that_is_not_there_is_one_line(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flat = path.with_name("flat.tif")
    for words, said in (
        (["--channel", "Cy5"], "no channel Cy5"),
        (["--channel", "DAPI", "--channel", "0"], "channel DAPI is chosen twice"),
        (["--focus-channel", "7"], "no channel 7"),
        (["--scene", "1"], "no scene 1"),
        (["--time", "-1"], "no time point -1"),
    ):
        assert main(["flatten", str(path), str(flat), "--quiet", *words]) == 2
        error = capsys.readouterr().err
        assert said in error
        assert error.count("\n") == 1
    assert not flat.exists()
