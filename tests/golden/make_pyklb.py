"""Write `pyklb.npz`: small KLB files as pyklb, the reference implementation, writes them, and the pixels in them.

Run in an environment with pyklb (0.3.0 compiles with `pip install pyklb`); it is no dependency of planish's tests.
"""

from __future__ import annotations

import importlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")
CODECS = ("none", "bzip2", "zlib")
SHAPES = {"zyx": (3, 7, 9), "tczyx": (2, 2, 3, 5, 6)}
BLOCK_XYZCT = (4, 5, 2, 1, 1)


def main() -> None:
    """Write the archive beside this script."""
    pyklb = importlib.import_module("pyklb")
    made: dict[str, Any] = {}
    kinds = [("zyx", dtype, codec) for dtype in DTYPES for codec in CODECS] + [("tczyx", "uint16", "zlib")]
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder, "made.klb"))
        for axes, dtype, codec in kinds:
            values = np.random.default_rng(7).integers(0, 100, SHAPES[axes]).astype(dtype)
            made[axes] = values.astype(np.uint8)
            spacing = np.array([1, 1, 2.5, 0.5, 0.25][-len(values.shape) :], np.float32)
            block = np.array(BLOCK_XYZCT, np.uint32)
            # pyklb 0.3.0 compares the spacing with None by !=, which only a list survives.
            pyklb.writefull(values, path, 1, spacing.tolist(), None, block, codec)
            assert np.array_equal(pyklb.readfull(path, 1), values)
            made[f"{axes}_{dtype}_{codec}"] = np.frombuffer(Path(path).read_bytes(), np.uint8)
    np.savez_compressed(Path(__file__).with_name("pyklb.npz"), **made)


if __name__ == "__main__":
    main()
