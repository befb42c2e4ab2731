"""The tile service under load: scripts/bench serve load | grid | soak | poison."""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import imagecodecs
import numpy as np
import pyvips
from night_case import POISON
from service_case import Service, load, phantom, service, viewing

from planish.serve.registry import slide_id
from planish.slide.open import open_slide

STATIC = """
import sys, uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
app = Starlette(routes=[Mount("/", StaticFiles(directory=sys.argv[1]))])
uvicorn.run(app, port=int(sys.argv[2]), log_config=None, access_log=False)
"""


def _print(what: str, found: dict[str, float], beside: float | None = None) -> None:
    ratio = f", {found['per second'] / beside:.2f} × static files" if beside else ""
    print(f"{what:<44} {found['per second']:>7,.0f}/s  p50 {found['p50']:.2f}  p99 {found['p99']:.1f} ms  "
          f"wrong {found['wrong']:.0f}{ratio}", flush=True)  # fmt: skip


def _static(folder: Path, source: Path) -> float:
    """Return the rate of `dzsave`'s files from the same kind of server."""
    slide = open_slide(source)
    pixels = slide.read_region(0, 4, 0, 0, slide.levels[0].width, slide.levels[0].height)
    slide.close()
    pyvips.Image.new_from_array(pixels).dzsave(str(folder / "plane"), tile_size=256, overlap=0, suffix=".jpeg")
    process = subprocess.Popen([sys.executable, "-c", STATIC, str(folder), "8977"])
    try:
        time.sleep(2)
        level = max(
            (path for path in (folder / "plane_files").iterdir() if path.is_dir()), key=lambda path: int(path.name)
        )
        found = load("http://127.0.0.1:8977", [f"/plane_files/{level.name}/{path.name}" for path in level.iterdir()])
    finally:
        process.terminate()
        process.wait()
    _print("static files of dzsave, one worker", found)
    return found["per second"]


def run_load(folder: Path, seconds: float) -> None:
    """Measure each kind of tile, cached and not."""
    source = phantom(folder, "jpeg.svs", "cytology-dense", kind="svs")
    phantom(folder, "lzw.ome.tif", "cytology-dense", kind="ome-tiff", codec="lzw")
    with tempfile.TemporaryDirectory() as static:
        beside = _static(Path(static), source)
    for workers in (1, 2):
        with service(folder, "--workers", str(workers)) as running:
            tiles = running.tiles(running.ids()["jpeg.svs"], 4)
            load(running.root, tiles, 3)
            _print(f"cached, {workers} worker(s)", load(running.root, tiles, seconds), beside)
    with service(folder, "--workers", "2", "--tile-cache", "0") as running:
        ids = running.ids()
        jpeg, lzw = ids["jpeg.svs"], ids["lzw.ome.tif"]
        running.make_best(jpeg)
        inner = [path for path in running.tiles(jpeg, 4) if not path.startswith("7_")]
        plane = load(running.root, inner, seconds)
        _print("encoded, passed through, uncached", plane, beside)
        every = [path for plane in range(9) for path in running.tiles(lzw, plane)]
        _print("decoded and encoded, uncached (LZW)", load(running.root, every, seconds), beside)
        copied, fused = _sorted(running, jpeg)
        best = load(running.root, copied, seconds)
        _print(f"best, {len(copied)} copied tiles, uncached", best, beside)
        same = load(running.root, [path.replace("best_files", "4_files") for path in copied], seconds)
        _print("the same tiles of a plane", same, beside)
        print(f"copied tiles of best take {same['per second'] / best['per second']:.2f} × as long as a plane's")
        _print(f"best, {len(fused)} composed tiles, uncached", load(running.root, fused, seconds), beside)


def _sorted(running: Service, slide: str) -> tuple[list[str], list[str]]:
    """Return the tiles of the best that are byte for byte some plane's, and the others."""
    copied, fused = [], []
    for path in running.tiles(slide, "best"):
        body = running.get(path)[1]
        planes = (running.get(path.replace("best_files", f"{plane}_files"))[1] for plane in range(9))
        (copied if body in planes else fused).append(path)
    return copied, fused


def run_grid(folder: Path, seconds: float) -> None:
    """Ask for every tile of every level, of every plane and the best, and for those beyond the edges."""
    for name, made in {"a.svs": {"kind": "svs"}, "b.ndpi": {"kind": "ndpi"},
                       "c.ome.tif": {"kind": "ome-tiff", "codec": "deflate", "tile": 240}}.items():  # fmt: skip
        phantom(folder, name, "cytology-dense", 700, **made)
    tally: Counter[str] = Counter()
    with service(folder) as running:
        for name, slide in running.ids().items():
            running.make_best(slide)
            facts, opened = running.json(f"/api/slides/{slide}"), open_slide(folder / name)
            for plane in (*range(9), "best"):
                for level in range(-1, facts["dzi"]["levels"] + 1):
                    _grid_level(running, slide, plane, level, facts["dzi"], opened, tally)
            opened.close()
    for what, number in sorted(tally.items()):
        print(f"{number:>6} × {what}")


