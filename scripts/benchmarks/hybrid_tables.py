"""What the parts of `bench_hybrid` share: which phantoms, and tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hybrid_case import Case
from hybrid_trial import Trial

from planish.phantom.specimen import Kind

Row = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What to measure; `plot` is where to draw the trade-off over τ."""

    kinds: Sequence[Kind]
    seeds: Sequence[int]
    size: int
    repeats: int
    plot: Path | None

    def trials(self) -> Iterator[Trial]:
        """Yield phantoms, looked into."""
        for kind in self.kinds:
            for seed in self.seeds:
                yield Trial.of(Case.of(kind, seed, self.size))


def table(rows: list[Row]) -> list[Row]:
    """Print rows as a table; give them back."""
    if rows:
        print("|", " | ".join(rows[0]), "|\n|", " | ".join("---" for _ in rows[0]), "|")
    for row in rows:
        print("|", " | ".join(str(value) for value in row.values()), "|", flush=True)
    print()
    return rows


def percent(share: float) -> str:
    """Return a share for a table."""
    return f"{100 * share:.1f} %"


def spread(values: Sequence[float], text: Callable[[float], str] = percent) -> str:
    """Return the mean of several seeds, and least and most."""
    low, high = text(min(values)).removesuffix(" %"), text(max(values))
    return f"{text(float(np.mean(values)))} ({low} to {high})" if len(values) > 1 else high


def verdict(what: str, figure: float, target: float, *, more: bool = False) -> str:
    """Return a line that says whether a figure reaches its target."""
    good = figure >= target if more else figure <= target
    return f"{'ok' if good else 'misses':7} {what} {figure:.2f}, at {'least' if more else 'most'} {target:g}"
