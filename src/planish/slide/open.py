"""`open_slide`: finds the reader by what a file holds, not by its suffix alone."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

from planish.errors import SlideError, SlideNotFound, UnsupportedSlide
from planish.slide.base import Slide, Source
from planish.slide.bytefile import TIFF_MAGIC


@dataclass(frozen=True, slots=True)
class Reader:
    """An entry of the registry.

    Attributes
    ----------
    name : str
        For messages and the table of formats.
    target : str
        ``module:class``, imported when first used.
    accepts : callable
        (path, first 256 bytes) -> bool.
    """

    name: str
    target: str
    accepts: Callable[[Path, bytes], bool]

    def open(self, source: Source) -> Slide:
        """Import the reader and open `source` with it."""
        module, _, name = self.target.partition(":")
        slide: Slide = getattr(importlib.import_module(module), name)(source)
        return slide


def _is_folder(path: Path, head: bytes) -> bool:
    return path.is_dir()


def _is_npy(path: Path, head: bytes) -> bool:
    return head.startswith(b"\x93NUMPY")


def _is_tiff(path: Path, head: bytes) -> bool:
    if not head.startswith(TIFF_MAGIC):
        return False
    from planish.slide.tiff import is_vendors

    return not is_vendors(path)


def _is_openslide(path: Path, head: bytes) -> bool:
    import openslide

    return _is_text(path) and openslide.OpenSlide.detect_format(path) is not None


def _is_picture(path: Path, head: bytes) -> bool:
    import pyvips

    if not _is_text(path):
        return False
    try:
        loader = pyvips.Image.new_from_file(str(path)).get("vips-loader")
    except pyvips.Error:
        return False
    # libvips guesses at raw text and vectors too; those are no micrographs.
    return not str(loader).startswith(("csv", "matrix", "svg", "pdf", "raw"))


def _is_text(path: Path) -> bool:
    """Whether a path is valid Unicode: OpenSlide and libvips take no other."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


READERS: tuple[Reader, ...] = (
    Reader("images", "planish.slide.images:ImagesSlide", _is_folder),
    Reader("npy", "planish.slide.picture:ArrayFileSlide", _is_npy),
    Reader("tiff", "planish.slide.tiff:TiffSlide", _is_tiff),
    Reader("openslide", "planish.slide.openslide:OpenSlideSlide", _is_openslide),
    Reader("picture", "planish.slide.picture:PictureSlide", _is_picture),
)
"""Asked in this order; the first that accepts opens."""


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
        raise SlideNotFound(f"{path}: no such file or folder; check the path")
    head = b"" if path.is_dir() else _head(path)
    for reader in READERS:
        if reader.accepts(path, head):
            return reader.open(path)
    if not _is_text(path):
        raise UnsupportedSlide(f"{path}: its name is no UTF-8, with which only TIFF and .npy are read; rename it")
    raise UnsupportedSlide(
        f"{path}: not a slide or image that planish reads (starts with {head[:8]!r}); "
        "TIFF, OME-TIFF, SVS, NDPI, OpenSlide's formats, common images and .npy are"
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