def _grid_level(running, slide, plane, level, dzi, opened, tally) -> None:  # type: ignore[no-untyped-def]  # a script
    known = 0 <= level < dzi["levels"]
    shrunk = 2 ** (dzi["levels"] - 1 - level) if known else 1
    width, height = (-(-dzi[side] // shrunk) for side in ("width", "height"))
    columns, rows = -(-width // dzi["tile"]), -(-height // dzi["tile"])
    for row in range(-1, rows + 1):
        for column in range(-1, columns + 1):
            status, body = running.get(f"/api/slides/{slide}/dzi/{plane}_files/{level}/{column}_{row}.jpeg")
            inside = known and 0 <= column < columns and 0 <= row < rows
            tally[f"{'inside' if inside else 'outside'}: {status}"] += 1
            if not inside or status != 200:
                continue
            x, y = column * dzi["tile"], row * dzi["tile"]
            size = min(dzi["tile"], height - y), min(dzi["tile"], width - x)
            pixels = np.asarray(imagecodecs.imread(body)).astype(int)
            tally[f"size right: {pixels.shape[:2] == size}"] += 1
            if level == dzi["levels"] - 1 and plane != "best":
                meant = opened.read_region(0, plane, x, y, size[1], size[0]).astype(int)
                tally[f"pixels right: {np.abs(pixels - meant).mean() < 4}"] += 1


def run_soak(folder: Path, seconds: float) -> None:
    """Ask for random tiles of 20 slides, and of the best of three, and watch memory and open files."""
    first = phantom(folder, "s00.svs", "cytology-dense", 1024, kind="svs")
    for index in range(1, 20):
        shutil.copyfile(first, folder / f"s{index:02d}.svs")
    chance, sizes = random.Random(0), []
    with service(folder, "--workers", "2", "--tile-cache", "32M") as running:
        ids = list(running.ids().values())
        for slide in ids[:3]:
            running.make_best(slide)
        places = [path.removeprefix(f"/api/slides/{ids[0]}/dzi/") for plane in (*range(9), "best") for level in (9, 10)
                  for path in running.tiles(ids[0], plane, level)]  # fmt: skip
        # All slides are alike, and so are their tiles.
        truth = {place: running.get(f"/api/slides/{ids[0]}/dzi/{place}")[1] for place in places}
        plain = [place for place in places if not place.startswith("best")]
        begin, asked, wrong = time.monotonic(), 0, 0
        while time.monotonic() - begin < seconds:
            for _ in range(500):
                slide = chance.choice(ids)
                place = chance.choice(places if slide in ids[:3] else plain)
                wrong += running.get(f"/api/slides/{slide}/dzi/{place}") != (200, truth[place])
            asked += 500
            sizes.append((time.monotonic() - begin, *running.memory()))
    warm, late = sizes[len(sizes) // 10 : len(sizes) // 5 + 1], sizes[-max(1, len(sizes) // 10) :]
    before, after = (statistics.median(size[1] for size in part) for part in (warm, late))
    files = [max(size[2] for size in part) for part in (warm, late)]
    print(f"soak: {asked:,} tiles in {sizes[-1][0]:.0f} s ({asked / sizes[-1][0]:,.0f}/s), wrong {wrong}; memory "
          f"{before:.0f} → {after:.0f} MiB ({after / before - 1:+.1%}) from the second tenth to the last; "
          f"files {files[0]} → {files[1]}")  # fmt: skip


def run_poison(folder: Path, seconds: float) -> None:
    """Measure a healthy slide alone, and beside one that kills or holds up decoders."""
    healthy = phantom(folder, "healthy.svs", "cytology-dense", kind="svs")
    for kind in ("hang", "spin", "segfault", "memory"):
        poison = folder / f"poison-{kind}.svs"
        shutil.copyfile(healthy, poison)
        with service(folder, "--workers", "2", "--tile-cache", "0",
                     environment={"PYTHONPATH": str(POISON)}) as running:  # fmt: skip
            # Not by the list of slides: that would open the poison.
            tiles = running.tiles(slide_id(Path(healthy.name)), 4)
            bad = [path.replace(slide_id(Path(healthy.name)), slide_id(Path(poison.name))) for path in tiles]
            truth = {path: running.get(path)[1] for path in tiles}
            load(running.root, tiles, 2, 4)
            for what, how in (("viewers", (16, 20)), ("all it can", (4, 0))):
                alone = load(running.root, tiles, seconds, *how)
                with viewing(running.root, bad, seconds):
                    beside = load(running.root, tiles, seconds, *how)
                print(f"{kind:<9} {what:<10} healthy p99 {alone['p99']:.1f} ms alone, {beside['p99']:.1f} ms beside it "
                      f"({beside['p99'] / alone['p99']:.1f} ×), {alone['per second']:,.0f} and "
                      f"{beside['per second']:,.0f}/s, {beside['wrong']:.0f} refused", flush=True)  # fmt: skip
            wrong = sum(running.get(path)[1] != body for path, body in truth.items())
            print(f"{kind:<9} {wrong} wrong tiles of {len(truth)}", flush=True)
        poison.unlink()


RUNS = {"load": (run_load, 8), "grid": (run_grid, 0), "soak": (run_soak, 3600), "poison": (run_poison, 10)}


def main() -> None:
    """Run one of them in a folder that goes afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=RUNS)
    parser.add_argument("--seconds", type=float, help="of each measurement")
    options = parser.parse_args()
    run, seconds = RUNS[options.what]
    with tempfile.TemporaryDirectory(prefix="planish-serve-") as folder:
        run(Path(folder), seconds if options.seconds is None else options.seconds)


if __name__ == "__main__":
    main()
