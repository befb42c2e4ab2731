"""Write `skmisc_loess.npz`: series with outliers, and what scikit-misc's loess, the reference, smooths them to.

Run in an environment with scikit-misc (0.5.3); it is no dependency of planish's tests.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

SERIES, SAMPLES, WINDOWS = 8, 100, (20, 30, 100)


def main() -> None:
    """Write the archive beside this script."""
    t, truth, y = series()
    made: dict[str, Any] = {"t": t, "truth": truth, "y": y}
    for window in WINDOWS:
        made[f"window{window}"] = np.array([reference(t, values, window) for values in y])
    np.savez_compressed(Path(__file__).with_name("skmisc_loess.npz"), **made)


def series() -> tuple[Any, Any, Any]:
    """Return time points, true courses and samples with noise of 0.1 and 10 % outliers of 1 to 10."""
    t = np.arange(SAMPLES, dtype=float)
    courses, samples = [], []
    for seed in range(SERIES):
        generator = np.random.default_rng((seed, 9))
        course = np.sin(2 * np.pi * t / SAMPLES * generator.uniform(0.5, 2)) + generator.normal() * t / SAMPLES
        outliers = generator.choice(SAMPLES, SAMPLES // 10, replace=False)
        values = course + 0.1 * generator.normal(size=SAMPLES)
        values[outliers] += generator.choice([-1, 1], len(outliers)) * generator.uniform(1, 10, len(outliers))
        courses.append(course)
        samples.append(values)
    return t, np.array(courses), np.array(samples)


def reference(t: Any, y: Any, window: int) -> Any:
    """Return the fit as MATLAB's ``rloess`` is meant: local quadratics at every sample, five bisquare iterations."""
    module = importlib.import_module("skmisc.loess")
    model = module.loess(t, y, span=min((window + 0.01) / len(t), 1.0), degree=2, family="symmetric")
    model.control.surface, model.control.iterations = "direct", 6
    model.fit()
    return np.array(model.outputs.fitted_values)


if __name__ == "__main__":
    main()
