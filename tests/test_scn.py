"""Leica SCN: planes, levels, channels and scanned areas, against the arrays written and OpenSlide."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
from numpy.typing import NDArray

from made_scn import Scan
from makers import make_stack
from planish.errors import SlideError
from planish.slide.base import Slide
from planish.slide.open import open_slide

RGB = make_stack()
JPEG = Scan(options=(("photometric", "rgb"), ("compression", "jpeg"), ("compressionargs", {"level": 90})))


def pixels(slide: Slide) -> NDArray[Any]:
    """Return all planes at full size, (Z, height, width, channels)."""
    full = slide.levels[0]
    return np.stack([slide.read_region(0, plane.index, 0, 0, full.width, full.height) for plane in slide.planes])


@pytest.mark.parametrize("size_on", ["pixels", "image"])
def test_planes_come_by_number_with_their_distance(size_on: str, tmp_path: Path) -> None:
    with open_slide(Scan(750, size_on).write(tmp_path / "a.scn", [RGB])) as slide:
        assert [plane.z_um for plane in slide.planes] == [0, 0.75, 1.5, 2.25]
        assert np.array_equal(pixels(slide), RGB)
        about = slide.metadata
        assert (about.format, about.vendor, about.objective_power, about.mpp_x) == ("SCN", "leica", 40, 0.25)
        assert [(level.width, level.tile_width) for level in slide.levels] == [(520, 128), (130, 128)]
        assert list(slide.associated) == ["macro"]
        assert slide.associated["macro"].shape == (160, 160, 3)
        assert (slide.scenes, about.notes) == (("area 0",), ())


def test_openslide_reads_the_lowest_plane_of_the_same_file_alike(tmp_path: Path) -> None:
    path = JPEG.write(tmp_path / "a.scn", [RGB])
    with open_slide(path) as slide, openslide.OpenSlide(path) as reference:
        assert reference.properties["openslide.vendor"] == "leica"
        assert float(reference.properties["openslide.mpp-x"]) == slide.metadata.mpp_x
        left, top = (int(reference.properties[f"openslide.bounds-{side}"]) for side in "xy")
        for index, level in enumerate(slide.levels):
            seen = reference.read_region((left, top), index, (level.width, level.height))
            found = slide.read_region(index, 0, 0, 0, level.width, level.height)
            assert np.abs(found.astype(int) - np.asarray(seen)[..., :3]).max() <= 3
        assert reference.associated_images["macro"].size == slide.associated["macro"].shape[1::-1]


def test_tiles_are_handed_out_as_stored_and_their_bytes_counted(tmp_path: Path) -> None:
    with open_slide(JPEG.write(tmp_path / "a.scn", [RGB])) as slide:
        tile, sizes, encoding = slide.encoded_tile(0, 2, 1, 1), slide.encoded_sizes(0), slide.encoding(0, 2)
        assert tile is not None
        assert sizes is not None
        assert encoding is not None
        assert sizes.shape == (4, 4, 5)
        assert sizes[2, 1, 1] == len(tile.data)
        assert encoding.codec == "jpeg"


def test_scanned_areas_are_scenes_that_pickle(tmp_path: Path) -> None:
    other = 255 - RGB[:2, :200, :300]
    with open_slide(Scan().write(tmp_path / "a.scn", [RGB, other])) as slide:
        assert slide.scenes == ("area 0", "area 1")
        assert "--scene" in slide.metadata.notes[0]
        part = slide.view(scene=1)
        assert np.array_equal(pixels(part), other)
        assert np.array_equal(pixels(slide), RGB)
        with pickle.loads(pickle.dumps(part)) as again:
            assert np.array_equal(pixels(again), other)
    for closed in (part, slide):
        with pytest.raises(SlideError, match="closing"):
            closed.read_tile(0, 0, 0, 0)
    with pytest.raises(SlideError, match="closing"):
        slide.view(scene=1)


def test_channels_in_pages_of_their_own_are_read_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stack = make_stack(3, 2, np.uint16)
    with open_slide(Scan().write(tmp_path / "a.scn", [stack])) as slide:
        assert slide.channels == ("dye 0", "dye 1")
        assert np.array_equal(pixels(slide), stack)
        read: list[int] = []
        from planish.slide.page import TiffImage

        decode = TiffImage._decode
        monkeypatch.setattr(TiffImage, "_decode", lambda image, index: (read.append(index), decode(image, index))[-1])  # type: ignore[func-returns-value]
        found = slide.view(channels=["dye 1"]).read_tile(0, 1, 2, 1)
        assert np.array_equal(found, stack[1, 128:256, 256:384, 1:])
        assert len(read) == 1


def test_claims_that_do_not_fit_the_pages_are_refused(tmp_path: Path) -> None:
    path = replace(Scan(), claimed=2).write(tmp_path / "a.scn", [RGB])
    with pytest.raises(SlideError, match=r"a\.scn: .*claims 6 planes"):
        open_slide(path)
    data = Scan().write(tmp_path / "b.scn", [RGB]).read_bytes()
    (tmp_path / "b.scn").write_bytes(data.replace(b'ifd="3"', b'ifd="9"'))
    with pytest.raises(SlideError, match=r"b\.scn"):
        open_slide(tmp_path / "b.scn")


def test_a_description_without_images_is_refused(tmp_path: Path) -> None:
    path = Scan().write(tmp_path / "a.scn", [RGB])
    path.write_bytes(path.read_bytes().replace(b"<image ", b"<smoke ").replace(b"</image>", b"</smoke>"))
    with pytest.raises(SlideError, match="names no image"):
        open_slide(path)
    path.write_bytes(path.read_bytes().replace(b"</collection>", b"</collectio> "))
    with pytest.raises(SlideError, match="damaged"):
        open_slide(path)
