"""Time and peak memory of flattening a large slide, beside libvips writing one plain plane of the same size."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.model import Plane
from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.pyramid import kept_downsamples
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.slide.base import Slide
from planish.slide.views import RegionView

BLOCK = 2048
"""Side of the phantom that is repeated; drawing all of a large slide would take much longer than the measurement."""

FLATTEN = """
import sys, time
from pathlib import Path
from planish.convert import convert
begin = time.perf_counter()
record = convert(Path(sys.argv[1]), Path(sys.argv[2])).record
print(time.perf_counter() - begin, record.peak_memory_mib, record.seconds["survey"], record.seconds["write"])
"""
VIPS = """
import sys, time
import pyvips
from planish.report.record import peak_memory_mib
begin = time.perf_counter()
image = pyvips.Image.new_from_file(sys.argv[1], access="sequential")
image.tiffsave(sys.argv[2], tile=True, tile_width=256, tile_height=256, pyramid=True, compression="jpeg", Q=80,
               bigtiff=True)
print(time.perf_counter() - begin, peak_memory_mib())
"""


class Repeated(Slide):
    """A slide that repeats another one over any size."""

    def __init__(self, slide: Slide, width: int, height: int) -> None:
        super().__init__(slide.source)
        full, self._slide = slide.levels[0], slide
        self.levels = (type(full)(width, height, full.tile_width, full.tile_height),)
        self.planes: tuple[Plane, ...] = slide.planes
        self.dtype, self.channels, self.metadata = slide.dtype, slide.channels, slide.metadata
        self._pixels: dict[tuple[int, int, int], NDArray[Any]] = {}

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        inner = self._slide.levels[0]
        key = plane, column % inner.columns, row % inner.rows
        if key not in self._pixels:
            self._pixels[key] = self._slide.read_tile(0, *key)
        _, _, width, height = self.levels[0].tile_box(column, row)
        return self._pixels[key][:height, :width]


def run(code: str, *paths: Path) -> NDArray[np.float64]:
    """Run code in a process of its own, so that its peak memory is its own; return the numbers that it prints."""
    printed = subprocess.run([sys.executable, "-c", code, *map(str, paths)], check=True, capture_output=True, text=True)
    return np.array(printed.stdout.split(), float)


def main() -> None:
    """Print the times and memory for slides of growing height."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=20_480)
    parser.add_argument("--heights", type=int, nargs="+", default=[5_120, 20_480])
    parser.add_argument("--planes", type=int, default=5)
    options = parser.parse_args()
    assert kept_downsamples(options.width, min(options.heights), (1, 4, 16))
    phantom = PhantomSlide(PhantomOptions(width=BLOCK, height=BLOCK, planes=options.planes))
    with tempfile.TemporaryDirectory() as name:
        for height in options.heights:
            measure(Repeated(phantom, options.width, height), Path(name))


def measure(slide: Slide, folder: Path) -> None:
    """Write the slide as a z-stack and its middle plane alone, then flatten the one and copy the other with libvips."""
    full, planes = slide.levels[0], len(slide.planes)
    stack, plane = folder / f"stack{full.height}.svs", folder / f"plane{full.height}.svs"
    begin = time.perf_counter()
    write_container(slide, stack, ContainerOptions("svs"))
    write_container(RegionView(slide.view(planes=[planes // 2])), plane, ContainerOptions("svs", downsamples=(1,)))
    print(f"{full.width} × {full.height} × {planes} planes (made in {time.perf_counter() - begin:.0f} s)")
    ours, ours_memory, survey, writing = run(FLATTEN, stack, folder / f"flat{full.height}.tif")
    vips, vips_memory = run(VIPS, plane, folder / f"vips{full.height}.tif")
    print(f"  planish flatten     {ours:6.1f} s (survey {survey:.1f}, write {writing:.1f}), peak {ours_memory:.0f} MiB")
    print(f"  libvips, one plane  {vips:6.1f} s, peak {vips_memory:.0f} MiB; ratio {ours / vips:.2f}", flush=True)
    for path in (stack, plane):
        path.unlink()


if __name__ == "__main__":
    main()
