"""Heatmap and focus image of a file: picture and record appear together or not at all, and early checks come early."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from makers import container, images, make_stack
from planish import pictures
from planish.convert import ConvertOptions, convert
from planish.errors import OptionError, OutputExists, PlanishError, WriteError
from planish.fuse.options import FuseOptions
from planish.pictures import HeatmapRun, draw_focus_image, draw_heatmap
from planish.report.focus_image import FocusImageOptions

DRAW = pytest.mark.parametrize("draw", [draw_heatmap, draw_focus_image])


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    (tmp_path / "Jane Doe").mkdir()
    return container(tmp_path / "Jane Doe", make_stack(), codec="deflate")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_heatmaps_record_tells_survey_and_source_but_no_name(slide: Path, out: Path) -> None:
    picture = draw_heatmap(slide, out / "map.png")
    assert names(out) == ["map.png", "map.record.json"]
    text = picture.record_path.read_text(encoding="utf-8")
    record = json.loads(text)
    assert "Jane" not in text and slide.stem not in text
    assert record["command"] == "heatmap"
    assert record["survey"]["specimen_cells"] > 0
    assert record["source"]["width"] == 520
    assert record["output"]["bytes"] == picture.path.stat().st_size
    assert {"open", "survey", "draw", "write", "total"} <= set(record["seconds"])


def test_a_focus_images_record_tells_its_options(slide: Path, out: Path) -> None:
    draw_focus_image(slide, out / "focus.png", FocusImageOptions(sigma=3, mask=True))
    record = json.loads((out / "focus.record.json").read_text(encoding="utf-8"))
    assert (record["command"], record["arguments"]["sigma"], record["survey"]) == ("focus", 3, None)
    assert (record["output"]["width"], record["output"]["height"]) == (520, 392)


@DRAW
@pytest.mark.parametrize("taken", ["a.png", "a.record.json"])
def test_overwriting_covers_both_files(draw: Any, taken: str, slide: Path, out: Path) -> None:
    (out / taken).write_text("mine")
    with pytest.raises(OutputExists):
        draw(slide, out / "a.png")
    assert (out / taken).read_text() == "mine"
    draw(slide, out / "a.png", overwrite=True)
    assert names(out) == ["a.png", "a.record.json"]
    assert (out / taken).stat().st_size > 100


@DRAW
def test_a_record_that_cannot_be_written_leaves_no_picture(
    draw: Any, slide: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(record: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("planish.report.record.RunRecord.to_json", full)
    with pytest.raises(WriteError):
        draw(slide, out / "a.png")
    assert names(out) == []


@DRAW
def test_what_can_be_checked_is_checked_before_the_slide_is_opened(
    draw: Any, slide: Path, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opened(*_: Any) -> None:
        raise AssertionError("the slide was opened first")

    monkeypatch.setattr(pictures, "open_slide", opened)
    monkeypatch.setattr(pictures, "open_selection", opened)
    (out / "a.record.json").touch()
    for name, error in (("a.jpg", OptionError), ("a.png", OutputExists), ("b/a.png", WriteError)):
        with pytest.raises(error):
            draw(slide, out / name)


@DRAW
def test_the_source_is_never_written_over(draw: Any, tmp_path: Path) -> None:
    folder = images(tmp_path, make_stack())
    picture = folder / "plane9.png"
    before = picture.read_bytes()
    for source, output in ((picture, picture), (folder, folder / "new.png"), (folder, picture)):
        with pytest.raises(WriteError):
            draw(source, output, overwrite=True)
    assert picture.read_bytes() == before
    assert len(names(folder)) == 4


def test_a_map_that_is_broken_is_told_before_the_survey(slide: Path, out: Path) -> None:
    (out / "m.json").write_text("{}")
    with pytest.raises(PlanishError, match=r"m\.json"):
        draw_heatmap(slide, out / "a.png", HeatmapRun(map_path=out / "m.json"))
    assert names(out) == ["m.json"]


def test_only_a_map_that_says_how_cells_were_composed_shows_it(slide: Path, out: Path) -> None:
    shapes = {}
    for method in ("select", "hybrid", "feather"):
        flat = convert(slide, out / f"{method}.tif", ConvertOptions(fuse=FuseOptions(method)))
        record = draw_heatmap(slide, out / f"{method}-map.png", HeatmapRun(map_path=flat.map)).record
        shapes[method] = record.output["width"], record.output["height"]
    surveyed = draw_heatmap(slide, out / "survey.png").record.output
    assert shapes["select"] == (surveyed["width"], surveyed["height"])
    assert shapes["hybrid"] == shapes["feather"]
    assert shapes["hybrid"][1] > surveyed["height"]


def test_a_map_of_other_planes_is_refused(slide: Path, out: Path) -> None:
    from planish.convert import Selection
    from planish.planemap import PlaneMap

    z = (0.0, 1.5)
    one = np.zeros((2, 3), np.float32)
    PlaneMap(one.astype(np.int16), one, one.astype(np.uint8), one, 256, 256, 520, 392, z).save(out / "m.json")
    run = HeatmapRun(Selection(planes=(1, 3)), map_path=out / "m.json")
    draw_heatmap(slide, out / "a.png", run)
    with pytest.raises(OptionError, match="µm"):
        draw_heatmap(slide, out / "b.png", HeatmapRun(Selection(planes=(0, 2)), map_path=out / "m.json"))
