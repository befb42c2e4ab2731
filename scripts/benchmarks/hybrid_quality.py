"""What hybrid copies and gains, by its defaults and around them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from hybrid_case import JOBS, Case, Flat, cuts, ghosts, seam
from hybrid_plot import plot_curve
from hybrid_tables import Options, Row, percent, spread, table, verdict
from hybrid_trial import Series, Trial, judged

from planish.convert import ConvertOptions, convert
from planish.fuse.flat import flatten
from planish.fuse.hybrid import Hybrid
from planish.fuse.options import FuseOptions
from planish.phantom.specimen import Kind
from planish.slide.open import open_slide
from planish.write.options import WriteOptions

TAUS = (0.5, 0.7, 0.9, 1.1, 1.3, 1.5, 1.7, 2.0, 2.5)
AROUND: dict[str, Sequence[Any]] = {
    "enough": (0.80, 0.84, 0.88),
    "ramp": (8, 16, 32),
    "edge": (0.25, 0.5, 1.0, 1.5),
    "sigma": (4.0, 6.0, 8.0),
    "power": (2.0, 2.25, 2.5, 3.0),
}
"""Values to try, one parameter at a time."""
COPIED: dict[Kind, float] = {"cytology-sparse": 0.90, "cytology-dense": 0.55, "tissue": 0.50}
GAIN, SEAM = 0.85, 0.2
"""To reach: share of soft's gain, and grey levels of seam excess beyond the truth's."""


def defaults(options: Options) -> list[Row]:
    """Measure the defaults, phantom by phantom."""
    shares, seams, reached = [], [], []
    for trial in options.trials():
        case, flat = trial.case, trial.compose(trial.recipe(Hybrid()))
        name, own, truth = f"{case.kind}, {case.seed}", trial.measure(Hybrid()), case.truth_written
        better = replace(trial.proposed, plane=trial.found.plane)
        alone, feathered = (
            judged(case, Flat.of(flatten(trial.slide, focus, FuseOptions(method))), 1, 1)
            for focus, method in ((better, "select"), (trial.proposed, "feather"))
        )
        ways = (trial.select, own, trial.soft)
        shares.append(
            {
                "specimen, seed": name,
                "cells copied": percent(own.copied),
                "of the specimen's": percent(own.copied_specimen),
                "tiles of all levels copied": _converted(case, flat),
                "error: select, hybrid, soft": ", ".join(f"{way.error:.2f}" for way in ways),
                "gain": percent(trial.gain(own.error)),
                "better planes alone": percent(trial.gain(alone.error)),
                "errors in files": ", ".join(f"{way.error_written:.2f}" for way in ways),
            }
        )
        found = {"select": trial.select, "select, better planes": alone, "feather": feathered}
        found |= {"**hybrid**": own, "soft": trial.soft}
        seams.append(
            {"specimen, seed": name}
            | {way: _marks(result.seam, result.cuts, result.ghosts) for way, result in found.items()}
            | {"truth": _marks(seam(truth), 0, ghosts(case, truth))}
            | {"truth, uncompressed": _marks(seam(case.truth), cuts(case, case.truth), 0.0)}
        )
        reached += [
            verdict(f"{name}: copied", own.copied, COPIED[case.kind], more=True),
            verdict(f"{name}: gain", trial.gain(own.error), GAIN, more=True),
            verdict(f"{name}: seam excess beyond the truth's", own.seam - seam(truth), SEAM),
        ]
    rows = table(shares) + table(seams)
    print("\n".join(reached), "\n")
    return rows


def _marks(excess: float, count: int, ghost: float) -> str:
    """Return seam excess, cuts, and ghosts where there is any glass."""
    return f"{excess:.2f}; {count}" + ("" if np.isnan(ghost) else f"; {ghost:.1f}")


def _converted(case: Case, flat: Flat) -> str:
    """Return how many tiles a real conversion copies; its pixels are to be those measured here."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = convert(case.path, Path(folder, "flat.tif"), ConvertOptions(write=WriteOptions(jobs=JOBS)))
        with open_slide(outputs.slide) as slide:
            height, width, _ = flat.written.shape
            if (slide.read_region(0, 0, 0, 0, width, height) != flat.written).any():
                raise SystemExit(f"{case.path}: the file has other pixels than those measured")
    copied, encoded = (outputs.record.output[name] for name in ("tiles_copied", "tiles_encoded"))
    return f"{copied} of {copied + encoded}"


def curve(options: Options) -> list[Row]:
    """Measure the trade-off: all cells fused that lose more than τ, and the defaults, which stop when it is enough."""
    limits = [Hybrid(tau=tau, enough=1.0) for tau in TAUS]
    found = [_series(trial, [*limits, Hybrid()]) for trial in options.trials()]
    if options.plot:
        plot_curve(found, options.plot)
    return _table(options, found, [*(f"τ = {tau:g}" for tau in TAUS), "defaults"])


def scan(options: Options) -> list[Row]:
    """Measure other parameters, one at a time."""
    choices = [(name, value) for name, values in AROUND.items() for value in values]
    limits = [Hybrid(**{name: value}) for name, value in choices]
    found = [_series(trial, limits) for trial in options.trials()]
    return _table(options, found, [f"{name} {value:g}" for name, value in choices])


def _series(trial: Trial, limits: Sequence[Hybrid]) -> Series:
    results = [trial.measure(limit) for limit in limits]
    case = trial.case
    return Series(case.kind, case.seed, trial.select, trial.soft, seam(case.truth_written), results)


def _table(options: Options, found: list[Series], names: list[str]) -> list[Row]:
    return table(
        [
            _row(name, index, [series for series in found if series.kind == kind])
            for kind in options.kinds
            for index, name in enumerate(names)
        ]
    )


def _row(name: str, index: int, seeds: list[Series]) -> Row:
    results = [series.results[index] for series in seeds]
    return {
        "specimen": seeds[0].kind,
        "": name,
        "cells copied": spread([result.copied for result in results]),
        "of the specimen's": spread([result.copied_specimen for result in results]),
        "gain": spread([series.gain(index) for series in seeds]),
        "less error in files than select": spread([series.less_written(index) for series in seeds], "{:.2f}".format),
        "seams beyond the truth's": spread([series.beyond(index) for series in seeds], "{:+.2f}".format),
    }
