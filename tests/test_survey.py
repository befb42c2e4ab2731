"""The survey: right planes, parity of its ways, and as few decoded tiles as it says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from arrays import ArraySlide
from planish.errors import Cancelled, OptionError, PlanishError
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.planemap import How, PlaneMap
from planish.slide.open import open_slide

DENSE = SurveyOptions(sampler="dense", audit=False)


@lru_cache
def drawn(kind: Any, size: int = 1024, planes: int = 9, tile: int = 128) -> ArraySlide:
    """Return a phantom held as an array, drawn once for all tests."""
    slide = PhantomSlide(PhantomOptions(kind, width=size, height=size, planes=planes, tile=tile, seed=5))
    stack = np.empty((planes, size, size, 3), np.uint8)
    # All planes of a tile together: a phantom draws what they share only once.
    for tiles in slide.stacks():
        x, y, width, height = slide.levels[0].tile_box(tiles.column, tiles.row)
        stack[:, y : y + height, x : x + width] = tiles.pixels
    return ArraySlide(stack, tile=tile, z_um=[float(z) for z in range(planes)])


def fresh(slide: ArraySlide) -> ArraySlide:
    return ArraySlide(slide.stack, slide.levels[0].tile_width, [float(z) for z in range(len(slide.planes))])


def errors(slide: ArraySlide, truth: NDArray[Any], cell: int) -> NDArray[np.float64]:
    """Return the squared error of each cell and plane against the truth, (rows, columns, planes)."""
    square = ((slide.stack.astype(np.float32) - truth) ** 2).mean(3)
    rows = square.reshape(square.shape[0], square.shape[1] // cell, cell, square.shape[2] // cell, cell)
    return np.moveaxis(rows.mean((2, 4)), 0, 2)


@pytest.mark.parametrize("kind", ["cytology-dense", "tissue", "folded"])
def test_the_chosen_planes_are_nearly_the_best_there_are(kind: str) -> None:
    slide = drawn(kind)
    phantom = PhantomSlide(PhantomOptions(kind, width=1024, height=1024, planes=9, tile=128, seed=5))  # type: ignore[arg-type]  # a str from parametrize
    truth = phantom.truth.read_region(0, 0, 0, 0, 1024, 1024)
    focus = survey(fresh(slide), DENSE)
    error = errors(slide, truth.astype(np.float32), 128)
    chosen = np.take_along_axis(error, focus.plane[..., None].astype(np.intp), axis=2)[..., 0]
    loss = 10 * np.log10(chosen.mean() / error.min(axis=2).mean())
    assert loss < 0.3
    middle = 10 * np.log10(error[..., 4].mean() / chosen.mean())
    assert middle > 2


def test_every_specimen_cell_is_found_and_glass_takes_its_neighbours_plane() -> None:
    slide = drawn("cytology-sparse", 2048, 5)
    phantom = PhantomSlide(PhantomOptions("cytology-sparse", width=2048, height=2048, planes=5, tile=128, seed=5))
    focus = survey(fresh(slide), DENSE)
    true = np.isfinite(phantom.depth_region(0, 0, 2048, 2048)).reshape(16, 128, 16, 128).mean((1, 3))
    # A speck in a corner, a twentieth of a cell, may be taken for glass: no choice of plane changes much there.
    assert focus.specimen[true > 0.05].all()
    beside = cv2.dilate((true > 0).astype(np.uint8), np.ones((3, 3))) > 0  # what is out of focus reaches over
    assert not focus.specimen[~beside].any()
    assert focus.specimen[true == 0].mean() < 0.02
    assert set(np.unique(focus.plane[~focus.specimen])) <= set(np.unique(focus.plane[focus.specimen]))


@pytest.mark.parametrize("sampler", ["recursive", "bracket"])
def test_samplers_agree_with_dense_and_decode_less(sampler: str) -> None:
    kind = {"recursive": "tissue", "bracket": "cytology-dense"}[sampler]
    stack = drawn(kind, 2048, 9)
    first, second = fresh(stack), fresh(stack)
    options = replace(DENSE, score_downsample=1)
    dense = survey(first, options)
    sampled = survey(second, replace(options, sampler=sampler))
    same = (dense.plane == sampled.plane)[dense.specimen].mean()
    assert same >= 0.95
    assert dense.record is not None
    assert sampled.record is not None
    assert dense.record.decoded == dense.record.specimen_tile_planes == dense.record.measured
    assert sampled.record.decoded < 0.7 * dense.record.decoded
    assert sampled.record.decoded == sampled.record.measured


def test_the_reader_counts_what_the_record_says() -> None:
    slide = fresh(drawn("cytology-dense", 2048, 9))
    record = survey(slide, replace(DENSE, sampler="bracket", score_downsample=1, audit=True)).record
    assert record is not None
    assert record.audit is not None
    mask_tiles = 16 * 16
    assert slide.decoded[0] >= record.decoded + record.audit.decoded + mask_tiles
    assert record.audit.checked > 0
    assert record.audit.low <= record.audit.wrong / record.audit.checked <= record.audit.high


def test_one_thread_and_many_give_one_map() -> None:
    slide = drawn("folded")
    one, many = (survey(fresh(slide), SurveyOptions(jobs=jobs)) for jobs in (1, 4))
    assert np.array_equal(one.plane, many.plane)
    assert np.array_equal(one.margin, many.margin, equal_nan=True)


def test_auto_says_which_sampler_and_why() -> None:
    record = survey(fresh(drawn("tissue")), SurveyOptions()).record
    assert record is not None
    assert record.sampler == "dense"
    assert "cell-planes" in record.why


@pytest.mark.parametrize(
    "options", [{"step": 2}, {"step": 4}, {"subtiles": 2}, {"scorer": "variance"}, {"scorer": "laplacian"}]
)
def test_cheaper_ways_of_scoring_mostly_agree(options: dict[str, Any]) -> None:
    slide = drawn("tissue")
    plain = survey(fresh(slide), replace(DENSE, score_downsample=1))
    other = survey(fresh(slide), replace(DENSE, score_downsample=1, **options))
    assert (np.abs(plain.plane - other.plane) <= 1).mean() > 0.9


def test_a_level_of_the_file_scores_as_shrinking_does(tmp_path: Path) -> None:
    write_container(drawn("tissue", 1024, 5), tmp_path / "a.ome.tif", ContainerOptions(codec="none", tile=128))
    with open_slide(tmp_path / "a.ome.tif") as slide:
        by_level = survey(slide, replace(DENSE, score_level=1))
        assert slide.decoded[1] > 0
        assert slide.decoded[0] == 0
        shrunk = survey(fresh(drawn("tissue", 1024, 5)), replace(DENSE, score_downsample=4))
        assert (by_level.plane == shrunk.plane).mean() > 0.95
        assert by_level.record is not None
        assert by_level.record.score_downsample == 4
        # One storage tile of the level holds 4 × 4 cells, and is decoded once per plane.
        assert by_level.record.decoded == 2 * 2 * 5


def test_one_plane_leaves_nothing_to_choose() -> None:
    slide = ArraySlide(drawn("tissue").stack[:1])
    focus = survey(slide)
    assert not focus.plane.any()
    assert slide.decoded.total() == 0
    assert focus.record is not None
    assert "one plane" in focus.record.why


def test_an_empty_slide_takes_the_middle_plane() -> None:
    focus = survey(ArraySlide(np.full((5, 300, 300, 3), 240, np.uint8)))
    assert (focus.plane == 2).all()
    assert (focus.how == How.GLASS).all()


def test_options_out_of_range_are_named() -> None:
    wrongs: tuple[dict[str, Any], ...] = (
        {"scorer": "best"}, {"ties": "guess"}, {"sampler": "none"}, {"step": 3}, {"subtiles": 0}, {"jobs": 0},
        {"score_downsample": 0.5}, {"score_downsample": 2, "score_level": 1},
            {"score_downsample": float("nan")}, {"score_downsample": float("inf")}, {"score_level": -1},
    )  # fmt: skip
    for wrong in wrongs:
        with pytest.raises(OptionError):
            SurveyOptions(**wrong)
    with pytest.raises(OptionError, match="no level 7"):
        survey(ArraySlide(np.zeros((2, 99, 99, 1), np.uint8)), SurveyOptions(score_level=7))


def test_progress_can_cancel() -> None:
    def cancel(stage: str, done: int, total: int) -> None:
        assert 0 < done <= total
        raise Cancelled(stage)

    with pytest.raises(Cancelled):
        survey(fresh(drawn("tissue")), SurveyOptions(), cancel)


def test_maps_save_and_load(tmp_path: Path) -> None:
    focus = survey(fresh(drawn("cytology-dense", 2048, 9)), SurveyOptions(sampler="bracket"))
    focus.save(tmp_path / "map.json")
    again = PlaneMap.load(tmp_path / "map.json")
    assert np.array_equal(again.plane, focus.plane)
    assert np.array_equal(again.how, focus.how)
    assert np.allclose(again.margin, focus.margin, rtol=1e-3, equal_nan=True)
    assert focus.record and again.record == replace(focus.record, seconds=0.0)
    assert again.z_um == focus.z_um


@pytest.mark.parametrize("text", ["", "{}", '{"format": "other", "version": 1}', "[1, 2]"])
def test_what_is_no_map_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(PlanishError, match=r"map\.json"):
        PlaneMap.load(tmp_path / "map.json")


def test_the_real_stack_uses_all_planes_whatever_holds_it(data: Callable[[str], Path], tmp_path: Path) -> None:
    folder = data("focal-stacks/pcb")
    with open_slide(folder) as slide:
        focus = survey(slide)
        assert set(np.unique(focus.plane)) == set(range(7))
        stack = np.stack([slide.read_region(0, z, 0, 0, 2048, 1536) for z in range(7)])
    source = ArraySlide(stack, z_um=[float(z) for z in range(7)])
    for name, options, exact in (
        ("exact.ome.tif", ContainerOptions("ome-tiff", codec="deflate", downsamples=(1,)), True),
        ("exact.svs", ContainerOptions("svs", codec="lzw", downsamples=(1,)), True),
        ("jpeg.ome.tif", ContainerOptions("ome-tiff", quality=80), False),
        ("jpeg.svs", ContainerOptions("svs", quality=80, color="rgb"), False),
        ("jpeg.ndpi", ContainerOptions("ndpi", quality=80), False),
    ):
        write_container(source, tmp_path / name, options)
        with open_slide(tmp_path / name) as slide:
            found = survey(slide, SurveyOptions(scorer="blur-difference"))
        if exact:
            assert np.array_equal(found.plane, focus.plane), name
        else:
            assert (found.plane == focus.plane).mean() >= 0.95, name
