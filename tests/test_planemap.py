"""Plane maps from files that were edited, broken, or made for another slide."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arrays import ArraySlide
from planish.errors import OptionError, PlanishError
from planish.planemap import Audit, How, PlaneMap, SurveyRecord

RECORD = SurveyRecord("brenner", "as asked", 4.0, 1, 1, "bracket", "as asked", 3, 1, audit=Audit(5, 1, 0.1, 0.4))


def make_map(z_um: tuple[float | None, ...] = (0.0, 0.5, 1.0)) -> PlaneMap:
    """Return a map of 2 × 2 cells."""
    half = np.full((2, 2), 0.5, np.float32)
    plane, how = np.array([[0, 1], [2, 1]], np.int16), np.full((2, 2), How.DENSE, np.uint8)
    return PlaneMap(plane, half, how, half.copy(), 256, 256, 400, 300, z_um, RECORD)


def slide(width: int = 400, height: int = 300, z_um: tuple[float, ...] | None = (0.0, 0.5, 1.0)) -> ArraySlide:
    return ArraySlide(np.zeros((3 if z_um is None else len(z_um), height, width, 1), np.uint8), z_um=z_um)


def edited(folder: Path, **changes: Any) -> Path:
    """Save a map with some fields changed, or left out where the value is `...`."""
    path = folder / "map.json"
    make_map().save(path)
    data = json.loads(path.read_text(encoding="utf-8")) | changes
    path.write_text(json.dumps({key: value for key, value in data.items() if value is not ...}), encoding="utf-8")
    return path


BROKEN: list[dict[str, Any]] = [
    {"plane": [[0, 1], [1.7, 1]]},
    {"plane": [[0, 1], [70_000, 1]]},
    {"plane": [[0, 1], [10**30, 1]]},
    {"plane": [[0, 1], [3, 1]]},
    {"plane": [[0, 1], [-1, 1]]},
    {"plane": [[0, 1], [2]]},
    {"plane": [[0, 1], ["2", 1]]},
    {"plane": [[0, 1], [None, 1]]},
    {"plane": 5},
    {"plane": []},
    {"how": [[0, 0], [0, 9]]},
    {"how": [[0, 0], [0, 256]]},
    {"how": [[0, 0], [0, 0.5]]},
    {"how": ...},
    {"margin": [[0.5, 0.5]]},
    {"margin": [["0.5", 0.5], [0.5, 0.5]]},
    {"margin": 1},
    {"sharpness": [[1e39, 0.5], [0.5, None]]},
    {"sharpness": [[float("inf"), 0.5], [0.5, None]]},
    {"cell_width": 0},
    {"cell_height": -256},
    {"width": 0},
    {"width": 400.5},
    {"width": True},
    {"height": "300"},
    {"z_um": []},
    {"z_um": None},
    {"z_um": [0, "0.5", 1]},
    {"z_um": [0, float("nan"), 1]},
    {"z_um": [0, 10**400, 1]},
    {"z_um": [0, 1]},
    {"version": 2},
    {"version": "1"},
    {"format": ["planish plane map"]},
]


@pytest.mark.parametrize("changes", BROKEN, ids=lambda changes: str(changes)[:40])
def test_what_does_not_fit_is_refused_in_one_line_with_the_files_name(changes: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(PlanishError, match=r"map\.json") as refused:
        PlaneMap.load(edited(tmp_path, **changes))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"format": ' * 50_000, "\ud800".encode("utf-16", "surrogatepass")])
def test_what_breaks_the_json_parser_is_refused(text: str | bytes, tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(PlanishError, match=r"map\.json"):
        PlaneMap.load(path)


def test_a_map_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(PlanishError, match=r"none\.json.*No such file"):
        PlaneMap.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    "record",
    [
        None,
        "lost",
        {},
        {"scorer": "brenner"},
        {"invented": 1, "audit": {"checked": "many", "invented": 2}},
        {"decoded": "many", "audit": 7, "scorer": None},
    ],
    ids=str,
)
def test_the_record_of_another_version_does_not_matter(record: Any, tmp_path: Path) -> None:
    found = PlaneMap.load(edited(tmp_path, record=record))
    assert np.array_equal(found.plane, make_map().plane)
    assert (found.record is None) == (not isinstance(record, dict))


def test_what_a_record_holds_rightly_is_kept(tmp_path: Path) -> None:
    assert PlaneMap.load(edited(tmp_path)).record == RECORD
    found = PlaneMap.load(edited(tmp_path, record={"scorer": "brenner", "decoded": 7, "audit": {"checked": 3}})).record
    assert found is not None
    assert (found.scorer, found.decoded, found.sampler) == ("brenner", 7, "")
    assert found.audit == Audit(3, 0, 0.0, 0.0)


def test_whole_numbers_written_as_1_0_are_taken(tmp_path: Path) -> None:
    found = PlaneMap.load(edited(tmp_path, plane=[[0.0, 1.0], [2.0, 1.0]]))
    assert found.plane.dtype == np.int16
    assert np.array_equal(found.plane, make_map().plane)


def test_scores_without_bound_are_saved_as_unknown(tmp_path: Path) -> None:
    focus = make_map()
    focus.sharpness[0] = np.inf, np.nan
    focus.save(tmp_path / "map.json")
    assert "Infinity" not in (tmp_path / "map.json").read_text(encoding="utf-8")
    assert np.isnan(PlaneMap.load(tmp_path / "map.json").sharpness[0]).all()


@pytest.mark.parametrize(
    "changes",
    [{"cell_width": 0}, {"width": -400}, {"plane": np.zeros((2, 2))}, {"how": np.full((2, 2), 9)}, {"z_um": (0.0, 1.0)},
     {"z_um": (0.0, float("inf"), 1.0)}, {"margin": np.zeros((1, 2), np.float32)}],
    ids=str,
)  # fmt: skip
def test_a_map_made_by_hand_is_checked_too(changes: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="plane map"):
        replace(make_map(), **changes)


def test_a_map_fits_its_slide_and_those_that_do_not_know_z() -> None:
    make_map().check_fits(slide())
    make_map().check_fits(slide(z_um=None))
    make_map().check_fits(slide(z_um=(0.0, 0.5004, 0.9996)))
    make_map((None, None, None)).check_fits(slide())


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (slide(width=401), "401 × 300"),
        (slide(z_um=(0.0, 0.5)), "2 planes"),
        (slide(z_um=(0.0, 0.5, 1.0, 1.5)), "4 planes"),
        (slide(z_um=(0.5, 1.0, 1.5)), "plane 0 is at 0.5 µm"),
    ],
)
def test_another_slide_is_told_from_the_maps_own(other: ArraySlide, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make_map().check_fits(other)
