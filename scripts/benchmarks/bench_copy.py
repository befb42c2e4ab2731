"""Flattening without decoding: a slide of many unique tiles, chosen by byte counts and copied, beside a plain copy."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from planish.focus.measures import blur_difference, luma
from planish.jpeg import split
from planish.phantom.specimen import Kind, PhantomOptions, PhantomSlide
from planish.slide.open import open_slide
from planish.write.assembler import Ifd, Tag, TiffAssembler, Value, long, short, text, undefined
from planish.write.jpeg import encode, standard_encoding

TILE, POOL = 256, 8
"""px, and tiles per side of the phantom whose tiles are used over and over, each time with a number of its own."""
COMMENT = b"\xff\xfe\x00\x0a"
"""A JPEG comment of eight bytes follows: payloads are unique, and decode to the same pixels."""

FLATTEN = """
import sys, time
from pathlib import Path
from planish.convert import ConvertOptions, Selection, convert
from planish.fuse.options import FuseOptions
from planish.focus.options import SurveyOptions
from planish.model import Box
from planish.write.options import WriteOptions
ways = {
    "bytes": (SurveyOptions(ties="bytes"), WriteOptions(overwrite=True)),
    "ties": (SurveyOptions(), WriteOptions(overwrite=True)),
    "decode": (SurveyOptions(scorer="blur-difference", score_downsample=1, sampler="dense", audit=False),
               WriteOptions(mode="encode")),
}
survey, write = ways[sys.argv[3]]
height = int(sys.argv[4])
selection = Selection(region=Box(0, 0, int(sys.argv[5]), height)) if height else Selection()
options = ConvertOptions(selection=selection, survey=survey, fuse=FuseOptions("select"), write=write)
Path(sys.argv[2]).unlink(missing_ok=True)
begin = time.perf_counter()
record = convert(Path(sys.argv[1]), Path(sys.argv[2]), options).record
seconds, found, output = record.seconds, record.survey, record.output
print(time.perf_counter() - begin, seconds["open"], seconds["survey"], seconds["write"], record.peak_memory_mib,
      output["tiles_copied"], output["tiles_encoded"], output["bytes"], found.decoded, found.tied, found.specimen_cells)
