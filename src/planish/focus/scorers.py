"""Scorers by name: the sharpness of one plane of one cell, as the survey compares it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.focus import measures

Scorer = Callable[[NDArray[Any]], float]
"""(height, width) grey levels to sharpness, larger = sharper; comparable between the planes of one cell only."""

SCORERS: Mapping[str, Scorer] = MappingProxyType(
    {
        "blur-difference": measures.blur_difference,
        "variance": measures.variance,
        "gaussian-variance": measures.gaussian_variance,
        "laplacian": measures.laplacian,
        "tenengrad": measures.tenengrad,
        "brenner": measures.brenner,
        "vollath-f4": measures.vollath_f4,
    }
)

STEPS = (1, 2, 4, 8)


def find_scorer(name: str) -> Scorer:
    """Return the scorer of that name.

    Raises
    ------
    OptionError
        Where there is none; it lists those there are.
    """
    if name not in SCORERS:
        raise OptionError(f"no scorer {name!r}; use one of {', '.join(SCORERS)}, encoded-size")
    return SCORERS[name]


def score(pixels: NDArray[Any], scorer: str | Scorer, step: int = 1, subtiles: int = 1) -> float:
    """Score one plane of one cell.

    Parameters
    ----------
    pixels : ndarray
        (height, width, channels) of any integer or float dtype.
    scorer : str or Scorer
        A name in `SCORERS`, or a function of a 2-D array.
    step : int
        1, 2, 4 or 8: only every step-th pixel of every step-th row is looked at.
    subtiles : int
        The cell is split into subtiles × subtiles parts, and the sharpest part counts, so that a small structure
        decides in an otherwise empty cell.

    Returns
    -------
    float
        In the scorer's own unit.

    Raises
    ------
    OptionError
        Where the scorer, step or subtiles is none of the above.
    """
    measure = find_scorer(scorer) if isinstance(scorer, str) else scorer
    if step not in STEPS:
        raise OptionError(f"step {step}: use one of {', '.join(map(str, STEPS))}")
    if subtiles < 1:
        raise OptionError(f"subtiles {subtiles}: a cell is split into at least 1 × 1 parts")
    grey = measures.luma(pixels[::step, ::step])
    if subtiles == 1:
        return measure(grey)
    # A cell at the slide's edge may be narrower than the split asked for.
    rows, columns = (np.array_split(np.arange(n), min(subtiles, n)) for n in grey.shape)
    return max(measure(grey[y[0] : y[-1] + 1, x[0] : x[-1] + 1]) for y in rows for x in columns)
