"""How far cells could go without being looked into: rules on byte counts alone, and what they would cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from hybrid_tables import Options, Row, percent, spread, table
from hybrid_trial import Trial
from numpy.typing import NDArray

from planish.fuse.hybrid import Hybrid
from planish.planemap import How, PlaneMap
from planish.recipe import Action

Mask = NDArray[np.bool_]
SCORED = 4
"""Cells along each side of a storage tile of the ÷4 level, which is decoded whole or not at all."""


@dataclass(frozen=True)
class Skipped:
    """What a rule does on one phantom.

    Attributes
    ----------
    cells, tiles : float
        Share of the specimen cells that it skips, and of the scored storage tiles that need no decoding then.
    fused, corrected : int
        Cells to be fused, or to be given another plane, that it skips wrongly.
    lost : float
        Share of the gain that is lost.
    """

    cells: float
    tiles: float
    fused: int
    corrected: int
    lost: float


def rules() -> Iterator[tuple[str, Callable[[PlaneMap], Mask]]]:
    """Yield rules by name: which specimen cells need no look."""
    for margin in (0.0, 0.02, 0.045, 0.08, 0.12, 0.2):
        yield f"neighbours agree, margin > {margin:g}", partial(_agree, margin=margin)
    for margin in (0.08,):
        yield f"margin > {margin:g}", partial(_by_bytes, margin=margin)
    for share in (0.1, 0.2, 0.3):
        yield f"the {100 * share:.0f} % of fewest bytes", partial(_few_bytes, share=share)


def _by_bytes(focus: PlaneMap, margin: float) -> Mask:
    return np.asarray((focus.how == How.BYTES) & (focus.margin > margin))


def _agree(focus: PlaneMap, margin: float) -> Mask:
    """Return where all eight neighbours have the cell's plane, or hold no specimen."""
    rows, columns = focus.plane.shape
    padded = np.pad(np.where(focus.specimen, focus.plane, -1), 1, constant_values=-1)
    agree = _by_bytes(focus, margin)
    for down in range(3):
        for across in range(3):
            other = padded[down : down + rows, across : across + columns]
            agree &= (other == focus.plane) | (other == -1)
    return agree


def _few_bytes(focus: PlaneMap, share: float) -> Mask:
    few = np.asarray(focus.how == How.BYTES)
    return np.asarray(few & (focus.sharpness <= np.quantile(focus.sharpness[few], share)))


def try_rule(trial: Trial, rule: Callable[[PlaneMap], Mask], gained: float) -> Skipped:
    """Compose as if the cells that a rule skips had never been looked into; `gained` is the gain without it.

    Borders of a skipped cell are judged from the other side alone, as the assessment left them.
    """
    found, focus = trial.found, trial.proposed
    skipped = rule(focus) & focus.specimen
    unseen = replace(
        found,
        plane=np.where(skipped, focus.plane, found.plane),
        loss=np.where(skipped, np.float32(0), found.loss),
        lowest=np.where(skipped, focus.plane, found.lowest),
        highest=np.where(skipped, focus.plane, found.highest),
        shows=np.where(skipped, np.float32(0), found.shows),
    )
    gain = trial.gain(trial.case.error(trial.compose(trial.recipe(Hybrid(), unseen), unseen).pixels))
    wrongly = skipped & (trial.recipe(Hybrid()).action == Action.FUSE)
    looked, needed = (_tiles(mask) for mask in (focus.specimen & ~skipped, focus.specimen))
    return Skipped(
        cells=float(skipped.sum() / focus.specimen.sum()),
        tiles=1 - looked / needed,
        fused=int(wrongly.sum()),
        corrected=int((skipped & (found.plane != focus.plane)).sum()),
        lost=(gained - gain) / gained,
    )


def _tiles(cells: Mask) -> int:
    rows, columns = (length // SCORED for length in cells.shape)
    return int(cells.reshape(rows, SCORED, columns, SCORED).any(axis=(1, 3)).sum())


def skip(options: Options) -> list[Row]:
    """Measure how far cells could go without a look."""
    rows = []
    for kind in options.kinds:
        trials = list(replace(options, kinds=[kind]).trials())
        recipes = [trial.recipe(Hybrid()) for trial in trials]
        errors = [trial.case.error(trial.compose(recipe).pixels) for trial, recipe in zip(trials, recipes, strict=True)]
        gained = [trial.gain(error) for trial, error in zip(trials, errors, strict=True)]
        fused = sum(recipe.count(Action.FUSE) for recipe in recipes)
        better = sum(int((trial.found.plane != trial.proposed.plane).sum()) for trial in trials)
        for name, rule in rules():
            tried = [try_rule(trial, rule, gain) for trial, gain in zip(trials, gained, strict=True)]
            rows.append(
                {
                    "specimen": kind,
                    "not looked into": name,
                    "cells": spread([one.cells for one in tried]),
                    "scored tiles saved": spread([one.tiles for one in tried]),
                    "of those to be fused": percent(sum(one.fused for one in tried) / max(1, fused)),
                    "of those to be corrected": percent(sum(one.corrected for one in tried) / max(1, better)),
                    "gain lost": spread([one.lost for one in tried]),
                }
            )
    return table(rows)
