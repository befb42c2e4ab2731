"""Hybrid beside select, feather and soft: what is copied, what is gained, what seams show, and what it takes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from hybrid_case import KINDS
from hybrid_cost import cost
from hybrid_quality import curve, defaults, scan
from hybrid_skip import skip
from hybrid_tables import Options

PARTS = {"defaults": defaults, "curve": curve, "scan": scan, "skip": skip, "cost": cost}


def main() -> None:
    """Print tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--size", type=int, default=4096)
    parser.add_argument("--repeats", type=int, default=2, help="the best of so many runs counts")
    parser.add_argument("--plot", type=Path, help="draw the trade-off over τ there")
    parser.add_argument("--json", type=Path, help="write the tables there, too")
    given = parser.parse_args()
    options = Options(given.kinds, given.seeds, given.size, given.repeats, given.plot)
    found = {}
    for part in given.parts:
        print(f"{part}: {PARTS[part].__doc__}", flush=True)
        found[part] = PARTS[part](options)
    if given.json:
        given.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
