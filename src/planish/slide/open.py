"""`open_slide`: finds the reader by what a file holds, not by its suffix alone."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from planish.errors import SlideError, SlideNotFound, UnsupportedSlide
from planish.files import find_aside
from planish.slide.base import Slide
from planish.slide.readers import READERS, is_text


def open_slide(source: str | PathLike[str] | Sequence[str | PathLike[str]]) -> Slide:
    """Open a slide, whatever holds it.

    Parameters
    ----------
    source : path or sequence of paths
        A file, a folder with one image per focal plane, or the files of the planes.

    Returns
    -------
    Slide
        Close it, or use it as a context manager.

    Raises
    ------
    SlideNotFound
        Where there is nothing at the path.
    UnsupportedSlide
        Where no reader takes the file, or none that would see all of its planes.
    SlideError
        Where the file is damaged.
    """
    if not isinstance(source, (str, PathLike)):
        return _open_list(tuple(Path(path) for path in source))
    path = Path(source)
    if not path.exists():
        if aside := find_aside(path):
            raise SlideNotFound(f"{path}: writing it anew was cut short, the old one is {aside[0]}; rename that back")
        raise SlideNotFound(f"{path}: no such file or folder; check the path")
    head = b"" if path.is_dir() else _head(path)
    for reader in READERS:
        if reader.accepts(path, head):
            return reader.open(path)
    if not is_text(path):
        raise UnsupportedSlide(f"{path}: its name is no UTF-8, with which only TIFF and .npy are read; rename it")
    known = ", ".join(each.name for reader in READERS for each in reader.formats)
    raise UnsupportedSlide(
        f"{path}: not a slide or image that planish reads (starts with {head[:8]!r}); it reads {known}"
    )


def _open_list(paths: tuple[Path, ...]) -> Slide:
    from planish.slide.images import ImagesSlide

    if not paths:
        raise UnsupportedSlide("no files were given; name one image per focal plane")
    missing = next((path for path in paths if not path.exists()), None)
    if missing:
        raise SlideNotFound(f"{missing}: no such file; check the list of planes")
    return ImagesSlide(paths)


def _head(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            head = file.read(256)
    except OSError as error:
        raise SlideError(f"{path}: cannot be read ({error.strerror}); check its permissions") from error
    if not head:
        raise SlideError(f"{path}: is empty; export the slide again")
    return head
