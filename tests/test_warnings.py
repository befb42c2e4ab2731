"""Warnings: each where it belongs, none on a good slide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from arrays import ArraySlide, map_of
from makers import container, images, make_stack
from planish.convert import ConvertOptions, Outputs, Selection, convert
from planish.focus.audit import TOLERATED
from planish.focus.options import SurveyOptions
from planish.model import Box, Missing
from planish.phantom.containers import write_container
from planish.phantom.options import ContainerOptions
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.planemap import Audit, How, PlaneMap
from planish.report.blur import CELLS, Blur
from planish.report.warnings import BLURRED, find_warnings
from planish.slide.open import open_slide
from planish.write.options import WriteOptions

SIDE = 1024


@cache
def phantom_pixels() -> NDArray[np.uint8]:
    """Return a phantom whose objects lie in five planes, none over another, with all planes in it."""
    phantom = PhantomSlide(PhantomOptions("cytology-sparse", width=SIDE, height=SIDE, planes=5, seed=1))
    return np.stack([phantom.read_region(0, plane.index, 0, 0, SIDE, SIDE) for plane in phantom.planes])


def write(folder: Path, stack: NDArray[Any], **options: Any) -> Path:
    path = folder / "scan.svs"
    slide = ArraySlide(stack, z_um=[float(plane) for plane in range(len(stack))])
    write_container(slide, path, ContainerOptions(**{"kind": "svs"} | options))
    return path


def flat(source: Path, options: ConvertOptions | None = None) -> Outputs:
    return convert(source, source.with_name("flat.tif"), options)


def warned(source: Path, options: ConvertOptions | None = None) -> list[str]:
    found: list[str] = flat(source, options).record.output["warnings"]
    return found


def of_map(focus: PlaneMap) -> list[str]:
    """Return what is said of a map alone."""
    slide = ArraySlide(np.zeros((len(focus.z_um), 8, 8, 3), np.uint8))
    return find_warnings(slide, focus, None)


def test_a_good_slide_has_none(tmp_path: Path) -> None:
    record = flat(write(tmp_path, phantom_pixels())).record
    assert record.output["warnings"] == []
    assert record.output["blur"].median < 0.5
    assert 1 <= record.output["blur"].cells <= CELLS


def test_one_plane_is_told(tmp_path: Path) -> None:
    assert warned(write(tmp_path, phantom_pixels()[2:3])) == ["one plane only: there was nothing to choose"]


@pytest.mark.parametrize("sigma", [6, 8])
def test_blurred_everywhere_is_told(sigma: float, tmp_path: Path) -> None:
    blurred = np.stack([cv2.GaussianBlur(plane, (0, 0), sigma) for plane in phantom_pixels()])
    noisy = np.clip(blurred + np.random.default_rng(0).normal(0, 2, blurred.shape), 0, 255).astype(np.uint8)
    assert any(warning.startswith("blurred everywhere: 0.") for warning in warned(write(tmp_path, noisy)))


@pytest.mark.parametrize("kind", ["cytology-sparse", "cytology-dense", "tissue", "folded"])
def test_no_sharp_phantom_is_called_blurred(kind: Any, tmp_path: Path) -> None:
    truth = PhantomSlide(PhantomOptions(kind, width=SIDE, height=SIDE, seed=2)).truth
    path = write(tmp_path, truth.read_region(0, 0, 0, 0, SIDE, SIDE)[None])
    blur = flat(path).record.output["blur"]
    assert blur.median < BLURRED - 0.1


@pytest.mark.parametrize("name", ["slides/CMU-1-Small-Region.svs", "slides/hamamatsu-dapi.ndpi", "focal-stacks/pcb"])
def test_no_sharp_file_is_called_blurred(name: str, tmp_path: Path, data: Callable[[str], Path]) -> None:
    record = convert(data(name), tmp_path / "flat.tif").record
    assert record.output["blur"].median < BLURRED - 0.1
    assert not any("blurred" in warning for warning in record.output["warnings"])


def test_the_threshold_of_blur_counts_as_blurred() -> None:
    slide, focus = ArraySlide(phantom_pixels()[:2, :256, :256]), map_of(np.zeros((1, 1)), 2)
    assert "blurred" in find_warnings(slide, focus, Blur(BLURRED, 3))[-1]
    assert not find_warnings(slide, focus, Blur(BLURRED - 0.001, 3))


def test_a_slide_without_specimen_is_told(tmp_path: Path) -> None:
    stack = np.full((3, 512, 768, 3), 240, np.uint8)
    record = flat(write(tmp_path, stack)).record
    assert record.output["warnings"] == ["no specimen found: all 6 cells are glass"]
    assert record.output["blur"] is None


def test_images_left_out_are_told(tmp_path: Path) -> None:
    path, stack = tmp_path / "pages.tif", make_stack()
    with tifffile.TiffWriter(path) as writer:
        for plane in stack:
            writer.write(plane, photometric="rgb", metadata=None)
        writer.write(stack[0, :50, :60], photometric="rgb", metadata=None, subfiletype=1)
    assert "not all that the file may hold was read: 1 further images of other shape were left out" in warned(path)


@pytest.mark.parametrize(
    ("note", "said"),
    [
        (Missing("read through OpenSlide, which shows one plane"), True),
        (Missing("channel b lacks 2 images in 1 of 3 planes; they are shown 0"), True),
        ("its alpha channel was laid over white", False),
        ("planes are in the order given; their names sort otherwise", False),
    ],
)
def test_only_notes_of_what_is_missing_are_warnings(note: str, said: bool) -> None:
    slide = ArraySlide(np.zeros((2, 8, 8, 3), np.uint8))
    slide.metadata = replace(slide.metadata, notes=(note,))
    assert find_warnings(slide, map_of(np.zeros((1, 1)), 2), None) == (
        [f"not all that the file may hold was read: {note}"] if said else []
    )


def test_scenes_and_times_that_nobody_chose_are_told(tmp_path: Path) -> None:
    for axis, notes, chosen in (
        ("T", "holds 2 time points, of which the first is shown; --time chooses another", Selection(time=1)),
        ("", "holds 2 scenes, of which the first is shown; --scene chooses another", Selection(scene=1)),
    ):
        path = tmp_path / f"several{axis}" / "several.ome.tif"
        path.parent.mkdir()
        with tifffile.TiffWriter(path, ome=True) as writer:
            stack = make_stack(3, 1)[..., 0]
            for image in [np.stack([stack, stack])] if axis else [stack, stack]:
                writer.write(image, tile=(128, 128), photometric="minisblack", metadata={"axes": f"{axis}ZYX"})
        said = f"not all that the file may hold was read: {notes}"
        assert said in warned(path)
        other = ConvertOptions(selection=chosen, write=WriteOptions(overwrite=True))
        assert not any("not all" in warning for warning in warned(path, other))


def of_bytes(warnings: list[str]) -> list[str]:
    return [warning for warning in warnings if warning.startswith("byte counts were refused")]


def folder_of_jpegs(folder: Path, qualities: tuple[int, ...]) -> Path:
    inside = folder / "planes"
    inside.mkdir()
    for index, (plane, quality) in enumerate(zip(make_stack(len(qualities)), qualities, strict=True)):
        path = container(inside, plane[None], kind="svs", quality=quality)
        path.rename(inside / f"plane{index}.svs")
    return inside


def test_byte_counts_that_were_refused_are_told(tmp_path: Path) -> None:
    said = of_bytes(warned(folder_of_jpegs(tmp_path, (80, 70, 80))))
    assert said == [
        "byte counts were refused, so that tiles had to be decoded to choose planes: "
        "the planes' files were compressed differently"
    ]


def test_byte_counts_that_were_not_to_be_expected_are_no_warning(tmp_path: Path) -> None:
    lossless = container(tmp_path, make_stack(), codec="lzw")
    assert not of_bytes(warned(lossless))
    strips = container(tmp_path, make_stack(), tiled=False)
    record = convert(strips, tmp_path / "strips.tif").record
    assert record.survey is not None
    assert "strips" in record.survey.scorer_why
    assert not of_bytes(record.output["warnings"])
    folder = images(tmp_path, make_stack())
    assert not of_bytes(convert(folder, tmp_path / "folder.tif").record.output["warnings"])


def test_byte_counts_that_nobody_asked_for_are_no_warning(tmp_path: Path) -> None:
    slide = container(tmp_path, make_stack(), kind="svs")
    for options in (
        ConvertOptions(survey=SurveyOptions(scorer="brenner")),
        ConvertOptions(selection=Selection(region=Box(100, 50, 300, 200))),
    ):
        assert not of_bytes(
            convert(slide, tmp_path / f"{options.survey.scorer}.tif", options).record.output["warnings"]
        )


def test_planes_sharp_at_once_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "clumps.svs"
    write_container(PhantomSlide(PhantomOptions(width=SIDE, height=SIDE)), path, ContainerOptions("svs"))
    record = flat(path).record
    count = len(record.output["composed"]["cells_with_two_planes_sharp"])
    assert count
    assert record.survey is not None
    cells = record.survey.specimen_cells
    assert [warning for warning in record.output["warnings"] if "at once" in warning] == [
        f"in {count} of {cells} specimen cells ({count / cells:.0%}) planes that lie apart are sharp at once: what "
        "lies over each other was fused there"
    ]


@pytest.mark.parametrize(("plane", "name"), [(0, "lowest"), (4, "highest")])
def test_a_focus_beyond_the_stack_is_told(plane: int, name: str) -> None:
    planes = np.full((2, 4), plane)
    planes[0, :3] = 2
    assert of_map(map_of(planes, 5)) == [
        f"in 5 of 8 specimen cells (62%) the {name} plane is the sharpest: the focus may lie beyond the stack"
    ]
    planes[0] = 2
    assert not of_map(map_of(planes, 5))


def test_outermost_planes_of_two_and_those_of_glass_are_no_warning() -> None:
    assert not of_map(map_of(np.zeros((2, 4)), 2))
    how = np.full((2, 4), How.GLASS, np.uint8)
    how[0, 0] = How.DENSE
    planes = np.zeros((2, 4))
    planes[0, 0] = 1
    assert not of_map(map_of(planes, 3, how=how))


def test_a_stack_cut_short_has_its_focus_beyond(tmp_path: Path) -> None:
    assert any("beyond the stack" in warning for warning in warned(write(tmp_path, far_from_focus())))


def far_from_focus() -> NDArray[np.uint8]:
    """Return three planes, of which the next to the specimen is the highest."""
    sharp = phantom_pixels()[2]
    return np.stack([cv2.GaussianBlur(sharp, (0, 0), sigma) for sigma in (6, 3, 1)])


@pytest.mark.parametrize(("low", "said"), [(TOLERATED, False), (TOLERATED + 0.001, True)])
def test_an_audit_above_its_bound_is_told(low: float, said: bool, tmp_path: Path) -> None:
    focus = PlaneMap.load(flat(container(tmp_path, make_stack(), codec="lzw")).map)
    assert focus.record is not None
    audited = replace(focus, plane=np.ones_like(focus.plane), recipe=None)
    audited = replace(audited, record=replace(focus.record, audit=Audit(500, 13, low, 0.044)))
    with open_slide(tmp_path / "stack.ome.tif") as slide:
        found = find_warnings(slide, audited, None)
    expected = (
        f"the audit found 13 of 500 cells in a wrong plane (95% interval {low:.1%} to 4.4%, above the 1% tolerated)"
    )
    assert found == ([expected] if said else [])
