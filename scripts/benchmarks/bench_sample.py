"""How many tile-planes the samplers decode, and how often they agree with scoring everything."""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

from phantoms import phantom_file

from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.phantom.specimen import PhantomOptions
from planish.planemap import PlaneMap
from planish.slide.open import open_slide

LINE = "{:16} {:9} {:9} {:>8} {:>8} {:>8} {:>6}"


def measure(path: Path, sampler: str, downsample: float, one_level: bool) -> tuple[PlaneMap, float]:
    """Survey a slide, or only its full-size level; return the map and the seconds."""
    options = SurveyOptions("blur-difference", sampler=sampler, score_downsample=downsample, audit=False)
    begin = time.perf_counter()
    with open_slide(path) as slide:
        if one_level:
            slide.levels = slide.levels[:1]
        return survey(slide, options), time.perf_counter() - begin


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=64, help="per side")
    parser.add_argument("--planes", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    side, tile = options.cells * 128, 128
    base = PhantomOptions(width=side, height=side, planes=options.planes, tile=tile, seed=options.seed)
    print(f"{options.cells} × {options.cells} cells of {tile} px, {options.planes} planes, seed {options.seed}")
    print(LINE.format("specimen", "scored at", "sampler", "equal", "decoded", "measured", "s"))
    for kind, sampler in (("tissue", "recursive"), ("cytology-dense", "bracket"), ("cytology-sparse", "bracket")):
        _, path = phantom_file(replace(base, kind=kind))
        # At 1/4 from a level of the file, a storage tile holds 4 × 4 cells, whose wishes add up; from level 0, one.
        for name, downsample, one_level in (("1/1", 1.0, False), ("1/4", 4.0, False), ("1/4 of /1", 4.0, True)):
            dense, dense_seconds = measure(path, "dense", downsample, one_level)
            print(LINE.format(kind, name, "dense", "", "100 %", "100 %", f"{dense_seconds:.1f}"))
            for chosen in (sampler, "auto"):
                report(kind, name, chosen, dense, *measure(path, chosen, downsample, one_level))


def report(kind: str, scored: str, name: str, dense: PlaneMap, found: PlaneMap, seconds: float) -> None:
    """Print a line."""
    record, wanted = found.record, dense.record
    assert record is not None
    assert wanted is not None
    equal = (dense.plane == found.plane)[dense.specimen].mean()
    shares = (equal, record.decoded / record.specimen_tile_planes, record.measured / wanted.measured)
    texts = (f"{share:.2%}" for share in shares)
    print(LINE.format(kind, scored, record.sampler, *texts, f"{seconds:.1f}"), flush=True)
    if name == "auto":
        print(f"  auto: {record.why}")


if __name__ == "__main__":
    main()
