"""The lookup table, and parameters smoothed over time."""

from __future__ import annotations

from dataclasses import replace
from math import isnan, nan
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from planish.errors import OptionError, OutputExists, SlideError, SlideNotFound
from planish.lightsheet.parameters import COLUMNS, Parameters, read_table, write_table
from planish.lightsheet.phantom import PhantomOptions
from planish.lightsheet.phantom_series import PhantomSeries, SeriesPhantomOptions
from planish.lightsheet.series import SeriesOptions, smooth

KEY = "specimen,time,first_camera,second_camera,channel"


def rows(dx: list[float], **others: int) -> list[Parameters]:
    key: dict[str, Any] = {"specimen": 0, "first_camera": 0, "second_camera": 1, "channel": 0, **others}
    return [Parameters(time=time, dx=value, **key) for time, value in enumerate(dx)]


def phantom_rows(seed: int, missing: set[int]) -> tuple[PhantomSeries, list[Parameters]]:
    series = PhantomSeries(SeriesPhantomOptions(phantom=PhantomOptions(seed=seed)))
    seen = series.course.seen.tolist()
    return series, [Parameters(0, time, 0, 1, 0, *found) for time, found in enumerate(seen) if time not in missing]


def test_a_table_survives_the_file(tmp_path: Path) -> None:
    table = (
        Parameters(0, 3, 0, 1, 0, 12.25, -7.5, 0.625, 1.43, 100.5, 99.0, score=0.98, note='dx was off by "3", twice'),
        Parameters(0, 3, 2, None, 1, dz=1.5, angle_xz_deg=-0.25, channel_gain=1.1),
    )
    found = read_table(write_table(tmp_path / "table.csv", reversed(table)))
    assert [repr(row) for row in found] == [repr(row) for row in table]


def test_a_table_is_plain_csv_with_empty_cells_for_what_is_unknown(tmp_path: Path) -> None:
    path = write_table(tmp_path / "table.csv", [Parameters(0, 7, 0, 1, 0, 0.1 + 0.2)])
    assert path.read_text(encoding="utf-8").splitlines() == [",".join(COLUMNS), "0,7,0,1,0,0.3" + "," * 10]


def test_a_table_is_replaced_only_when_asked_for(tmp_path: Path) -> None:
    path = write_table(tmp_path / "table.csv", rows([1]))
    with pytest.raises(OutputExists):
        write_table(path, rows([2]))
    assert read_table(write_table(path, rows([2]), overwrite=True))[0].dx == 2


def test_a_table_that_a_spreadsheet_saved_is_read(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text(f"\ufeff{KEY}, dx\r\n0,1,0,1,0, 2.5\r\n,,,,,\r\n", encoding="utf-8")
    (row,) = read_table(path)
    assert row.dx == 2.5
    assert isnan(row.dy)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        (f"{KEY},shift\n", "unknown column 'shift'; remove it; known are specimen, time"),
        (f"{KEY},dx\n".replace(",", ";"), "save it with commas"),
        (f"{KEY},dx,dx\n", "column dx is there twice"),
        ("specimen,first_camera,second_camera,channel,dx\n", "no column time"),
        (f"{KEY},dx\n0,1,0,1,0,1\n0,2,0,1,0,left\n", "line 3: dx is 'left', no number"),
        (f"{KEY},dx\n0,1.5,0,1,0,1\n", "line 2: time is '1.5', no whole number"),
        (f"{KEY},dx\n0,1,0,1,0,1,5\n", "line 2 has 7 cells, and the first one 6"),
        (f"{KEY}\n0,1,0,1,0\n0,1,0,1,0\n", "specimen 0, time 1, cameras 0 and 1, channel 0 is there twice"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "table.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SlideError, match=message) as error:
        read_table(path)
    assert str(path) in str(error.value)


def test_a_table_in_another_encoding_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_bytes(f"{KEY},note\n0,1,0,1,0,".encode() + b"\xfc\n")
    with pytest.raises(SlideError, match="no CSV in UTF-8"):
        read_table(path)


def test_a_missing_table_is_said(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFound, match="no such file"):
        read_table(tmp_path / "table.csv")


@pytest.mark.parametrize("seed", range(5))
def test_a_drifting_series_is_found_again_below_outliers_and_gaps(seed: int) -> None:
    missing = {40, 41, 42}
    series, table = phantom_rows(seed, missing)
    found = smooth(table)
    error = np.array([[row.dx, row.dy, row.angle_deg] for row in found]) - series.course.smooth
    assert (np.sqrt(np.mean(error**2, axis=0)) <= [0.15, 0.15, 0.01]).all()
    noted = {row.time for row in found if "was off by" in row.note}
    assert set(np.flatnonzero(series.course.outlier)) - missing <= noted
    assert [row.time for row in found if row.note == "interpolated"] == sorted(missing)


def test_an_outlier_is_named_with_its_size() -> None:
    values = [0.01 * (time % 3) for time in range(60)]
    values[20] += 9
    found = smooth(rows(values))
    assert found[20].note.startswith("dx was off by +9")
    assert abs(found[20].dx) < 0.05
    assert not any(row.note for row in found if row.time != 20)


def test_notes_of_the_table_are_kept() -> None:
    table = [replace(row, note="by hand") for row in rows([1, 2, 3])]
    assert [row.note for row in smooth(table)] == ["by hand"] * 3


def test_static_is_the_mean_over_time() -> None:
    found = smooth(rows([5 + 0.1 * time for time in range(41)]), SeriesOptions(static=True))
    assert {round(row.dx, 6) for row in found} == {7.0}


def test_a_straight_drift_stays_straight_to_its_ends() -> None:
    values = [0.25 * time for time in range(50)]
    assert np.allclose([row.dx for row in smooth(rows(values))], values)


def test_running_averages_reach_as_far_as_told() -> None:
    values = [float(time % 2) for time in range(60)]
    middle = smooth(rows(values), SeriesOptions(window=4, offsets=10))[30].dx
    courses = [row.dx for row in smooth(rows(values), SeriesOptions(window=4, offsets=0))]
    assert middle == pytest.approx(np.mean(courses[20:41]))


def test_series_do_not_mix() -> None:
    found = smooth(rows([1] * 9) + rows([2] * 9, channel=1) + rows([3] * 9, first_camera=2, second_camera=3))
    assert [round(row.dx, 6) for row in found] == [1] * 9 + [2] * 9 + [3] * 9


def test_what_was_not_measured_stays_unknown() -> None:
    assert all(isnan(row.gain) for row in smooth(rows([1.0] * 8)))


def test_time_points_can_be_asked_for() -> None:
    found = smooth(rows([2, 2, 2, 2]), times=[1, 6])
    assert [row.time for row in found] == [0, 1, 2, 3, 6]
    assert found[-1].dx == pytest.approx(2)
    assert isnan(found[-1].score)


def test_one_failed_time_point_takes_its_neighbours_value() -> None:
    assert smooth(rows([1, 1, nan, 1, 1]))[2].dx == pytest.approx(1)


def test_a_time_point_twice_is_refused() -> None:
    with pytest.raises(OptionError, match="time point twice"):
        smooth(rows([1]) + rows([2]))


@pytest.mark.parametrize("options", [{"window": 3}, {"offsets": -1}])
def test_options_out_of_range_are_refused(options: dict[str, int]) -> None:
    with pytest.raises(OptionError):
        SeriesOptions(**options)  # type: ignore[arg-type]  # static is a bool
