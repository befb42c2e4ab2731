"""`PlaneMap`: which focal plane is sharp where, on the decision grid, and how that was found.

The *cell grid* lies on level-0 pixels, not on storage tiles: a cell is the storage tile where tiles are 128 to
512 px, else 256 × 256 px. A map saves as one JSON file that a person can read and edit.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from planish import jsonfields
from planish.errors import OptionError, PlanishError
from planish.recipe import Recipe

if TYPE_CHECKING:
    from planish.slide.base import Slide

FORMAT = "planish plane map"
VERSION = 1
SAME_Z = 0.01
"""µm by which the z of one plane may differ between a map and a slide: containers round it."""


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
    recipe : Recipe or None
        What to do in each cell, where that was decided for a method of composing.

    Raises
    ------
    OptionError
        Where sizes, shapes, planes, codes or z values do not fit each other.
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
    recipe: Recipe | None = None

    def __post_init__(self) -> None:
        if min(self.width, self.height, self.cell_width, self.cell_height) < 1:
            raise OptionError(
                f"plane map: sizes must be positive, got {self.width} × {self.height} px in cells of "
                f"{self.cell_width} × {self.cell_height}"
            )
        shape = (-(-self.height // self.cell_height), -(-self.width // self.cell_width))
        for name in ("plane", "margin", "how", "sharpness"):
            if getattr(self, name).shape != shape:
                raise OptionError(f"plane map: {name} is {getattr(self, name).shape}, the cell grid is {shape}")
        if not all(z is None or math.isfinite(z) for z in self.z_um):
            raise OptionError(f"plane map: z_um must be numbers or None, got {self.z_um}")
        _check_codes("plane", self.plane, range(len(self.z_um)))
        _check_codes("how", self.how, range(len(How)))
        if self.recipe:
            self.recipe.check(shape, len(self.z_um))

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

    def check_fits(self, slide: Slide) -> None:
        """Raise an error unless the map was made for this slide: its size, its number of planes, their z.

        Raises
        ------
        OptionError
            Where any differs; z only where map and slide both know it.
        """
        full = slide.levels[0]
        if (self.width, self.height) != (full.width, full.height):
            raise OptionError(
                f"{slide.name}: is {full.width} × {full.height} px, but the plane map is for {self.width} × "
                f"{self.height} px; give the map, --level and --region of this slide, or survey this slide"
            )
        if len(self.z_um) != len(slide.planes):
            raise OptionError(
                f"{slide.name}: has {len(slide.planes)} planes, but the plane map is for {len(self.z_um)}; "
                "give the same --planes as for the map, or survey this slide"
            )
        for plane, z_um in zip(slide.planes, self.z_um, strict=True):
            if plane.z_um is not None and z_um is not None and abs(plane.z_um - z_um) > SAME_Z:
                raise OptionError(
                    f"{slide.name}: plane {plane.index} is at {plane.z_um:g} µm, but the plane map has it at "
                    f"{z_um:g} µm; give the same --planes as for the map, or survey this slide"
                )

    def save(self, path: str | Path) -> None:
        """Write the map as JSON; rows of numbers stay on one line each, so that it can be read and edited."""
        record = asdict(self.record) if self.record else {}
        record.pop("seconds", None)  # the same decisions make the same file
        head = {
            "format": FORMAT,
            "version": VERSION,
            "width": self.width,
            "height": self.height,
            "cell_width": self.cell_width,
            "cell_height": self.cell_height,
            "z_um": self.z_um,
            "how_values": {how.name.lower(): int(how) for how in How},
            "record": record or None,
        }
        arrays = {
            "plane": self.plane.tolist(),
            "how": self.how.tolist(),
            "margin": _rounded(self.margin),
            "sharpness": _rounded(self.sharpness),
        }
        recipe = self.recipe.to_fields() if self.recipe else {}
        head["recipe"] = {key: recipe.pop(key) for key in ("method", "parameters", "noise") if key in recipe} or None
        arrays |= recipe
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
            return cls._parsed(json.loads(Path(path).read_text(encoding="utf-8")))
        except KeyError as error:
            found = f"it has no {error}"
        except RecursionError:
            found = "it is nested too deeply"
        except OSError as error:
            found = error.strerror or str(error)
        except (ValueError, TypeError, OverflowError) as error:
            found = str(error).removeprefix("plane map: ")
        raise PlanishError(
            f"{path}: not a plane map that planish {VERSION}.x can read ({found}); make one with planish flatten"
        )

    @classmethod
    def _parsed(cls, data: Any) -> PlaneMap:
        """Return the map that `save` wrote as `data`; raises ValueError, TypeError or KeyError where it is none."""
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ValueError(f"its format is not {FORMAT!r}")
        if jsonfields.whole(data, "version") > VERSION:
            raise ValueError(f"it is of version {data['version']}")
        return cls(
            plane=jsonfields.integers(data["plane"], "plane", np.int16),
            margin=jsonfields.floats(data["margin"], "margin"),
            how=jsonfields.integers(data["how"], "how", np.uint8),
            sharpness=jsonfields.floats(data["sharpness"], "sharpness"),
            z_um=jsonfields.numbers(data["z_um"], "z_um"),
            record=_survey_record(data.get("record")),
            recipe=Recipe.from_fields({**data, **data["recipe"]}) if data.get("recipe") else None,
            **{key: jsonfields.whole(data, key) for key in ("cell_width", "cell_height", "width", "height")},
        )


def _check_codes(name: str, codes: NDArray[Any], allowed: range) -> None:
    if codes.dtype.kind not in "iu":
        raise OptionError(f"plane map: {name} must hold whole numbers, got {codes.dtype}")
    if codes.min() < allowed.start or codes.max() >= allowed.stop:
        raise OptionError(
            f"plane map: {name} holds {codes.min()} to {codes.max()}, only {allowed.start} to {allowed.stop - 1} fit"
        )


def _rounded(values: NDArray[np.float32]) -> list[list[Any]]:
    """Four significant digits keep the file small; JSON has no NaN, so None stands for it."""
    wide = np.where(np.isfinite(values), values, 0).astype(np.float64)
    scale = 10.0 ** (3 - np.floor(np.log10(np.maximum(np.abs(wide), 1e-30))))
    rounded = np.round(wide * scale) / scale
    return [
        [value if finite else None for value, finite in zip(*row, strict=True)]
        for row in zip(rounded.tolist(), np.isfinite(values).tolist(), strict=True)
    ]


def _survey_record(data: Any) -> SurveyRecord | None:
    """Return as much of a record as there is: no plane hangs on it, so maps of other versions must load."""
    if not isinstance(data, dict):
        return None
    record, audit = jsonfields.known(SurveyRecord, data), data.get("audit")
    return replace(record, audit=jsonfields.known(Audit, audit)) if isinstance(audit, dict) else record
