"""Light-sheet volumes in files: how fast each format is written and read, in how many bytes and files."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WAYS = {
    "plain bytes (.stack)": ("stack", {}),
    "zarr zstd-1": ("zarr", {}),
    "zarr zstd-5": ("zarr", {"level": 5}),
    "zarr zstd-5, no shards": ("zarr", {"level": 5, "sharded": False}),
    "zarr zstd-1, planes": ("zarr", {"chunk": "plane"}),
    "zarr lz4": ("zarr", {"compressor": "blosc-lz4"}),
    "zarr lz4hc": ("zarr", {"compressor": "blosc-lz4hc"}),
    "zarr gzip": ("zarr", {"compressor": "gzip"}),
    "zarr none": ("zarr", {"compressor": "none"}),
    "KLB bzip2": ("klb", {}),
    "KLB zlib": ("klb", {"compressor": "gzip"}),
    "TIFF": ("tif", {"compressor": "none"}),
    "TIFF deflate": ("tif", {"compressor": "gzip"}),
}
"""Endings and options of each row."""

WRITE = """
import json, os, sys, time
from pathlib import Path
import numpy as np
from planish.lightsheet import klb, tiffvolume, zarrcodecs, zarrvolume
from planish.lightsheet.volume import VolumeOptions, write_volume
from planish.report.record import peak_memory_mib
class Source:
    # Not mapped: pages of a mapped file count as memory.
    width, height = map(int, sys.argv[4:6])
    shape = Path(sys.argv[1]).stat().st_size // (2 * width * height), height, width
    dtype = np.dtype("<u2")
    def __getitem__(self, planes):
        start, stop, _ = planes.indices(self.shape[0])
        size = self.width * self.height
        pixels = np.fromfile(sys.argv[1], self.dtype, size * (stop - start), offset=2 * size * start)
        return pixels.reshape(stop - start, self.height, self.width)
target, options, volume = Path(sys.argv[2]), json.loads(sys.argv[3]), Source()
if sys.argv[6] == "slow":
    zarrcodecs._has_zarrs = lambda: False
begin = time.perf_counter()
if target.suffix == ".stack":
    with target.open("wb") as file:
        for z in range(0, volume.shape[0], 10):
            file.write(volume[z : z + 10].tobytes())
        os.fsync(file.fileno())
else:
    write_volume(target, volume, VolumeOptions(**options))
print(time.perf_counter() - begin, peak_memory_mib())
"""
READ = """
import sys, time
from pathlib import Path
import numpy as np
from planish.lightsheet import klb, tiffvolume, zarrcodecs, zarrvolume
from planish.lightsheet.volume import open_volume
source, target, size = Path(sys.argv[1]), Path(sys.argv[2]), tuple(map(int, sys.argv[4:6]))
if sys.argv[6] == "slow":
    zarrcodecs._has_zarrs = lambda: False
begin = time.perf_counter()
with open_volume(target, *size) as volume:
    pixels = np.array(volume[...])
seconds = time.perf_counter() - begin
with open_volume(target, *size) as volume:
    begin = time.perf_counter()
    for z in range(0, len(volume), len(volume) // 8):
        np.array(volume[z])
    plane = (time.perf_counter() - begin) / 8
with open_volume(source, *size) as volume:
    same = np.array_equal(pixels, volume)
print(seconds, plane * 1000, int(same))
"""


def specimen(shape: tuple[int, int, int], path: Path) -> None:
    """Write a raw file: dim blobs, blurred with depth, Poisson noise, an offset of 100 and read noise of 1.6 counts."""
    random = np.random.default_rng(0)
    depth, height, width = shape
    down, across = np.arange(height), np.arange(width)
    blobs = random.uniform(0, 1, (depth, 6, 4))
    with path.open("wb") as file:
        for plane in blobs:
            light = np.zeros((height, width), np.float32)
            for y, x, size, power in plane:
                sigma = 8 + 60 * size
                light += (
                    600
                    * power
                    * np.outer(
                        np.exp(-(((down - y * height) / sigma) ** 2)), np.exp(-(((across - x * width) / sigma) ** 2))
                    )
                )
            counts = random.poisson(light) + random.normal(100, 1.6, light.shape)
            file.write(np.rint(counts).astype("<u2").tobytes())


def run(code: str, *arguments: object) -> NDArray[np.float64]:
    """Run code in a process of its own, so that its peak memory is its own; return the numbers that it prints."""
    printed = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return np.array(printed.stdout.split(), float)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["io"])
    parser.add_argument("--shape", type=int, nargs=3, default=[200, 1024, 1024], metavar=("Z", "Y", "X"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        measure(Path(name), tuple(options.shape))


def measure(folder: Path, shape: tuple[int, int, int]) -> None:
    """Print a row for each way."""
    source = folder / "source.stack"
    specimen(shape, source)
    size = source.stat().st_size / 2**20
    print(f"{shape} uint16, {size:.0f} MiB; writing ends on the disk (fsync), reading comes from the system's cache")
    print(f"{'':31}{'write MiB/s':>12}{'read MiB/s':>12}{'plane ms':>10}{'ratio':>7}{'files':>7}{'peak MiB':>10}")
    for way, (ending, chosen) in WAYS.items():
        for fast in ("fast", "slow") if ending == "zarr" else ("",):
            row(folder, (way, fast), ending, chosen, (size, shape))


def row(
    folder: Path, way: tuple[str, str], ending: str, chosen: dict[str, object], told: tuple[float, tuple[int, int, int]]
) -> None:
    """Write, read back and compare in one way, in two processes; remove the files."""
    size, shape = told
    target = folder / f"target.{ending}"
    arguments = (folder / "source.stack", target, json.dumps(chosen), shape[2], shape[1], way[1] or "fast")
    seconds, peak = run(WRITE, *arguments)
    read, plane, same = run(READ, *arguments)
    assert same, way
    files = [path for path in (target.rglob("*") if target.is_dir() else [target]) if path.is_file()]
    ratio = size * 2**20 / sum(path.stat().st_size for path in files)
    name = f"{way[0]}{', zarrs' if way[1] == 'fast' else ''}"
    print(f"{name:31}{size / seconds:12.0f}{size / read:12.0f}{plane:10.1f}{ratio:7.2f}{len(files):7}{peak:10.0f}",
          flush=True)  # fmt: skip
    shutil.rmtree(target) if target.is_dir() else target.unlink()


if __name__ == "__main__":
    main()
