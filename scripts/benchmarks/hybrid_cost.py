"""Time and memory of composing a slide in several ways, each in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hybrid_case import JOBS, PLANES
from hybrid_tables import Options, Row, table, verdict
from phantoms import phantom_file

from planish.convert import ConvertOptions, convert, side_file
from planish.focus.options import SurveyOptions
from planish.fuse.backend import choose_backend
from planish.fuse.cells import CellComposer
from planish.fuse.options import FuseOptions
from planish.fuse.plan import Plan
from planish.phantom.specimen import Kind, PhantomOptions
from planish.planemap import PlaneMap
from planish.report.record import peak_memory_mib
from planish.slide.open import open_slide
from planish.threads import in_threads
from planish.write.options import WriteOptions

SLIDES: tuple[tuple[Kind, int, int], ...] = (
    ("cytology-sparse", 4096, 4096),
    ("cytology-dense", 4096, 4096),
    ("tissue", 4096, 4096),
    ("cytology-dense", 2048, 16384),
    ("cytology-dense", 2048, 32768),
)
"""Kind, width and height of what is timed."""
MEMORY, EXTRA = 500.0, 1.5
"""To reach: MiB, and times the composing of the cells that are not copied."""
BYTES = SurveyOptions(ties="bytes", jobs=JOBS)
SCORE_ALL = SurveyOptions(scorer="blur-difference", score_downsample=1, sampler="dense", audit=False, jobs=JOBS)
WAYS = {
    "select": ("select", SurveyOptions(jobs=JOBS), "auto"),
    "select, bytes alone": ("select", BYTES, "auto"),
    "feather": ("feather", SurveyOptions(jobs=JOBS), "auto"),
    "hybrid": ("hybrid", SurveyOptions(jobs=JOBS), "auto"),
    "soft": ("soft", SurveyOptions(jobs=JOBS), "auto"),
    "decode–score–encode": ("select", SCORE_ALL, "encode"),
}
"""By name: the method, how to survey, and how to write."""


@dataclass(frozen=True)
class Cost:
    """What a run took: seconds by stage with the total, peak memory in MiB, tiles of all levels copied and encoded."""

    seconds: dict[str, float]
    peak_mib: float
    copied: int
    encoded: int


def flatten(way: str, stack: Path, flat: Path) -> dict[str, Any]:
    """Flatten in this process; return what it cost."""
    method, survey, mode = WAYS[way]
    write = WriteOptions(mode=mode, overwrite=True, jobs=JOBS)
    record = convert(stack, flat, ConvertOptions(survey=survey, fuse=FuseOptions(method), write=write)).record
    output = record.output
    return {
        "seconds": dict(record.seconds),
        "peak_mib": record.peak_memory_mib or float("nan"),
        "copied": output["tiles_copied"],
        "encoded": output["tiles_encoded"],
    }


def compose(stack: Path, flat: Path) -> dict[str, Any]:
    """Decode and compose, in this process, all cells of a flattened slide that are not copied, and nothing else."""
    focus, options = PlaneMap.load(side_file(flat, "map")), FuseOptions("hybrid")
    method, recipe = options.seam_method(), focus.recipe
    assert method is not None and recipe is not None
    with open_slide(stack) as slide:
        plan = Plan.of(focus, recipe)
        composer = CellComposer(slide, plan, method, choose_backend("auto"))
        begin, done = time.perf_counter(), 0

        def row(level: int, row: int, columns: list[int]) -> int:
            return len([composer.image(level, row, column) for column in columns])

        for index, level in enumerate(slide.levels):
            where = plan.composed(level)
            tasks = ((index, r, np.flatnonzero(where[r]).tolist()) for r in range(len(where)))
            with in_threads(row, tasks, JOBS, ordered=True) as rows:
                done += sum(rows)
        seconds = time.perf_counter() - begin
    return {"seconds": {"total": seconds}, "peak_mib": peak_memory_mib(), "copied": 0, "encoded": done}


def measure(way: str, stack: Path, flat: Path, repeats: int) -> Cost:
    """Return the best of several runs of a way of `WAYS`, or of ``"compose"``."""
    command = [sys.executable, __file__, way, str(stack), str(flat)]
    runs = [
        Cost(**json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        for _ in range(repeats)
    ]
    return min(runs, key=lambda cost: cost.seconds["total"])


def cost(options: Options) -> list[Row]:
    """Measure time and memory, the best of several runs."""
    rows, reached = [], []
    for kind, width, height in SLIDES:
        _, stack = phantom_file(PhantomOptions(kind, width, height, PLANES))
        with tempfile.TemporaryDirectory() as folder:
            costs = {way: measure(way, stack, Path(folder, f"{way}.tif"), options.repeats) for way in WAYS}
            composing = measure("compose", stack, Path(folder, "hybrid.tif"), options.repeats)
        name = f"{kind}, {width} × {height}"
        rows += [_row(name, way, costs[way]) for way in WAYS]
        own, alone = costs["hybrid"].seconds, composing.seconds["total"]
        for base in ("select", "select, bytes alone"):
            extra = (own["total"] - costs[base].seconds["total"] - own["decide"]) / alone
            what = f"{name}: hybrid − {base} − decide = × {alone:.2f} s to compose its {composing.encoded} cells:"
            reached.append(verdict(what, extra, EXTRA))
        reached.append(verdict(f"{name}: MiB of hybrid", costs["hybrid"].peak_mib, MEMORY))
    table(rows)
    print("\n".join(reached), "\n")
    return rows


def _row(slide: str, way: str, found: Cost) -> Row:
    stages = {stage: f"{found.seconds[stage]:.2f}" for stage in ("total", "survey", "decide", "write")}
    tiles = {"tiles copied": found.copied, "encoded": found.encoded}
    return {"slide": slide, "way": way} | stages | {"MiB": f"{found.peak_mib:.0f}"} | tiles


if __name__ == "__main__":
    named, *paths = sys.argv[1:]
    stack, flat = map(Path, paths)
    print(json.dumps(compose(stack, flat) if named == "compose" else flatten(named, stack, flat)))
