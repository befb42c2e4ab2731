"""Choosing planes by byte counts: as good as scoring everything, hardly anything decoded, refused where it must be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arrays import ArraySlide
from makers import container, make_stack
from planish.focus.grid import CellGrid
from planish.focus.options import SurveyOptions
from planish.focus.sizes import SizeSampler, cell_sizes, level_floors
from planish.focus.survey import survey
from planish.model import Box
from planish.phantom.containers import ContainerOptions, write_container
from planish.planemap import How
from planish.slide.open import open_slide
from planish.slide.views import RegionView
from test_survey import drawn

FULL = SurveyOptions("blur-difference", sampler="dense", audit=False, score_downsample=1)


def svs(folder: Path, kind: Any, **options: Any) -> Path:
    path = folder / "stack.svs"
    write_container(drawn(kind, 1024, 9), path, ContainerOptions("svs", **{"tile": 128, **options}))
    return path


@pytest.mark.parametrize("kind", ["tissue", "folded", "cytology-dense"])
def test_it_agrees_with_scoring_everything(kind: str, tmp_path: Path) -> None:
    with open_slide(svs(tmp_path, kind)) as slide:
        wanted, found = survey(slide, FULL), survey(slide)
    specimen, record = wanted.specimen, found.record
    assert record is not None
    assert record.scorer == "encoded-size"
    assert (found.plane == wanted.plane)[specimen].mean() >= 0.98
    assert record.decoded == record.measured < 0.3 * record.specimen_tile_planes
    assert record.tied == (found.how == How.SAMPLED).sum()


def test_bytes_alone_decode_nothing_but_the_mask(tmp_path: Path) -> None:
    with open_slide(svs(tmp_path, "tissue")) as slide:
        record = survey(slide, SurveyOptions(ties="bytes")).record
        assert record is not None
        assert slide.decoded.total() == record.mask_decoded
        assert (record.decoded, record.measured, record.tied) == (0, 0, 0)


def test_the_real_stack_by_bytes(data: Callable[[str], Path], tmp_path: Path) -> None:
    with open_slide(data("focal-stacks/pcb")) as slide:
        stack = np.stack([slide.read_region(0, z, 0, 0, 2048, 1536) for z in range(7)])
    write_container(ArraySlide(stack, z_um=[float(z) for z in range(7)]), tmp_path / "pcb.svs", ContainerOptions("svs"))
    with open_slide(tmp_path / "pcb.svs") as slide:
        assert np.array_equal(survey(slide).plane, survey(slide, FULL).plane)


def test_cells_take_the_bytes_of_all_their_tiles(tmp_path: Path) -> None:
    small = container(tmp_path, make_stack(), kind="svs", tile=64)
    with open_slide(small) as slide:
        sizes = cell_sizes(slide, CellGrid.of(slide))
        counted = slide.encoded_sizes(0)
        assert not isinstance(sizes, str)
        assert counted is not None
        assert sizes.shape == (2, 3, 4)
        assert sizes[0, 0].tolist() == counted[:, :4, :4].sum((1, 2)).tolist()
        assert sizes[1, 2].tolist() == counted[:, 4:, 8:].sum((1, 2)).tolist()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"kind": "ndpi"}, "do not make up cells"),
        ({"codec": "lzw"}, "lossless"),
        ({"codec": "deflate", "tiled": False}, "strips"),
    ],
)
def test_what_tells_nothing_is_refused_with_the_reason(options: dict[str, Any], reason: str, tmp_path: Path) -> None:
    with open_slide(container(tmp_path, np.tile(make_stack(), (1, 1, 2, 1)), **options)) as slide:
        found = cell_sizes(slide, CellGrid.of(slide))
        assert isinstance(found, str)
        assert reason in found


def test_a_region_has_bytes_where_it_starts_on_the_grid(tmp_path: Path) -> None:
    with open_slide(svs(tmp_path, "tissue")) as slide:
        whole = slide.encoded_sizes(0)
        part = RegionView(slide, region=Box(512, 512, 300, 400)).encoded_sizes(0)
        assert whole is not None
        assert part is not None
        assert np.array_equal(part, whole[:, 4:8, 4:7])
        off = RegionView(slide, region=Box(500, 512, 300, 400))
        assert off.encoded_sizes(0) is None
        assert "grid" in (off.sizes_refusal(0) or "")


def test_what_noise_alone_adds_to_a_plane_is_taken_off() -> None:
    rng = np.random.default_rng(0)
    glass = np.arange(40)[:, None] < np.full(40, 20)
    sizes = rng.normal(1000, 10, (40, 40, 5)).astype(np.float32)
    sizes[~glass, 3] += 500
    noisy = sizes + np.array([0, 900, 0, 0, 0], np.float32)
    mask = ~glass
    assert (SizeSampler(mask, noisy, 0).plane[mask] == 1).all()
    assert (SizeSampler(mask, level_floors(noisy, glass), 0).plane[mask] == 3).all()
    few = np.zeros_like(glass)
    few[0, :10] = True
    assert level_floors(noisy, few) is noisy


def test_only_near_ties_are_asked_for_and_the_sharper_wins() -> None:
    sizes = np.array([[[100, 98, 50], [100, 90, 50]]], np.float32)
    sampler = SizeSampler(np.ones((1, 2), bool), sizes, 0.05)
    assert sampler.pending().tolist() == [[0, 0, 0], [0, 0, 1]]
    sampler.feed([[0, 0, 0], [0, 0, 1], [0, 0, 2]], [1.0, 2.0, 9.0])
    assert sampler.done
    assert sampler.plane.tolist() == [[1, 0]]
    assert sampler.how.tolist() == [[How.SAMPLED, How.BYTES]]
    assert sampler.sharpness.tolist() == [[98, 100]]
