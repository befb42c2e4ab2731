"""Scenes and time points of TIFFs; what OpenSlide does not show; files whose suffix lies."""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from arrays import ArraySlide
from made_czi import write_czi
from made_scn import Scan
from makers import HEIGHT, WIDTH, container, make_stack
from planish.errors import OptionError, PlanishError, SlideError, UnsupportedSlide
from planish.model import Missing
from planish.phantom.containers import ContainerOptions, write_container
from planish.slide import page, series
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.slide.openslide import hidden_planes
from planish.slide.page import TiffImage

GREY: NDArray[Any] = make_stack(12, 1, np.uint16)[..., 0]
HYPER = GREY.reshape(2, 3, 2, HEIGHT, WIDTH)
"""Time, plane, channel."""
RGB = make_stack(3)


def pixels(slide: Slide) -> NDArray[Any]:
    """Return all planes at full size, (Z, height, width, channels)."""
    full = slide.levels[0]
    return np.stack([slide.read_region(0, plane.index, 0, 0, full.width, full.height) for plane in slide.planes])


def ome(path: Path, *images: tuple[str, NDArray[Any]], subifds: int = 0, **metadata: dict[str, Any]) -> Path:
    """Write images (axes, pixels) into an OME-TIFF, each with `subifds` smaller levels."""
    with tifffile.TiffWriter(path, ome=True) as writer:
        for index, (axes, image) in enumerate(images):
            options: dict[str, Any] = {"tile": (128, 128), "photometric": "rgb" if axes[-1] == "S" else "minisblack"}
            about = {"axes": axes, "Name": f"image {index}", **metadata.get(f"of{index}", {})}
            writer.write(image, subifds=subifds, metadata=about, **options)
            small = image[..., ::2, ::2, :] if axes[-1] == "S" else image[..., ::2, ::2]
            for _ in range(subifds):
                writer.write(small, subfiletype=1, **options)
    return path


# Time points


@pytest.mark.parametrize("axes", ["TZCYX", "TCZYX", "ZTCYX", "CZTYX"])
def test_time_points_of_an_ome_tiff_are_views(axes: str, tmp_path: Path) -> None:
    image = np.moveaxis(HYPER, [0, 1, 2], [axes.index(axis) for axis in "TZC"])
    with open_slide(ome(tmp_path / "a.ome.tif", (axes, image), subifds=1)) as slide:
        assert (slide.times, len(slide.planes), len(slide.channels), len(slide.levels)) == (2, 3, 2, 2)
        for time in range(2):
            part = slide.view(time=time)
            assert np.array_equal(np.moveaxis(pixels(part), 3, 1), HYPER[time])
            assert np.array_equal(part.read_region(1, 2, 0, 0, 50, 50)[..., 1], HYPER[time, 2, 1, ::2, ::2][:50, :50])
            with pickle.loads(pickle.dumps(part)) as again:
                assert np.array_equal(pixels(again), pixels(part))
        assert "2 time points" in slide.metadata.notes[0]
        assert isinstance(slide.metadata.notes[0], Missing)
        assert "number 1" in part.metadata.notes[0]
        assert not isinstance(part.metadata.notes[0], Missing)


def test_positions_are_those_of_the_time_point(tmp_path: Path) -> None:
    z = [0.0, 1, 2, 2, 1, 0]
    about = {"Plane": {"PositionZ": z, "PositionZUnit": ["µm"] * 6}}
    path = ome(tmp_path / "a.ome.tif", ("TZYX", HYPER[:, :, 0]), of0=about)
    with open_slide(path) as slide:
        assert np.array_equal(pixels(slide)[..., 0], HYPER[0, :, 0])
        later = slide.view(time=1)
        assert [plane.z_um for plane in later.planes] == [0, 1, 2]
        assert np.array_equal(pixels(later)[..., 0], HYPER[1, ::-1, 0])


