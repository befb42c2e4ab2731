"""`Parameters`: what registration and intensity matching found, one row per time point; the lookup table as CSV."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import isfinite, nan
from pathlib import Path
from typing import Any

from planish.errors import SlideError, SlideNotFound
from planish.files import replacing

_WHOLE = ("specimen", "time", "first_camera", "channel")
_DIGITS = 6
"""After the point: a millionth of a pixel."""


Place = tuple[int, int, int, int, int]
"""Specimen, cameras (-1 for none), channel, time."""


@dataclass(frozen=True)
class Parameters:
    """What brings the second camera onto the first, and a channel onto the first channel, at one time point.

    Attributes
    ----------
    specimen, time : int
        Numbers as the files have them.
    first_camera, second_camera : int
        The pair; None for the second one where there is one camera only.
    channel : int
        The channel.
    dx, dy, angle_deg : float
        The second camera's shift in pixels and its turn, as `CameraTransform` has them.
    gain : float
        The second camera is multiplied by it.
    first_background, second_background : float
        Counts that were taken off both cameras.
    dz, angle_xz_deg : float
        The channel's shift in planes and its turn, as `ChannelTransform` has them.
    channel_gain : float
        The channel is multiplied by it.
    score : float
        Correlation of the registered pair, -1 to 1.
    note : str
        What a reader should know.

    A number that was not measured is NaN.
    """

    specimen: int
    time: int
    first_camera: int
    second_camera: int | None
    channel: int
    dx: float = nan
    dy: float = nan
    angle_deg: float = nan
    gain: float = nan
    first_background: float = nan
    second_background: float = nan
    dz: float = nan
    angle_xz_deg: float = nan
    channel_gain: float = nan
    score: float = nan
    note: str = ""

    @property
    def series(self) -> tuple[int, int, int, int]:
        """Specimen, cameras and channel: what rows of one series share, in the order of a table."""
        return self.specimen, self.first_camera, -1 if self.second_camera is None else self.second_camera, self.channel

    @property
    def place(self) -> Place:
        """What tells a row from all others: its series, and the time."""
        return (*self.series, self.time)


COLUMNS = tuple(field.name for field in fields(Parameters))
NUMBERS = tuple(name for name in COLUMNS if name not in (*_WHOLE, "second_camera", "note"))
"""Columns of floats."""


def write_table(path: str | Path, rows: Iterable[Parameters], *, overwrite: bool = False) -> Path:
    """Write a lookup table as CSV, by series and time; empty cells for NaN.

    Raises
    ------
    OutputExists, WriteError
        Where the file is there and may not be replaced, or cannot be written.
    """
    path = Path(path)
    ordered = sorted(rows, key=lambda row: (row.series, row.time))
    with replacing(path, overwrite=overwrite) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows([_cell(getattr(row, name)) for name in COLUMNS] for row in ordered)
    return path


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return repr(round(value, _DIGITS)) if isfinite(value) else ""
    return str(value)


def read_table(path: str | Path) -> tuple[Parameters, ...]:
    """Read a lookup table, also as a spreadsheet saved it; columns of numbers may be missing, and are NaN then.

    Raises
    ------
    SlideNotFound
        Where there is no such file.
    SlideError
        Where it is no such table: a column is unknown, twice there or missing, a cell is no number, or a series has a
        time point twice.
    """
    path = Path(path)
    try:
        # A spreadsheet may have put a byte order mark first.
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = list(csv.reader(file, strict=True))
    except FileNotFoundError as error:
        raise SlideNotFound(f"{path}: no such file; check the name") from error
    except OSError as error:
        raise SlideError(f"{path}: cannot be read ({error.strerror}); check what it is") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise SlideError(f"{path}: no CSV in UTF-8 ({error}); save the table as such") from error
    if not lines:
        raise SlideError(f"{path}: is empty; estimate the parameters again")
    header = [name.strip() for name in lines[0]]
    _check_header(path, header)
    rows = [_row(path, number, header, cells) for number, cells in enumerate(lines[1:], 2) if any(cells)]
    _check_unique(path, rows)
    return tuple(rows)


def _check_header(path: Path, header: Sequence[str]) -> None:
    unknown = [name for name in header if name not in COLUMNS]
    if unknown:
        hint = "save it with commas between the cells" if ";" in unknown[0] or "\t" in unknown[0] else "remove it"
        raise SlideError(f"{path}: unknown column {unknown[0]!r:.80}; {hint}; known are {', '.join(COLUMNS)}")
    if len(set(header)) < len(header):
        raise SlideError(f"{path}: column {max(header, key=header.count)} is there twice; remove one")
    missing = [name for name in (*_WHOLE, "second_camera") if name not in header]
    if missing:
        raise SlideError(f"{path}: no column {missing[0]}; rows cannot be told apart without it")


def _row(path: Path, number: int, header: Sequence[str], cells: Sequence[str]) -> Parameters:
    if len(cells) != len(header):
        raise SlideError(f"{path}: line {number} has {len(cells)} cells, and the first one {len(header)}; mend it")
    values: dict[str, Any] = {}
    for name, cell in zip(header, (cell.strip() for cell in cells), strict=True):
        try:
            values[name] = _value(name, cell)
        except ValueError as error:
            kind = "number" if name in NUMBERS else "whole number"
            raise SlideError(f"{path}: line {number}: {name} is {cell!r:.40}, no {kind}; mend the cell") from error
    return Parameters(**values)


def _value(name: str, cell: str) -> Any:
    if name == "note":
        return cell
    if name in NUMBERS:
        return float(cell) if cell else nan
    return None if name == "second_camera" and not cell else int(cell)


def _check_unique(path: Path, rows: Sequence[Parameters]) -> None:
    seen = set()
    for row in rows:
        if row.place in seen:
            raise SlideError(
                f"{path}: specimen {row.specimen}, time {row.time}, cameras {row.first_camera} and "
                f"{row.second_camera}, channel {row.channel} is there twice; remove one row"
            )
        seen.add(row.place)
