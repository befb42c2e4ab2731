"""How Zarr compresses: the codecs by name, and who runs them."""

from __future__ import annotations

import importlib
import importlib.util
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import zarr
from zarr.codecs import BloscCodec, GzipCodec
from zarr.codecs.numcodecs import BZ2

from planish.lightsheet.volumeoptions import Compressor

# Bit shuffling at level 1 makes files smaller than byte shuffling at level 5, in a quarter of the time (scripts/bench
# lightsheet io).
_LEVELS: dict[str, int] = {"blosc-zstd": 1, "blosc-lz4": 5, "blosc-lz4hc": 5, "gzip": 5, "bzip2": 2}


def codec(compressor: Compressor, level: int | None) -> Any:
    """Return a codec of zarr's; None for none. bzip2 is no part of Zarr's specification, but zarr-python's."""
    if compressor == "none":
        return None
    level = _LEVELS[compressor] if level is None else level
    if compressor == "gzip":
        return GzipCodec(level=level)
    if compressor == "bzip2":
        return BZ2(level=level)
    name: Any = compressor.removeprefix("blosc-")
    return BloscCodec(cname=name, clevel=level, shuffle="bitshuffle")


_LOCK = threading.RLock()


@contextmanager
def fast_codecs() -> Iterator[None]:
    """Have arrays that are made or opened meanwhile run by `zarrs`, where it is installed: about twice as fast.

    One thread at a time, because zarr's settings and Python's warnings are the process's; reading and writing go on
    outside.
    """
    with _LOCK, warnings.catch_warnings():
        # Told to the user in the documentation, not with every file.
        warnings.filterwarnings("ignore", message="Numcodecs codecs are not in the Zarr version 3 specification")
        if not _has_zarrs():
            yield
            return
        importlib.import_module("zarrs")  # registers itself
        with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
            yield


def _has_zarrs() -> bool:
    return importlib.util.find_spec("zarrs") is not None