@pytest.mark.parametrize("options", [{"imagej": True}, {"photometric": "minisblack"}], ids=["imagej", "tifffile"])
def test_time_points_of_hyperstacks_are_views(options: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "hyper.tif"
    tifffile.imwrite(path, HYPER, metadata={"axes": "TZCYX", "spacing": 2, "unit": "um"}, **options)
    with open_slide(path) as slide:
        assert slide.times == 2
        for time in range(2):
            assert np.array_equal(np.moveaxis(pixels(slide.view(time=time)), 3, 1), HYPER[time])
    tifffile.imwrite(path, GREY, metadata={"axes": "TYX"}, **options)
    with open_slide(path) as slide:
        assert (slide.times, len(slide.planes)) == (12, 1)
        assert np.array_equal(pixels(slide.view(time=7))[0, ..., 0], GREY[7])


def test_pages_of_other_time_points_are_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = ome(tmp_path / "a.ome.tif", ("TZYX", GREY.reshape(6, 2, HEIGHT, WIDTH)))
    seen, make = [], page.as_pages

    def watched(pages: Iterable[Any]) -> list[tifffile.TiffPage]:
        found = make(pages)
        seen.extend(found)
        return found

    monkeypatch.setattr(series, "as_pages", watched)
    with open_slide(path) as slide:
        assert len(seen) == 2
        slide.view(time=5)
        assert [each.index for each in seen] == [0, 1, 10, 11]


# Scenes


def test_further_images_of_an_ome_tiff_are_scenes(tmp_path: Path) -> None:
    other = 255 - RGB[:2, :200, :300]
    images = [("ZYXS", RGB), ("ZYXS", other), ("YXS", RGB[0, :150, :150]), ("TZCYX", HYPER)]
    names = {"of1": {"Name": "second"}, "of2": {"Name": "Label image"}}
    with open_slide(ome(tmp_path / "a.ome.tif", *images, of3={"PhysicalSizeX": 0.5}, **names, subifds=1)) as slide:
        assert slide.scenes == ("image 0", "second", "image 3")
        assert list(slide.associated) == ["label"]
        assert slide.associated["label"].shape == (150, 150, 3)
        assert np.array_equal(pixels(slide), RGB)
        assert np.array_equal(pixels(slide.view(scene=1)), other)
        last = slide.view(scene=2, time=1)
        assert np.array_equal(np.moveaxis(pixels(last), 3, 1), HYPER[1])
        assert (last.metadata.mpp_x, last.dtype.name, len(last.levels)) == (0.5, "uint16", 2)
        assert "3 scenes" in slide.metadata.notes[0]
        with pytest.raises(OptionError, match="no time point 1"):
            slide.view(scene=1, time=1)
        assert np.array_equal(pixels(slide), RGB)


def test_a_part_that_cannot_be_read_leaves_the_rest_open(tmp_path: Path) -> None:
    path = ome(tmp_path / "a.ome.tif", ("ZYXS", RGB), ("ZYXS", RGB[:2]))
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages[3].aspage().tags["PhotometricInterpretation"].overwrite(8)
    with open_slide(path) as slide:
        with pytest.raises(UnsupportedSlide, match="CIELAB"):
            slide.view(scene=1)
        assert np.array_equal(pixels(slide), RGB)


def test_parts_open_from_many_threads(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    path = ome(tmp_path / "a.ome.tif", ("TZCYX", HYPER))
    with open_slide(path) as slide, ThreadPoolExecutor(8) as pool:
        for index, found in enumerate(pool.map(lambda index: pixels(slide.view(time=index % 2)), range(24))):
            assert np.array_equal(np.moveaxis(found, 3, 1), HYPER[index % 2])


# Channels


def test_only_pages_of_the_chosen_channels_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decode, decoded = TiffImage._decode, []

    def watched(image: TiffImage, index: int) -> NDArray[Any]:
        decoded.append(image.page.index)
        return decode(image, index)

    monkeypatch.setattr(TiffImage, "_decode", watched)
    with open_slide(ome(tmp_path / "a.ome.tif", ("CZYX", GREY.reshape(4, 3, HEIGHT, WIDTH)))) as slide:
        found = slide.view(channels=[2]).read_tile(0, 1, 0, 0)
        assert np.array_equal(found[..., 0], GREY[7, :128, :128])
        assert len(decoded) == 1
        swapped = slide.view(channels=[3, 0]).read_tile(0, 1, 0, 0)
        assert np.array_equal(swapped[..., 0], GREY[10, :128, :128])
        assert len(decoded) == 3


# What OpenSlide does not show


def mirax(folder: Path, layer: str) -> Path:
    """Write the index of a MIRAX slide, which is all that is looked at."""
    (folder / "scan").mkdir()
    (folder / "scan" / "Slidedat.ini").write_text(
        "\ufeff[GENERAL]\nSLIDE_VERSION = 01.02\n[HIERARCHICAL]\nHIER_COUNT = 3\nHIER_1_NAME = Slide zoom level\n"
        f"HIER_1_COUNT = 9\n{layer}"
    )
    return folder / "scan.mrxs"


def test_focus_levels_of_mirax_are_said(tmp_path: Path) -> None:
    layer = "HIER_2_NAME = Microscope focus level\nHIER_2_COUNT = 5\n[LAYER_2_LEVEL_4]\nEXTENDED_FOCUS_LEVEL = True\n"
    assert hidden_planes(mirax(tmp_path, layer)) == (
        "5 focus levels are listed, of which only the base level is read",
        "the scanner's own extended-focus level is not read",
    )


@pytest.mark.parametrize(
    "layer", ["", "HIER_2_NAME = Microscope focus level\nHIER_2_COUNT = 1\nEXTENDED_FOCUS_LEVEL = -1\n"]
)
def test_a_mirax_slide_of_one_level_says_nothing(layer: str, tmp_path: Path) -> None:
    assert hidden_planes(mirax(tmp_path, layer)) == ()


def test_a_damaged_mirax_index_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SlideError, match="damaged index"):
        hidden_planes(mirax(tmp_path, "HIER_2_NAME = Microscope focus level\nHIER_2_COUNT = many\n"))


def test_a_ventana_file_with_image_depth_is_refused_with_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "scan.bif"
    xmp = b"<?xml version='1.0'?><EncodeInfo Ver='2'><SlideInfo><iScan ScannedSlides='1'/></SlideInfo></EncodeInfo>"
    tags = [(700, "B", len(xmp), xmp, True)]
    options: dict[str, Any] = {"volumetric": True, "tile": (4, 128, 128), "photometric": "minisblack"}
    tifffile.imwrite(path, GREY[:4, :256, :256], metadata=None, extratags=tags, **options)
    with pytest.raises(UnsupportedSlide, match="4 focal planes, whose tiles must be stitched"):
        hidden_planes(path)
    with pytest.raises(UnsupportedSlide, match=r"scan\.bif"):
        open_slide(path)


# Suffixes that lie


def test_files_open_by_what_they_hold(tmp_path: Path) -> None:
    png = bytes(imagecodecs.png_encode(RGB[0]))
    write_container(ArraySlide(RGB, z_um=[0, 1, 2]), tmp_path / "a.svs", ContainerOptions("svs", codec="deflate"))
    made = {
        "czi.ndpi": write_czi(tmp_path / "a.czi", RGB),
        "svs.czi": tmp_path / "a.svs",
        "scn.svs": Scan().write(tmp_path / "a.scn", [RGB]),
        "ome.scn": container(tmp_path, RGB, codec="none"),
        "svs.zarr": tmp_path / "a.svs",
        "svs.dcm": tmp_path / "a.svs",
    }
    for name, path in made.items():
        shutil.copy(path, tmp_path / name)
        with open_slide(tmp_path / name) as slide:
            assert np.array_equal(pixels(slide), RGB), name
    for suffix in ("scn", "czi", "ndpi", "dcm", "bif", "mrxs"):
        (tmp_path / f"png.{suffix}").write_bytes(png)
        with open_slide(tmp_path / f"png.{suffix}") as slide:
            assert np.array_equal(pixels(slide), RGB[:1]), suffix


@pytest.mark.parametrize("suffix", ["czi", "scn", "ndpi", "svs", "dcm", "mrxs", "bif", "vsi", "ome.tif"])
def test_a_text_named_like_a_slide_is_refused_in_one_line(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"text.{suffix}"
    path.write_text("nothing to see here\n" * 50)
    with pytest.raises(PlanishError) as caught:
        open_slide(path)
    assert path.name in str(caught.value)
    assert "\n" not in str(caught.value)