"""


def pools(kind: Kind, planes: int) -> tuple[list[list[bytes]], bytes]:
    """Return compressed tiles of a phantom, [place][plane], and the tables that they share."""
    phantom = PhantomSlide(PhantomOptions(kind, POOL * TILE, POOL * TILE, planes))
    encoding = standard_encoding(80, "ycbcr", (2, 2))
    tables, tiles = b"", []
    for row, column in np.ndindex(POOL, POOL):
        parts = [split(encode(phantom.read_tile(0, plane, column, row), encoding)) for plane in range(planes)]
        tables = parts[0][0]
        tiles.append([tile for _, tile in parts])
    return tiles, tables


def write_stack(path: Path, kind: Kind, side: int, planes: int, patch: int) -> None:
    """Write a z-stack of side × side tiles with ÷2 levels, every tile unique; patches of cells share a plane."""
    tiles, tables = pools(kind, planes)
    # Of each place, the planes by falling size: the patch decides which plane is the first of them.
    tiles = [sorted(place, key=len, reverse=True) for place in tiles]
    number, ifds = 0, []
    with path.open("wb", buffering=1 << 22) as file:
        assembler = TiffAssembler(file)
        for plane in range(planes):
            level = side
            while level >= 1:
                places = np.empty((2, level * level), np.int64)
                for index in range(level * level):
                    row, column = divmod(index, level)
                    scale = side // level
                    best = (row * scale // patch * 5 + column * scale // patch * 3) % planes
                    data = tiles[row % POOL * POOL + column % POOL][(plane - best) % planes]
                    data = b"".join((data[:2], COMMENT, number.to_bytes(8, "big"), data[2:]))
                    places[:, index] = assembler.append(data), len(data)
                    number += 1
                ifds.append(Ifd(tags(assembler, level, plane, places, tables, reduced=level < side)))
                level //= 2
        assembler.finish(ifds)


def tags(
    assembler: TiffAssembler, side: int, plane: int, places: NDArray[np.int64], tables: bytes, *, reduced: bool
) -> dict[int, Value]:
    """Return the directory of a level, as Aperio writes it."""
    return {
        Tag.SUBFILE_TYPE: long(int(reduced)),
        Tag.IMAGE_WIDTH: long(side * TILE),
        Tag.IMAGE_LENGTH: long(side * TILE),
        Tag.BITS_PER_SAMPLE: short([8, 8, 8]),
        Tag.COMPRESSION: short(7),
        Tag.PHOTOMETRIC: short(6),
        Tag.IMAGE_DESCRIPTION: text(f"Aperio Image Library bench\r\n|AppMag = 40|MPP = 0.25|OffsetZ = {plane}"),
        Tag.SAMPLES_PER_PIXEL: short(3),
        Tag.TILE_WIDTH: long(TILE),
        Tag.TILE_LENGTH: long(TILE),
        Tag.TILE_OFFSETS: assembler.offsets(places[0]),
        Tag.TILE_BYTE_COUNTS: long(places[1]),
        Tag.JPEG_TABLES: undefined(tables),
        Tag.YCBCR_SUBSAMPLING: short([2, 2]),
    }


def flatten(stack: Path, flat: Path, way: str, height: int = 0, width: int = 0) -> NDArray[np.float64]:
    """Flatten in a process of its own; return its numbers."""
    arguments = [sys.executable, "-c", FLATTEN, str(stack), str(flat), way, str(height), str(width)]
    printed = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout
    return np.array(printed.split(), float)


def decode_and_score(stack: Path, count: float) -> float:
    """Return the seconds that two threads take to read, decode and score so many tile-planes (from a sample)."""
    sample = int(min(count, 8000))
    with open_slide(stack) as slide:
        level = slide.levels[0]
        places = np.random.default_rng(0).integers(0, (len(slide.planes), level.columns, level.rows), (sample, 3))

        def work(part: NDArray[np.int64]) -> None:
            for plane, column, row in part.tolist():
                blur_difference(luma(slide.read_tile(0, plane, column, row)))

        begin = time.perf_counter()
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(work, np.array_split(places, 2)))
        return (time.perf_counter() - begin) * count / max(sample, 1)


def plain_copy(source: Path, target: Path) -> float:
    """Read and write the same bytes, fsync included, as the writer does; return seconds."""
    begin = time.perf_counter()
    with source.open("rb") as reader, target.open("wb") as writer:
        while block := reader.read(1 << 20):
            writer.write(block)
        os.fsync(writer.fileno())
    return time.perf_counter() - begin


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=400, help="tiles per side")
    parser.add_argument("--planes", type=int, default=7)
    parser.add_argument("--share", type=int, default=20, help="decode–score–encode only 1 / SHARE of the height")
    options = parser.parse_args()
    # Where planes change seldom, upper tiles are copied, too; a busy map has to compose most of them.
    slides: tuple[tuple[Kind, int], ...] = (("tissue", 64), ("cytology-dense", 8))
    for kind, patch in slides:
        with tempfile.TemporaryDirectory() as name:
            measure(Path(name), options, kind, patch)


def measure(folder: Path, options: argparse.Namespace, kind: Kind, patch: int) -> None:
    """Print the figures of one slide."""
    stack, side = folder / "stack.svs", options.side
    write_stack(stack, kind, side, options.planes, patch)
    size = stack.stat().st_size / 1e9
    print(f"{kind}: {options.planes} planes × {side**2} tiles, {size:.2f} GB, planes change every {patch} cells")
    cold = flatten(stack, folder / "bytes.tif", "bytes")[0]
    # The better of two runs: the first reads what the system has not at hand yet, as the plain copy never does.
    runs = {way: [flatten(stack, folder / f"{way}.tif", way) for _ in range(2)] for way in ("bytes", "ties")}
    results = {way: min(both, key=lambda numbers: float(numbers[0])) for way, both in runs.items()}
    copy = min(plain_copy(folder / "bytes.tif", folder / "copy.tif") for _ in range(3))
    rows = side // options.share // 8 * 8
    part = flatten(stack, folder / "decode.tif", "decode", rows * TILE, side * TILE)
    decoded = part[0] * side / rows
    print(f"bytes, for the first time: {cold:.2f} s")
    print(f"plain copy of the {results['bytes'][7] / 1e9:.2f} GB: {copy:.2f} s")
    for way, (total, opened, survey, writing, peak, copied, encoded, _, read, tied, cells) in results.items():
        print(
            f"{way:6} total {total:6.2f} s = {total / copy:.1f} × copy (open {opened:.2f}, choose {survey:.2f}, "
            f"write {writing:.2f}), peak {peak:.0f} MiB, {copied:.0f} tiles copied, {encoded:.0f} composed, "
            f"{read:.0f} tile-planes decoded for {tied:.0f} ties of {cells:.0f} cells"
        )
    alone = decode_and_score(stack, results["ties"][8])
    bytes_total, ties_total = results["bytes"][0], results["ties"][0]
    print(f"decode and score the tied tile-planes alone: {alone:.2f} s, at random places, two threads")
    print(f"  ties − bytes = {(ties_total - bytes_total) / max(alone, 0.01):.2f} × that")
    print(f"decode–score–encode: {decoded:.0f} s (from {rows} of {side} rows of tiles: {part[0]:.1f} s)")
    print(f"  {decoded / results['bytes'][0]:.0f} × bytes, {decoded / results['ties'][0]:.1f} × ties", flush=True)


if __name__ == "__main__":
    main()
