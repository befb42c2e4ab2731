"""What tells that a slide is no longer the same: size, times and inode of its files, without reading them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from planish.batch.entry import Found
from planish.batch.grouping import is_zarr
from planish.serve.wanted import Refused

MOST_FILES = 256
_MOST_SIGNS = 16 << 10
"""Of all names: they go with every want, and are looked at for each."""
_ZARR_FILES = (".zarray", ".zattrs", ".zgroup", ".zmetadata", "zarr.json")
_ARRAY = ".zarray"
"""Whose folder holds chunks, of which there may be very many."""
_DEPTH = 2


def signature(path: str, files: Sequence[str] = ()) -> str:
    """Return the signature of a slide.

    Parameters
    ----------
    path : str
        Its file or folder.
    files : sequence of str, optional
        What else there is of it, see `signed`.

    Raises
    ------
    Refused
        Where it is not there.
    """
    try:
        seen = _facts(os.stat(path))  # noqa: PTH116 - asked at every tile, and three times as fast
    except OSError as error:
        raise Refused("gone", "the slide is no longer there; load the list of slides again") from error
    if not files:
        return seen
    folder = os.path.dirname(path)  # noqa: PTH120
    parts = [seen, *(_seen(os.path.join(folder, name)) for name in files)]  # noqa: PTH118
    return hashlib.blake2b("/".join(parts).encode("ascii"), digest_size=16).hexdigest()


def signed(found: Found) -> tuple[str, ...]:
    """Return the names, below the folder in which a slide lies, of what is looked at beside the slide's own path.

    All its files; of a Zarr those that describe it, and its upper folders, but no chunk; where that is too much, up to
    256 of the folders: what is written into a file in place is not seen then, what is replaced is.
    """
    parent = found.path.parent
    inner = (path for name in found.folders for path in _inside(parent / name))
    all_of_it = chain((parent / name for name in found.files), inner)
    paths = [path for path in all_of_it if path != found.path]
    if len(paths) > MOST_FILES or sum(len(str(path)) for path in paths) > _MOST_SIGNS:
        # What else lies beside a slide says nothing of it.
        beside = set() if len(found.files) > 1 else {parent}
        paths = sorted({path.parent for path in paths} - beside)[:MOST_FILES]
    return tuple(str(path.relative_to(parent)) for path in paths)


def _inside(folder: Path) -> Iterator[Path]:
    """Yield a folder and what is in it, always in the same order."""
    if is_zarr(folder):
        yield from _zarr(folder, _DEPTH)
        return
    for path, folders, names in os.walk(folder):
        folders.sort()
        yield Path(path)
        yield from (Path(path, name) for name in sorted(names))


def _zarr(folder: Path, depth: int) -> Iterator[Path]:
    yield folder
    there = [path for name in _ZARR_FILES if (path := folder / name).exists()]
    yield from there
    if depth and not any(path.name == _ARRAY for path in there):
        for inner in _folders(folder):
            yield from _zarr(inner, depth - 1)


def _folders(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir())
    except OSError:  # whoever opens it says what is wrong
        return []


def _seen(path: str) -> str:
    try:
        return _facts(os.stat(path))  # noqa: PTH116
    except OSError:
        return "missing"


def _facts(found: os.stat_result) -> str:
    return f"{found.st_size}-{found.st_mtime_ns}-{found.st_ctime_ns}-{found.st_ino}"
