"""`PlaneMap`: which focal plane is sharp where, on the decision grid, and how that was found.

The *cell grid* lies on level-0 pixels, not on storage tiles: a cell is the storage tile where tiles are 128 to
512 px, else 256 × 256 px. A map saves as one JSON file that a person can read and edit.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import PlanishError

FORMAT = "planish plane map"
VERSION = 1


class How(IntEnum):
    """How a cell's plane was decided."""

    DENSE = 0
    """Every plane was scored."""
    SAMPLED = 1
    """Some planes were scored, the best of them and its neighbours among them."""
    INFERRED = 2
    """Filled in between scored cells that agree."""
    GLASS = 3
    """No specimen: takes the plane of the nearest specimen."""
    BYTES = 4
    """By the bytes that the scanner spent on each plane; nothing was decoded."""


@dataclass(frozen=True, slots=True)
class Audit:
    """Inferred and sampled cells scored again in full.

    Attributes
    ----------
    checked, wrong : int
        Cells drawn, and those whose plane was not the best one.
    low, high : float
        Clopper-Pearson interval of the error rate at `confidence`.
    rounds : int
        How often the survey was repaired around the errors and audited afresh, plus one.
    decoded : int
        Tile-planes decoded for it, not counted in the survey's own.
    """

    checked: int
    wrong: int
    low: float
    high: float
    confidence: float = 0.95
    rounds: int = 1
    decoded: int = 0


@dataclass(frozen=True, slots=True)
class SurveyRecord:
    """What a survey did, for the record beside the output.

    ``decoded`` counts storage tile-planes as the reader does, at the level scored, audit excluded; ``measured`` counts
    cell-planes scored; ``inferred`` counts specimen cells filled in without a score; ``mask_decoded`` counts what told
    specimen from glass, on whatever level; ``tied`` counts cells whose byte counts were too close to tell.
    """

    scorer: str
    scorer_why: str
    score_downsample: float
    step: int
    subtiles: int
    sampler: str
    why: str
    specimen_cells: int
    glass_cells: int
    decoded: int = 0
    measured: int = 0
    inferred: int = 0
    specimen_tile_planes: int = 0
    mask_decoded: int = 0
    tied: int = 0
    audit: Audit | None = None
    seconds: float = 0.0


@dataclass(frozen=True, eq=False)
class PlaneMap:
    """The chosen plane of every cell.

    Attributes
    ----------
    plane : ndarray of int16, (rows, columns)
        Plane index, 0 = lowest z.
    margin : ndarray of float32, (rows, columns)
        (best − second best) / best of the scores, 0 to 1; NaN where fewer than two planes were scored.
    how : ndarray of uint8, (rows, columns)
        Values of `How`.
    sharpness : ndarray of float32, (rows, columns)
        Score of the chosen plane, in the scorer's own unit; NaN where it was not scored.
    cell_width, cell_height : int
        Size of a cell in level-0 pixels.
    width, height : int
        Size of the slide in level-0 pixels.
    z_um : tuple of (float or None)
        z of every plane in µm.
    record : SurveyRecord or None
        What the survey did; None for a map made by hand.
    """

    plane: NDArray[np.int16]
    margin: NDArray[np.float32]
    how: NDArray[np.uint8]
    sharpness: NDArray[np.float32]
    cell_width: int
    cell_height: int
    width: int
    height: int
    z_um: tuple[float | None, ...]
    record: SurveyRecord | None = None

    def __post_init__(self) -> None:
        shape = (-(-self.height // self.cell_height), -(-self.width // self.cell_width))
        for name in ("plane", "margin", "how", "sharpness"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"plane map: {name} is {getattr(self, name).shape}, the cell grid is {shape}")
        if self.plane.size and not (self.plane.min() >= 0 and self.plane.max() < len(self.z_um)):
            raise ValueError(f"plane map: planes must be 0 to {len(self.z_um) - 1}")

    @property
    def rows(self) -> int:
        """Number of cell rows."""
        return int(self.plane.shape[0])

    @property
    def columns(self) -> int:
        """Number of cell columns."""
        return int(self.plane.shape[1])

    @property
    def specimen(self) -> NDArray[np.bool_]:
        """(rows, columns): True where the cell holds specimen."""
        return np.asarray(self.how != How.GLASS)

    def save(self, path: str | Path) -> None:
        """Write the map as JSON; rows of numbers stay on one line each, so that it can be read and edited."""
        head = {
            "format": FORMAT,
            "version": VERSION,
            "width": self.width,
            "height": self.height,
            "cell_width": self.cell_width,
            "cell_height": self.cell_height,
            "z_um": self.z_um,
            "how_values": {how.name.lower(): int(how) for how in How},
            "record": asdict(self.record) if self.record else None,
        }
        arrays = {
            "plane": self.plane.tolist(),
            "how": self.how.tolist(),
            "margin": _rounded(self.margin),
            "sharpness": _rounded(self.sharpness),
        }
        parts = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in head.items()]
        parts += [
            f"{json.dumps(key)}: [\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"
            for key, rows in arrays.items()
        ]
        Path(path).write_text("{\n" + ",\n".join(parts) + "\n}\n", encoding="utf-8")

    @classmethod
    def load(cls, path: str | Path) -> PlaneMap:
        """Read a map written by `save`.

        Raises
        ------
        PlanishError
            Where the file is not such a map, naming what was found.
        """
        try:
            data = json.loads(Path(path).read_text(encoding="utf-8"))
            if data["format"] != FORMAT or data["version"] > VERSION:
                raise ValueError(f"it says {data['format']!r}, version {data['version']}")
            record = data["record"]
            if record:
                record["audit"] = Audit(**record["audit"]) if record["audit"] else None
            return cls(
                plane=np.array(data["plane"], np.int16),
                margin=_floats(data["margin"]),
                how=np.array(data["how"], np.uint8),
                sharpness=_floats(data["sharpness"]),
                z_um=tuple(data["z_um"]),
                record=SurveyRecord(**record) if record else None,
                **{key: int(data[key]) for key in ("cell_width", "cell_height", "width", "height")},
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PlanishError(
                f"{path}: not a plane map that planish {VERSION}.x can read ({error}); make one with planish flatten"
            ) from error


def _rounded(values: NDArray[np.float32]) -> list[list[Any]]:
    """Four significant digits keep the file small; JSON has no NaN, so None stands for it."""
    return [[None if np.isnan(value) else float(f"{value:.4g}") for value in row] for row in values]


def _floats(rows: list[list[float | None]]) -> NDArray[np.float32]:
    return np.array([[np.nan if value is None else value for value in row] for row in rows], np.float32)
