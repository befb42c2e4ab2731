"""`Recipe`: what to do in each cell of the decision grid, decided once for the whole slide and saved with its map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish import jsonfields
from planish.errors import OptionError


class Action(IntEnum):
    """How a cell is composed."""

    COPY = 0
    """From its plane, as it is."""
    FUSE = 1
    """Pixel by pixel, out of a range of planes."""
    RAMP = 2
    """From its plane, passing into its neighbours' planes at its borders."""


SIDES = ("left", "right", "top", "bottom")
NEIGHBOURS = ((0, -1), (0, 1), (-1, 0), (1, 0))
"""Rows and columns to the neighbour on each side."""
NO_RAMP, FULL_RAMP, HALF_RAMP = 0, 1, 2
"""At a side: none; all the way into the neighbour's plane; halfway, as the neighbour does from its side."""


@dataclass(frozen=True, eq=False)
class Recipe:
    """What to do in each cell.

    Attributes
    ----------
    method : str
        ``"hybrid"`` or ``"feather"``.
    parameters : mapping of str to float
        Of the method.
    action : ndarray of uint8, (rows, columns)
        Values of `Action`.
    ramp : ndarray of uint8, (rows, columns)
        Ramps at the four sides, Σ ramp·3^side in the order of `SIDES`.
    lowest, highest : ndarray of int16, (rows, columns)
        First and last plane that a cell is fused of; its plane where it is not fused.
    overlap : ndarray of uint8, (rows, columns)
        1 where two planes are sharp at once: structures that lie over each other, of which one plane shows but one.
    noise : tuple of float
        On each level that is fused, the Laplacian energy of what holds no detail, in (grey levels)².
    """

    method: str
    parameters: Mapping[str, float]
    action: NDArray[np.uint8]
    ramp: NDArray[np.uint8]
    lowest: NDArray[np.int16]
    highest: NDArray[np.int16]
    overlap: NDArray[np.uint8]
    noise: tuple[float, ...]

    def ramp_at(self, row: int, column: int, side: int) -> int:
        """Return the ramp at one side of a cell."""
        return int(self.ramp[row, column]) // int(3**side) % 3

    def count(self, action: Action) -> int:
        """Return how many cells have an action."""
        return int((self.action == action).sum())

    def suits(self, plane: NDArray[np.int16]) -> bool:
        """Whether each cell's plane is among those that it was to be composed of: they may have been edited since."""
        return bool(((self.lowest <= plane) & (plane <= self.highest)).all())

    def check(self, shape: tuple[int, ...], planes: int) -> None:
        """Raise OptionError unless the recipe is for a map of this many cells and planes."""
        for name, most in (
            ("action", 2),
            ("ramp", 80),
            ("lowest", planes - 1),
            ("highest", planes - 1),
            ("overlap", 1),
        ):
            values = getattr(self, name)
            if values.shape != shape:
                raise OptionError(f"plane map: recipe: {name} is {values.shape}, the cell grid is {shape}")
            if values.min() < 0 or values.max() > most:
                raise OptionError(
                    f"plane map: recipe: {name} holds {values.min()} to {values.max()}, only 0 to {most} fit"
                )
        if (self.lowest > self.highest).any():
            raise OptionError("plane map: recipe: lowest is above highest in some cells")
        if self.method == "feather" and (self.action == Action.FUSE).any():
            raise OptionError("plane map: recipe: feather fuses no cells, but some are to be fused")
        if not all(0 <= value < np.inf for value in self.noise):
            raise OptionError(f"plane map: recipe: noise is {self.noise}; needed are finite numbers of at least 0")
        for side, cells in enumerate((self.ramp[:, 0], self.ramp[:, -1], self.ramp[0], self.ramp[-1])):
            if (cells // 3**side % 3).any():
                raise OptionError(f"plane map: recipe: ramp leads out of the slide at its {SIDES[side]}")

    def to_fields(self) -> dict[str, Any]:
        """Return what a JSON file holds; arrays as rows."""
        arrays = {name: getattr(self, name).tolist() for name in _ARRAYS}
        return {"method": self.method, "parameters": dict(self.parameters), "noise": list(self.noise), **arrays}

    @classmethod
    def from_fields(cls, data: Mapping[str, Any]) -> Recipe:
        """Return a recipe out of a JSON file; raises ValueError, TypeError or KeyError where it is none."""
        parameters = data["parameters"]
        if not isinstance(data["method"], str) or not isinstance(parameters, dict):
            raise ValueError("recipe: method must be a text and parameters an object")
        # Where no cell is fused, no noise was looked for.
        noise = jsonfields.numbers(data["noise"], "recipe: noise") if data["noise"] != [] else ()
        return cls(
            method=data["method"],
            parameters=parameters,
            noise=tuple(float(value or 0) for value in noise),
            **{name: jsonfields.integers(data[name], f"recipe: {name}", kind) for name, kind in _ARRAYS.items()},
        )


_ARRAYS: dict[str, type[np.uint8] | type[np.int16]] = {
    "action": np.uint8, "ramp": np.uint8, "lowest": np.int16, "highest": np.int16, "overlap": np.uint8,
}  # fmt: skip
