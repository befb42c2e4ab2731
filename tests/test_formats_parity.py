"""One real focal stack in every container gives one plane map, and one flat slide."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
from numpy.typing import NDArray

import made_dicom
from arrays import ArraySlide
from made_czi import Mosaic, state_z, write_czi
from made_dicom import DicomOptions, write_dicom_stack
from made_scn import Scan
from made_zarr import RGB, ZarrForm, make_zarr
from planish.convert import ConvertOptions, Selection, convert
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.options import FuseOptions
from planish.model import Box
from planish.phantom.containers import ContainerOptions, write_container
from planish.planemap import PlaneMap
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.write.options import WriteOptions

TILE = 256
"""Everywhere, as cells follow tiles."""
Z_UM = tuple(-1.5 + 1.5 * index for index in range(7))
REGION = Box(512, 256, 768, 512)
SURVEY = SurveyOptions(scorer="blur-difference", score_level=0, sampler="dense")
Stack = NDArray[np.uint8]
Make = Callable[[Path, Stack], Path]


def container(folder: Path, stack: Stack, name: str, **options: Any) -> Path:
    """Write one of planish's own containers, planes shuffled."""
    path = folder / name
    write_container(ArraySlide(stack, z_um=Z_UM), path, ContainerOptions(tile=TILE, **options))
    return path


def scn(folder: Path, stack: Stack, **options: Any) -> Path:
    """Write an SCN, planes shuffled."""
    about = {"photometric": "rgb", "tile": (TILE, TILE), **options}
    return Scan(spacing_nm=1500, options=tuple(about.items())).write(folder / "stack.scn", [stack])


def czi(folder: Path, stack: Stack, **options: Any) -> Path:
    """Write a CZI, planes numbered in disorder."""
    order = np.random.default_rng(0).permutation(len(stack))
    path = write_czi(folder / "stack.czi", stack[order], Mosaic(tile=TILE, **options))
    state_z(path, [Z_UM[index] for index in order])
    return path


def dicom(folder: Path, stack: Stack, **options: Any) -> Path:
    """Write a folder with a DICOM series."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(made_dicom, "TILE", TILE)
        return write_dicom_stack(folder, stack, Z_UM, DicomOptions(**options))


def zarr(folder: Path, stack: Stack, **form: Any) -> Path:
    """Write an OME-Zarr."""
    return make_zarr(folder, stack, ZarrForm(chunk=(TILE, TILE), omero=RGB, **form))


def pictures(folder: Path, stack: Stack) -> Path:
    """Write a folder of PNGs."""
    inside = folder / "planes"
    inside.mkdir()
    for z, plane in zip(Z_UM, stack, strict=True):
        (inside / f"a_z{z}um.png").write_bytes(imagecodecs.png_encode(plane, level=1))
    return inside


LOSSLESS: dict[str, Make] = {
    "ome-tiff": partial(container, name="stack.ome.tif", codec="none"),
    "svs": partial(container, name="stack.svs", kind="svs", codec="lzw"),
    "scn": partial(scn, compression="lzw"),
    "dicom": partial(dicom, codec="none", layout="planes"),
    "dicom-sparse": partial(dicom, codec="none", layout="sparse"),
    "czi": partial(czi, compression="zstd1:"),
    "zarr": partial(zarr, shards=(2 * TILE, 2 * TILE), down=True),
    "folder": pictures,
}
JPEG: dict[str, Make] = {
    "ome-tiff": partial(container, name="stack.ome.tif", quality=90),
    "svs": partial(container, name="stack.svs", kind="svs", quality=90, color="rgb"),
    "ndpi": partial(container, name="stack.ndpi", kind="ndpi", quality=90, chunk_width=TILE),
    "scn": partial(scn, compression="jpeg", compressionargs={"level": 90}),
    "dicom": dicom,
}


@pytest.fixture(scope="module")
def stack(data: Callable[[str], Path]) -> Stack:
    folder = data("focal-stacks/pcb")
    planes = [imagecodecs.jpeg8_decode(path.read_bytes()) for path in sorted(folder.glob("*.jpg"))]
    return np.stack(planes)


@pytest.fixture(scope="module")
def wanted(stack: Stack) -> PlaneMap:
    found = survey(ArraySlide(stack, TILE, Z_UM), SURVEY)
    assert len(np.unique(found.plane)) >= 4  # a map that is all one plane would prove nothing
    return found


@pytest.fixture(scope="module")
def flat(stack: Stack) -> Stack:
    """Return the region put together from the sharpest planes, straight from the stack."""
    x, y, width, height = REGION
    region = stack[:, y : y + height, x : x + width]
    plane = survey(ArraySlide(region, TILE, Z_UM), SURVEY).plane.astype(np.intp)
    assert len(np.unique(plane)) > 1
    of_pixels = np.repeat(np.repeat(plane, TILE, 0), TILE, 1)[None, :, :, None]
    return np.asarray(np.take_along_axis(region, of_pixels, 0)[0])


def flattened(source: Path, folder: Path) -> NDArray[Any]:
    """Flatten a region without loss, and read it back."""
    output = folder / "flat.tif"
    options = ConvertOptions(
        selection=Selection(region=REGION),
        survey=SURVEY,
        fuse=FuseOptions("select"),
        write=WriteOptions(lossless=True),
    )
    convert(source, output, options)
    with open_slide(output) as slide:
        return slide.read_region(0, 0, 0, 0, REGION.width, REGION.height)


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_containers_give_one_map_and_one_flat_slide(
    name: str, stack: Stack, wanted: PlaneMap, flat: Stack, tmp_path: Path
) -> None:
    path = LOSSLESS[name](tmp_path, stack)
    with open_slide(path) as slide:
        assert steps(slide) == pytest.approx([1.5] * 6)
        found = survey(slide, SURVEY)
    assert (found.cell_width, found.cell_height) == (TILE, TILE)
    assert np.array_equal(found.plane, wanted.plane)
    assert np.array_equal(flattened(path, tmp_path), flat)


@pytest.mark.parametrize("name", JPEG)
def test_jpeg_containers_give_nearly_the_same_map(
    name: str, stack: Stack, wanted: PlaneMap, flat: Stack, tmp_path: Path
) -> None:
    path = JPEG[name](tmp_path, stack)
    with open_slide(path) as slide:
        assert steps(slide) == pytest.approx([1.5] * 6)
        found = survey(slide, SURVEY)
    assert found.plane.shape == wanted.plane.shape
    assert np.mean(found.plane == wanted.plane) >= 0.95
    assert np.abs(flattened(path, tmp_path).astype(int) - flat).mean() < 4


def steps(slide: Slide) -> list[float]:
    """Return the distances of neighbouring planes, µm."""
    z_um = [plane.z_um for plane in slide.planes if plane.z_um is not None]
    return [high - low for low, high in pairwise(z_um)]
