"""report: thumbnails, heatmaps, focus images and records."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from matplotlib.colors import to_rgba_array
from matplotlib.text import Text
from numpy.typing import NDArray

from planish.errors import OptionError, OutputExists
from planish.model import Encoding, Level, Plane, SlideMetadata
from planish.planemap import Audit, How, PlaneMap, SurveyRecord
from planish.recipe import Action, Recipe
from planish.report.description import describe, format_table
from planish.report.focus_image import FocusImageOptions, focus_image, focus_mask, focus_measure, write_focus_image
from planish.report.heatmap import HeatmapOptions, draw, summary, write_heatmap
from planish.report.panels import COMPOSED, GLASS
from planish.report.plain import plain
from planish.report.record import Run, peak_memory_mib
from planish.report.thumbnail import overview, thumbnail, to_rgb, write_png
from planish.slide.base import Slide

PATIENT = "Jane Doe 1970-01-01.svs"


class StackSlide(Slide):
    """A (Z, height, width, channels) array as a slide, with levels that are every n-th pixel of it."""

    def __init__(
        self,
        stack: NDArray[Any],
        *,
        tile: tuple[int, int] = (64, 64),
        z_um: Sequence[float] | None = None,
        mpp: float | None = 0.25,
        every: Sequence[int] = (1,),
        source: Path = Path(PATIENT),
    ) -> None:
        super().__init__(source)
        self.stacks_by_level = [stack[:, ::n, ::n] for n in every]
        self.levels = tuple(
            Level(level.shape[2], level.shape[1], *tile, float(n), float(n))
            for n, level in zip(every, self.stacks_by_level, strict=True)
        )
        self.planes = tuple(Plane(z, None if z_um is None else z_um[z]) for z in range(len(stack)))
        self.dtype = stack.dtype
        self.channels = ("R", "G", "B") if stack.shape[3] == 3 else tuple(f"C{c}" for c in range(stack.shape[3]))
        self.metadata = SlideMetadata("array", mpp, mpp, icc_profile=b"secret profile", notes=("drawn by a test",))

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        x, y, width, height = self.levels[level].tile_box(column, row)
        return self.stacks_by_level[level][plane, y : y + height, x : x + width]

    def encoding(self, level: int, plane: int) -> Encoding | None:  # noqa: D102 - documented in the base
        return Encoding("jpeg", "ycbcr", (2, 2), (bytes(64),))


def random_stack(
    planes: int = 3, height: int = 130, width: int = 200, channels: int = 3, dtype: Any = np.uint8
) -> NDArray[Any]:
    return np.random.default_rng(1).integers(0, 200, (planes, height, width, channels)).astype(dtype)


def plane_map(slide: Slide, *, cell: int = 16, scored: float = 1.0) -> PlaneMap:
    """Return a map with glass on the left half; `scored` of the cells have a score, the others are inferred."""
    full, rng = slide.levels[0], np.random.default_rng(2)
    shape = (-(-full.height // cell), -(-full.width // cell))
    how = np.where(rng.random(shape) < scored, How.SAMPLED, How.INFERRED).astype(np.uint8)
    how[:, : shape[1] // 2] = How.GLASS
    sharpness = np.where(how == How.SAMPLED, np.exp(rng.normal(8, 1, shape)), np.nan).astype(np.float32)
    plane = rng.integers(0, len(slide.planes), shape).astype(np.int16)
    z_um = tuple(plane.z_um for plane in slide.planes)
    return PlaneMap(plane, np.zeros(shape, np.float32), how, sharpness, cell, cell, full.width, full.height, z_um)


def composed(focus: PlaneMap, *, overlap: bool = True) -> PlaneMap:
    """Return the map with cells copied, fused, blended by turns, and two planes sharp in every other fused one."""
    action = (np.arange(focus.plane.size) % 3).reshape(focus.plane.shape).astype(np.uint8)
    both = ((action == Action.FUSE) & (np.arange(focus.columns) % 2 == 1) & overlap).astype(np.uint8)
    nothing = np.zeros(action.shape, np.uint8)
    recipe = Recipe("hybrid", {"tau": 1.1}, action, nothing, focus.plane, focus.plane, both, (1.0,))
    return replace(focus, recipe=recipe)


def survey_record(audit: Audit | None = None) -> SurveyRecord:
    return SurveyRecord(
        "brenner", "as asked", 4.0, 1, 1, "bracket", "neighbours differ", 10, 20, 30, 40, 5, 90, audit=audit
    )


# thumbnail


@pytest.mark.parametrize("size", [(200, 130), (199, 129), (100, 65), (57, 37), (8, 5), (1, 1)])
@pytest.mark.parametrize("tile", [(64, 64), (200, 8), (1024, 1024)])
def test_overview_equals_area_averaging_of_the_whole_plane(size: tuple[int, int], tile: tuple[int, int]) -> None:
    stack = random_stack()
    expected = cv2.resize(stack[1].astype(np.float32), size, interpolation=cv2.INTER_AREA)
    found = overview(StackSlide(stack, tile=tile), 1, 0, size[0])
    assert found.shape == (size[1], size[0], 3)
    assert found.dtype == np.uint8
    assert np.abs(found - expected).max() <= 0.51


def test_overview_of_strips_has_no_seams() -> None:
    ramp = np.broadcast_to(np.linspace(0, 60_000, 2100)[:, np.newaxis], (1, 9, 2100, 1)).astype(np.uint16)
    found = overview(StackSlide(ramp, tile=(2100, 4)), 0, 0, 70)
    assert np.abs(np.diff(found[0, :, 0].astype(float)) - 60_000 / 70).max() < 2


def test_overview_of_a_slide_without_pyramid_stays_small_in_memory() -> None:
    plane = np.broadcast_to(np.uint8(9), (1, 4096, 4096, 3))
    slide = StackSlide(plane, tile=(256, 256))
    tracemalloc.start()
    try:
        assert (overview(slide, 0, 0, 128) == 9).all()
        assert tracemalloc.get_traced_memory()[1] < 8 * 2**20 < plane.size / 5
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(("longest", "level"), [(300, 0), (200, 0), (100, 1), (60, 1), (50, 2), (7, 2)])
def test_thumbnail_reads_only_the_coarsest_level_that_suffices(longest: int, level: int) -> None:
    slide = StackSlide(random_stack(), every=(1, 2, 4))
    picture = thumbnail(slide, longest=longest)
    assert max(picture.shape) == min(longest, 200)
    assert abs(picture.shape[0] - 130 * min(longest, 200) / 200) <= 1
    assert set(slide.decoded) == {level}
    assert slide.decoded[level] == slide.levels[level].columns * slide.levels[level].rows


def test_thumbnail_shows_the_middle_plane_unless_told_otherwise() -> None:
    stack = np.stack([np.full((20, 30, 3), value, np.uint8) for value in (10, 20, 30, 40)])
    assert thumbnail(StackSlide(stack)).max() == 20
    assert thumbnail(StackSlide(stack), 3).max() == 40
    with pytest.raises(OptionError, match="no plane 4"):
        thumbnail(StackSlide(stack), 4)
    with pytest.raises(OptionError, match="at least 1 pixel"):
        thumbnail(StackSlide(stack), longest=0)


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.uint16, np.int16, np.int32, np.float32, np.float64])
@pytest.mark.parametrize("channels", [1, 2, 3, 5])
def test_any_dtype_and_channels_use_the_range_of_8_bits(dtype: Any, channels: int) -> None:
    ramp = np.linspace(-100 if np.dtype(dtype).kind != "u" else 20, 100, 6000).reshape(1, 60, 100, 1).astype(dtype)
    picture = thumbnail(StackSlide(np.repeat(ramp, channels, axis=3)))
    assert picture.shape == (60, 100, 3)
    assert picture.dtype == np.uint8
    assert (np.diff(picture[:, 50, 0].astype(int)) >= 0).all()
    if (dtype, channels) == (np.uint8, 3):
        assert (picture.min(), picture.max()) == (20, 100)
    else:
        assert (picture.min(), picture.max()) == (0, 255)


def test_pixels_that_are_no_numbers_do_not_spoil_the_others() -> None:
    stack = random_stack(1, dtype=np.float32)
    clean = thumbnail(StackSlide(stack.copy()))
    stack[0, 50, 60] = np.nan
    picture = thumbnail(StackSlide(stack))
    assert np.count_nonzero((np.abs(picture.astype(int) - clean) > 1).any(axis=2)) == 1


def test_a_flat_picture_is_shown_without_a_division_by_zero() -> None:
    assert to_rgb(np.full((4, 5, 1), 7, np.uint16)).max() == 0


def test_png_keeps_pixels_and_never_overwrites_unasked(tmp_path: Path) -> None:
    pixels, path = random_stack()[0], tmp_path / "picture.png"
    write_png(pixels, path)
    assert np.array_equal(read_png(path), pixels)
    with pytest.raises(OutputExists):
        write_png(pixels, path)
    write_png(pixels[:, :, 0], path, overwrite=True)
    assert np.array_equal(read_png(path)[:, :, 2], pixels[:, :, 0])
    with pytest.raises(OptionError, match=r"ends in \.png"):
        write_png(pixels, tmp_path / "picture.jpg")
    assert [file.name for file in tmp_path.iterdir()] == ["picture.png"]


def read_png(path: Path) -> NDArray[np.uint8]:
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR)
    assert pixels is not None
    return np.asarray(pixels[:, :, ::-1], np.uint8)


# heatmap


@pytest.mark.parametrize("recipe", [False, True], ids=["", "composed"])
@pytest.mark.parametrize(
    ("planes", "height", "width", "known", "scored"),
    [(9, 130, 200, True, 1.0), (9, 700, 60, True, 0.1), (21, 60, 700, True, 1.0), (1, 50, 40, False, 0.0)],
    ids=["plain", "tall", "wide", "one plane, nothing scored"],
)
def test_heatmap_of_any_shape(
    tmp_path: Path, planes: int, height: int, width: int, known: bool, scored: float, recipe: bool
) -> None:
    slide = StackSlide(
        random_stack(planes, height, width),
        z_um=[0.5 * z for z in range(planes)] if known else None,
        mpp=0.25 if known else None,
    )
    focus = plane_map(slide, scored=scored)
    write_heatmap(slide, composed(focus) if recipe else focus, tmp_path / "map.png")
    picture = read_png(tmp_path / "map.png")
    assert picture.shape[0] > 200 and picture.shape[1] > 800
    rim = np.concatenate([picture[:4].ravel(), picture[-4:].ravel(), picture[:, :4].ravel(), picture[:, -4:].ravel()])
    assert rim.min() == 255, "something is cut off at the figure's edge"


def test_heatmap_shows_the_chosen_planes_in_place_and_glass_in_grey() -> None:
    slide = StackSlide(random_stack(3, 64, 64), z_um=[-1, 0, 1])
    focus = plane_map(slide)
    focus.plane[:, 2], focus.plane[:, 3] = 0, 2
    figure = draw(slide, focus, HeatmapOptions())
    image: Any = figure.axes[1].images[0]
    colors = image.cmap(image.norm(image.get_array()))
    assert np.allclose(colors[:, :2, :3], 0xD9 / 255)
    assert np.allclose(colors[:, 2], image.cmap(0)) and np.allclose(colors[:, 3], image.cmap(2))
    bar = figure.axes[3]
    assert bar.get_ylabel() == "z (µm)"
    assert [label.get_text() for label in bar.get_yticklabels()] == ["−1", "0", "1"]
    assert figure.axes[0].get_xlabel() == "mm"
    assert figure.axes[0].get_xlim() == pytest.approx((0, 0.016))


def test_heatmap_without_z_and_pixel_size_says_planes_and_pixels() -> None:
    slide = StackSlide(random_stack(3, 64, 64), mpp=None)
    focus = replace(plane_map(slide), record=survey_record())
    figure = draw(slide, focus, HeatmapOptions())
    assert "plane" in figure.axes[3].get_ylabel()
    assert figure.axes[4].get_ylabel() == "brenner"
    assert figure.axes[0].get_xlabel() == "level-0 pixels"


def test_heatmap_names_no_patient_and_only_a_title_that_was_asked_for() -> None:
    slide = StackSlide(random_stack(3, 64, 64))
    for title in (None, "Case 7"):
        figure = draw(slide, plane_map(slide), HeatmapOptions(title=title))
        found: list[Any] = figure.findobj(Text)
        texts = [text.get_text() for text in found]
        assert not any("Jane" in text for text in texts)
        assert ("Case 7" in texts) == (title is not None)


def legends(figure: Any) -> list[list[str]]:
    return [[text.get_text() for text in legend.get_texts()] for legend in figure.legends]


def test_heatmap_shows_what_was_done_in_each_cell_and_names_only_that() -> None:
    slide = StackSlide(random_stack(3, 64, 64))
    focus = composed(plane_map(slide))
    figure = draw(slide, focus, HeatmapOptions())
    panel: Any = figure.axes[2]
    assert panel.get_title() == "Composed by hybrid"
    image = panel.images[0]
    colors = image.cmap(image.norm(image.get_array()))
    # Glass is left grey where it is copied, in the left half.
    names = [
        ["glass", "both", "ramped", "copied"],
        ["fused", "ramped", "copied", "both"],
        ["ramped", "glass", "fused", "ramped"],
        ["glass", "both", "ramped", "copied"],
    ]
    codes = {"copied": Action.COPY, "fused": Action.FUSE, "ramped": Action.RAMP, "both": len(Action)}
    expected = [
        to_rgba_array([GLASS if name == "glass" else COMPOSED[codes[name]][1] for name in row]) for row in names
    ]
    assert np.allclose(colors, expected)
    assert legends(figure)[0] == [
        "copied: 3",
        "glass, copied: 3",
        "borders blended: 5",
        "fused: 2",
        "fused; two planes\nsharp at once: 3",
    ]
    alone = draw(slide, composed(plane_map(slide), overlap=False), HeatmapOptions())
    assert "fused: 5" in legends(alone)[0] and len(legends(alone)[0]) == 4


def test_heatmap_without_a_recipe_has_three_panels_and_no_word_of_composing() -> None:
    slide = StackSlide(random_stack(3, 64, 64))
    figure = draw(slide, plane_map(slide), HeatmapOptions())
    assert [panel.get_title() for panel in figure.axes[:3]] == [
        "Slide, plane 1",
        "Sharpest plane",
        "Sharpness of that plane",
    ]
    assert len(figure.axes) == 5
    assert legends(figure) == [["glass"]]


def test_sharpness_of_planes_that_were_chosen_by_other_scores_is_told_apart() -> None:
    slide = StackSlide(random_stack(3, 64, 64))
    focus = plane_map(slide, scored=0.5)
    assert legends(draw(slide, focus, HeatmapOptions())) == [["paler: not scored, as the nearest that was", "glass"]]
    focus.how[0, -1], focus.sharpness[0, -1] = How.DENSE, np.nan
    assert (
        legends(draw(slide, focus, HeatmapOptions()))[0][0] == "paler: no score in this unit, as the nearest that has"
    )


@pytest.mark.parametrize(
    "sight",
    [
        [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    ],
    ids=["all colours", "no red", "no green", "no blue"],
)
def test_what_was_done_is_told_apart_with_any_colour_vision(sight: list[list[float]]) -> None:
    # Matrices of Machado, Oliveira and Fernandes 2009, 10.1109/TVCG.2009.113, on linear RGB.
    encoded = to_rgba_array([GLASS, *(color for _, color in COMPOSED.values())])[:, :3]
    linear = np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(sight).T, 0, 1)
    encoded = np.where(seen <= 0.0031308, 12.92 * seen, 1.055 * seen ** (1 / 2.4) - 0.055)
    lab = cv2.cvtColor(encoded[np.newaxis].astype(np.float32), cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, np.newaxis] - lab, axis=2)[~np.eye(len(lab), dtype=bool)]
    assert apart.min() > 15


def test_summary_counts_cells() -> None:
    slide = StackSlide(random_stack(3, 64, 64))
    focus = replace(plane_map(slide, scored=0.0), record=survey_record(Audit(500, 3, 0.001, 0.017)))
    line = summary(focus)
    for part in ("bracket sampler", "16 cells of 16 × 16 px", "8 specimen", "8 inferred", "8 glass", "3 of 500 wrong"):
        assert part in line


def test_heatmap_refuses_the_map_of_another_slide(tmp_path: Path) -> None:
    focus = plane_map(StackSlide(random_stack(3, 64, 64)))
    with pytest.raises(OptionError, match="survey this slide"):
        write_heatmap(StackSlide(random_stack(2, 64, 64)), focus, tmp_path / "map.png")
    assert not list(tmp_path.iterdir())


# focus image


def test_focus_measure_is_the_local_standard_deviation_over_its_maximum() -> None:
    pixels = np.zeros((41, 41), np.uint8)
    pixels[20, 20] = 100
    window = np.outer(*[cv2.getGaussianKernel(17, 2.0)[:, 0]] * 2)
    spread = 100 * np.sqrt(np.maximum(window - window**2, 0))
    found = focus_measure(pixels, 2.0)
    assert found.max() == 1
    assert np.allclose(found[12:29, 12:29], spread / spread.max(), atol=2e-3)
    assert np.array_equal(focus_image(pixels), np.rint(255 * (1 - found)))


def test_dark_is_sharp() -> None:
    pixels = random_stack(1, 60, 120)[0]
    pixels[:, 60:] = cv2.GaussianBlur(pixels, (0, 0), 4)[:, 60:]
    image = focus_image(pixels)
    assert image.shape == (60, 120)
    assert image[:, :50].mean() < 120 < 200 < image[:, 70:].mean()


@pytest.mark.parametrize(("gain", "offset"), [(1, 60_000), (20, 0)])
def test_16_bit_pixels_give_what_8_bit_ones_give(gain: int, offset: int) -> None:
    pixels = random_stack(1, 50, 60, 1)[0, :, :, 0]
    wide = (pixels.astype(np.uint16) * gain + offset).astype(np.uint16)
    assert np.allclose(focus_measure(wide), focus_measure(pixels), atol=1e-4)


def test_a_picture_without_detail_is_nowhere_in_focus() -> None:
    flat = np.full((30, 40, 3), 200, np.uint8)
    assert (focus_image(flat) == 255).all()
    assert (focus_mask(flat, FocusImageOptions(background="#102030")) == (16, 32, 48)).all()


def test_mask_keeps_colours_in_focus_and_background_elsewhere() -> None:
    pixels = np.full((60, 120, 3), 90, np.uint8)
    pixels[:, 60:] = random_stack(1, 60, 60)[0]
    mask = focus_mask(pixels, FocusImageOptions(background="lime"))
    assert (mask[:, :50] == (0, 255, 0)).all()
    kept = (mask == pixels).all(axis=2)[:, 70:]
    assert kept.mean() > 0.8
    everything = focus_mask(pixels, FocusImageOptions(threshold=0.0))
    assert np.array_equal(everything, pixels)


@pytest.mark.parametrize(
    "options",
    [
        {"sigma": 0},
        {"sigma": -1.0},
        {"sigma": float("nan")},
        {"sigma": 101},
        {"sigma": float("inf")},
        {"threshold": 1.5},
        {"background": "mauvish"},
        {"longest": 0},
    ],
    ids=str,
)
def test_wrong_options_are_told(options: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        FocusImageOptions(**options)


def test_sigma_is_checked_on_arrays_too() -> None:
    with pytest.raises(OptionError, match="sigma must be above 0"):
        focus_image(np.zeros((9, 9), np.uint8), 0)


def test_focus_image_of_a_slide_is_that_of_the_level_and_plane_asked_for(tmp_path: Path) -> None:
    slide = StackSlide(random_stack(), every=(1, 2, 4))
    write_focus_image(slide, tmp_path / "half.png", FocusImageOptions(longest=120, plane=2))
    expected = focus_image(slide.stacks_by_level[1][2])
    assert np.array_equal(read_png(tmp_path / "half.png")[:, :, 0], expected)
    assert set(slide.decoded) == {1}
    write_focus_image(slide, tmp_path / "small.png", FocusImageOptions(longest=20, mask=True))
    assert read_png(tmp_path / "small.png").shape == (13, 20, 3)


def test_focus_image_of_pixels_is_of_full_size(tmp_path: Path) -> None:
    pixels = random_stack()[0]
    write_focus_image(pixels, tmp_path / "full.png", FocusImageOptions(longest=10))
    assert read_png(tmp_path / "full.png").shape == pixels.shape


# record


@dataclass(frozen=True)
class Options:
    """Options as a stage has them."""

    map: Path
    quality: int | None
    low: float


def test_record_is_strict_json_of_what_the_run_did(tmp_path: Path) -> None:
    run = Run("flatten")
    for _ in range(2):
        with run.stage("survey"):
            threading.Event().wait(0.01)
    with pytest.raises(ZeroDivisionError), run.stage("write"):
        _ = 1 / 0
    record = run.record(
        arguments={"survey": Options(Path(f"/data/{PATIENT}"), None, float("-inf"))},
        source={"mpp": np.float32(0.25), "grid": np.array([[1, 2]]), "icc": b"secret profile", "z": float("nan")},
        survey=survey_record(Audit(500, 3, 0.001, 0.017)),
        output={"bytes": np.int64(7), "how": How.GLASS, "levels": (1, 2)},
    )
    record.save(tmp_path / "record.json")
    data = json.loads((tmp_path / "record.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert data["arguments"] == {"survey": {"map": "*.svs", "quality": None, "low": None}}
    assert data["source"] == {"mpp": 0.25, "grid": [[1, 2]], "icc": {"bytes": 14}, "z": None}
    assert data["survey"]["audit"]["wrong"] == 3
    assert data["output"] == {"bytes": 7, "how": "glass", "levels": [1, 2]}
    assert data["seconds"]["total"] >= data["seconds"]["survey"] >= 0.02
    assert "write" in data["seconds"]
    assert {"planish", "python", "numpy", "cv2"} <= set(data["versions"])
    assert data["started"].endswith("+00:00")
    with pytest.raises(OutputExists):
        record.save(tmp_path / "record.json")


def test_peak_memory_is_not_that_of_the_process_that_started_this_one() -> None:
    held = np.ones(200 * 2**20, np.uint8)
    script = "from planish.report.record import peak_memory_mib; print(peak_memory_mib())"
    child = float(subprocess.run([sys.executable, "-c", script], check=True, capture_output=True).stdout)
    own = peak_memory_mib()
    assert own is not None
    assert 20 < child < own - 50
    assert own > held.nbytes / 2**20


@pytest.mark.parametrize(
    ("value", "expected"),
    [(np.bool_(True), True), ({1: np.nan}, {"1": None}), ({"x"}, ["x"]), (np.dtype("u2"), "uint16"), ((), [])],
)
def test_plain_values(value: Any, expected: Any) -> None:
    assert plain(value) == expected


def test_describe_names_the_file_only_when_asked(tmp_path: Path) -> None:
    path = tmp_path / PATIENT
    path.write_bytes(bytes(123))
    slide = StackSlide(random_stack(), z_um=[-0.5, 0, 0.5], every=(1, 2), source=path)
    description = describe(slide)
    text = json.dumps(description, allow_nan=False)
    assert "Jane" not in text and "secret" not in text
    assert description["bytes"] == 123
    assert description["modified"] is not None
    assert description["planes"] == [{"index": 0, "z_um": -0.5}, {"index": 1, "z_um": 0}, {"index": 2, "z_um": 0.5}]
    assert description["levels"][1] == {
        "width": 100,
        "height": 65,
        "tile_width": 64,
        "tile_height": 64,
        "downsample_x": 2.0,
        "downsample_y": 2.0,
    }
    assert description["encoding"] == {"codec": "jpeg", "color": "ycbcr", "subsampling": [2, 2]}
    assert description["icc_profile"] == 14
    assert not slide.decoded
    assert describe(slide, source_name=True)["name"] == PATIENT


def test_describe_counts_all_files_of_a_folder_and_none_of_a_phantom(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(bytes(10))
    assert describe(StackSlide(random_stack(), source=tmp_path))["bytes"] == 20
    assert describe(StackSlide(random_stack(), source=tmp_path / "none"))["bytes"] is None


def test_table_is_aligned_and_leaves_out_what_is_unknown() -> None:
    table = format_table(describe(StackSlide(random_stack(), z_um=[-0.5, 0, 1], every=(1, 2))))
    assert "planes      3, z -0.5, 0, 1 µm\n" in table
    assert "size        200 × 130 px, 0.05 × 0.0325 mm\n" in table
    assert "encoding    jpeg, ycbcr, chroma ÷2 × ÷2\n" in table
    assert "\nfile " not in table
    levels = table.split("\n\n")[1].splitlines()[:3]
    assert len({len(line) for line in levels}) == 1
    assert table.endswith("note: drawn by a test")
    assert "z unknown" in format_table(describe(StackSlide(random_stack(), mpp=None)))
