"""What no VSI at hand has: colours, scenes, time points, label. A stand-in for slideio has them."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import slideio
from numpy.typing import NDArray

from planish.errors import SlideError, UnsupportedSlide
from planish.slide.base import Slide
from planish.slide.open import open_slide

SIZE, TILE = 600, 256


class Scene:
    """Answers as a scene of slideio does; its pixels tell scene, time, plane and channel. One tile was left out."""

    def __init__(self, number: int, types: tuple[str, ...] = ("uint8",) * 3) -> None:
        self.number, self.types, self.name = number, types, f"region {number}"
        self.num_channels, self.num_z_slices, self.num_t_frames, self.num_zoom_levels = 3, 2, 2, 1
        self.resolution, self.z_resolution, self.magnification = (2.5e-7, 2.5e-7), 5e-7, 20.0
        self.compression = slideio.Compression.Jpeg
        self.closed = False

    def get_channel_name(self, index: int) -> str:
        """Return none, as of colours."""
        return ""

    def get_channel_data_type(self, index: int) -> np.dtype[Any]:
        """Return the type of a channel."""
        return np.dtype(self.types[index])

    def get_zoom_level_info(self, index: int) -> SimpleNamespace:
        """Return size and tiles of the only level."""
        size, tile = (SimpleNamespace(width=edge, height=edge) for edge in (SIZE, TILE))
        return SimpleNamespace(size=size, tile_size=tile)

    def read_block_from_level(
        self,
        level: int,
        rect: tuple[int, ...],
        channel_indices: list[int],
        slices: tuple[int, int],
        frames: tuple[int, int],
    ) -> NDArray[np.uint8]:
        """Return a region of even tone."""
        tone = 100 * self.number + 50 * frames[0] + 10 * slices[0] + 1
        blank = rect[0] == rect[1] == TILE
        pixels = np.full((rect[3], rect[2], len(channel_indices)), 0 if blank else tone, np.uint8)
        return pixels if blank else pixels + np.array(channel_indices, np.uint8)

    def read_block(self) -> NDArray[np.uint8]:
        """Return a label."""
        return np.full((9, 12, 3), 7, np.uint8)

    def close(self) -> None:
        """Close."""
        self.closed = True


class File:
    """Answers as a slide of slideio does."""

    raw_metadata = "{}"

    def __init__(self, scenes: list[Scene]) -> None:
        self.scenes, self.num_scenes, self.closed = scenes, len(scenes), False

    def get_scene(self, index: int) -> Scene:
        """Return a scene."""
        return self.scenes[index]

    def get_aux_image_names(self) -> list[str]:
        """Return the names of label and the like."""
        return ["Label"]

    def get_aux_image(self, name: str) -> Scene:
        """Return the label."""
        return Scene(0)

    def close(self) -> None:
        """Close."""
        self.closed = True


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "colours.vsi"
    path.write_bytes(b"II*\0" + bytes(300))
    return path


@pytest.fixture
def slide(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Slide]:
    monkeypatch.setattr(slideio, "open_slide", lambda path, driver: File([Scene(0), Scene(1)]))
    with open_slide(path) as slide:
        yield slide


def tone(slide: Slide, plane: int = 0) -> int:
    return int(slide.read_tile(0, plane, 0, 0)[0, 0, 0])


def test_colours_are_rgb_and_what_was_left_out_is_white(slide: Slide) -> None:
    assert (slide.channels, slide.levels[0].tile_width) == (("R", "G", "B"), TILE)
    assert slide.read_tile(0, 1, 0, 2)[0, 0].tolist() == [11, 12, 13]
    assert (slide.read_tile(0, 1, 1, 1) == 255).all()
    assert "tiles that the scanner left out are shown white" in slide.metadata.notes
    assert [plane.z_um for plane in slide.planes] == [0, 0.5]
    assert slide.encoding(0, 0) is None


def test_scenes_and_times_read_through_one_file(slide: Slide) -> None:
    assert (slide.scenes, slide.times) == (("region 0", "region 1"), 2)
    assert [note for note in slide.metadata.notes if note.startswith("holds 2 scenes, of which the first is shown")]
    part = slide.view(scene=1, time=1, planes=[1])
    assert (tone(slide), tone(slide.view(time=1)), tone(part)) == (1, 51, 161)
    assert slide.decoded[0] == 3
    with pickle.loads(pickle.dumps(slide.view(scene=1))) as copy:
        assert tone(copy) == 101
    part.close()
    with pytest.raises(SlideError, match="after closing"):
        slide.read_tile(0, 0, 0, 0)
    with pytest.raises(SlideError, match="after closing"):
        slide.view(time=1)


def test_the_label_is_read_when_asked(slide: Slide) -> None:
    assert list(slide.associated) == ["label"]
    assert slide.associated["label"].shape == (9, 12, 3)


def test_channels_of_different_types_are_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = File([Scene(0, ("uint8", "uint8", "uint16"))])
    monkeypatch.setattr(slideio, "open_slide", lambda path, driver: file)
    with pytest.raises(UnsupportedSlide, match="uint16, uint8; export them one by one"):
        open_slide(path)
    assert file.closed


def test_what_slideio_cannot_open_is_one_line(path: Path) -> None:
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    assert str(caught.value).startswith(f"{path}: not a readable VSI (")
    assert "\n" not in str(caught.value)
