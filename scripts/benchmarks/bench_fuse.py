"""Fusion methods on stacks with known truth: time and memory beside a plain SciPy version, and how near they come."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from fusers import SCIPY, fusers

from planish.phantom.quality import Quality, quality
from planish.phantom.stacks import FocalStack, clump_stack, tissue_stack

PHANTOMS: dict[str, Callable[[int, int], FocalStack]] = {
    "gray17": lambda size, seed: tissue_stack(size, 17, seed, "tubules"),
    "gray17-nuclei": lambda size, seed: tissue_stack(size, 17, seed, "nuclei"),
    "rgb7": lambda size, seed: clump_stack(size, 7, seed, "cells"),
    "rgb7-clusters": lambda size, seed: clump_stack(size, 7, seed, "clusters"),
}
"""By name; the number is that of the planes."""

NEAREST, MIDDLE = "nearest plane", "middle plane"
QUICK = 768
"""Side of the stacks in pixels with --quick."""

LINE = "  {:18} {:>7} {:>6} {:>6}  {:>13} {:>9} {:>9} {:>9}  {:>7} {:>7}"


@dataclass(frozen=True)
class Row:
    """What was measured of one fuser: seconds and peak MiB, where it was run, and its quality."""

    quality: Quality
    seconds: float | None = None
    peak_mib: float | None = None


def references(stack: FocalStack) -> dict[str, Row]:
    """Return the quality of what needs no fusing."""
    middle = np.full(stack.depth.shape, len(stack.stack) // 2)
    return {
        name: Row(quality(stack, stack.taken(index), index))
        for name, index in ((NEAREST, stack.nearest), (MIDDLE, middle))
    }


def measure(stack: FocalStack, repeats: int) -> Iterator[tuple[str, Row]]:
    """Run all fusers, each in a process of its own, so that its peak memory is its own."""
    with tempfile.TemporaryDirectory() as folder:
        planes, out = Path(folder, "stack.npy"), Path(folder, "fused.npz")
        np.save(planes, stack.stack)
        script = Path(__file__).with_name("fusers.py")
        for name in fusers():
            command = [sys.executable, str(script), name, str(planes), str(out), str(repeats)]
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
            with np.load(out) as fused:
                found = quality(stack, fused["image"], fused.get("depth"))
            yield name, Row(found, *map(float, printed))


def show(name: str, row: Row, yardstick: float | None) -> None:
    """Print a line of the table."""

    def text(value: float | None, digits: int) -> str:
        return "" if value is None else f"{value:.{digits}f}"

    ratio = yardstick / row.seconds if yardstick and row.seconds else None
    psnr, ssim = row.quality.psnr, row.quality.ssim
    print(
        LINE.format(
            name,
            text(row.seconds, 2),
            text(ratio, 1),
            text(row.peak_mib, 0),
            f"{psnr['whole']:.2f} / {ssim['whole']:.3f}",
            *(text(psnr.get(part), 2) for part in ("specimen", "glass", "halo")),
            text(row.quality.depth_error, 3),
            text(row.quality.plane_error, 3),
        ),
        flush=True,
    )


def targets(phantom: str, rows: dict[str, Row]) -> Iterator[tuple[str, float, float, bool]]:
    """Yield what is to be reached: its name, the figure, the target, and whether more is better."""
    grey = phantom.startswith("gray")

    def whole(name: str) -> float:
        return rows[name].quality.psnr["whole"]

    yield "pick − nearest plane, dB", whole("pick") - whole(NEAREST), -0.1 if grey else 0.0, True
    yield "pick, depth error", rows["pick"].quality.depth_error or 0.0, 0.27 if grey else 0.45, False
    if "soft" in rows:
        yield "soft − pick, dB", whole("soft") - whole("pick"), 0.3, True
        yield "soft − nearest plane, dB", whole("soft") - whole(NEAREST), 0.3, True
        yield "soft, depth error", rows["soft with depth"].quality.depth_error or 0.0, 0.27 if grey else 0.45, False
    if "selective" in rows:
        yield "selective − its compat, dB", whole("selective") - whole("selective compat"), 0.0, True
        for name in ("selective", "selective compat") if not grey and "soft" in rows else ():
            halo = [rows[one].quality.psnr["halo"] for one in ("soft", name)]
            yield f"soft − {name} in the halo, dB", halo[0] - halo[1], 1.5, True
    yardstick = rows[SCIPY].seconds
    for name, least in (("clij2 decimated", 15.0), ("clij2 exact", 4.0), ("soft", 8.0)):
        seconds = rows[name].seconds if name in rows else None
        if phantom == "gray17" and yardstick and seconds:
            yield f"{name}, times as fast as SciPy", yardstick / seconds, least, True


def report(phantom: str, size: int, seed: int, repeats: int) -> dict[str, Any]:
    """Measure one phantom and print its table; return the figures."""
    stack = PHANTOMS[phantom](size, seed)
    print(
        f"{phantom}: {size}², {stack.stack.dtype}, seed {seed}, {stack.stack.nbytes / 2**20:.0f} MiB; specimen "
        f"{stack.specimen.mean():.0%}, halo {stack.halo.mean():.0%}, textured {stack.textured.mean():.0%}"
    )
    print(
        LINE.format("", "s", "×", "MiB", "dB / SSIM", "specimen", "glass", "halo", "depth", "plane"),
        flush=True,
    )
    rows = references(stack)
    for name, row in rows.items():
        show(name, row, None)
    for name, row in measure(stack, repeats):
        rows[name] = row
        show(name, row, rows[SCIPY].seconds)
    reached = []
    for name, figure, target, more in targets(phantom, rows):
        good = figure >= target if more else figure <= target
        reached.append({"name": name, "figure": figure, "target": target, "ok": good})
        print(f"  {'ok' if good else 'misses':7} {name}: {figure:.2f}, {'at least' if more else 'at most'} {target:g}")
    fused = {name: asdict(row) for name, row in rows.items()}
    return {"phantom": phantom, "size": size, "seed": seed, "rows": fused, "targets": reached}


def main() -> None:
    """Print a table for each phantom and seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--phantoms", nargs="+", choices=list(PHANTOMS), default=["gray17", "rgb7"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--repeats", type=int, default=2, help="the best of so many runs counts")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK}², one run each; times mean little")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args()
    size, repeats = (QUICK, 1) if options.quick else (options.size, options.repeats)
    found = [report(phantom, size, seed, repeats) for phantom in options.phantoms for seed in options.seeds]
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
