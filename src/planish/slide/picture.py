"""Ordinary images as slides of one plane: whatever libvips opens, and NumPy files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyvips
from numpy.typing import NDArray

from planish.errors import SlideError, TileError, UnsupportedSlide
from planish.model import Encoding, Level, Plane, SlideMetadata
from planish.slide.base import Slide, Source
from planish.slide.foreign import reason
from planish.slide.page import VIRTUAL_TILE, jpeg_encoding

_DTYPES = {
    "uchar": np.uint8, "char": np.int8, "ushort": np.uint16, "short": np.int16,
    "uint": np.uint32, "int": np.int32, "float": np.float32, "double": np.float64,
}  # fmt: skip
_PIXELS_PER_MM_TO_MPP = 1000.0
_JPEG_HEAD = 8 << 20
"""Bytes in which a JPEG's header must end; a thumbnail and a colour profile stand in it, too."""


class PictureSlide(Slide):
    """A JPEG, PNG or other ordinary image. libvips holds it decoded, on disk beyond 100 MB."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        try:
            # libvips caches by path; revalidate looks whether the file has changed since.
            image = pyvips.Image.new_from_file(str(source), access="random", fail_on="truncated", revalidate=True)
            _refuse_pages(source, image)
            self._image = _plain(source, image)
        except pyvips.Error as error:
            raise SlideError(f"{source}: not a readable image ({reason(error)})") from error
        self._closed = False
        self.dtype = np.dtype(_DTYPES[self._image.format])
        bands = self._image.bands
        self.channels = ("R", "G", "B") if bands == 3 else tuple(str(band) for band in range(bands))
        self.levels = (Level(self._image.width, self._image.height, VIRTUAL_TILE, VIRTUAL_TILE),)
        self.planes = (Plane(0),)
        # A profile of CMYK or Lab says nothing on the RGB made of them.
        kept = image.get_typeof("icc-profile-data") and image.interpretation == self._image.interpretation
        icc = image.get("icc-profile-data") if kept else None
        self._encoding = _jpeg_encoding(source) if image.get("vips-loader").startswith("jpegload") else None
        mpp_x, mpp_y = (_mpp(resolution) for resolution in (image.xres, image.yres))
        self.metadata = SlideMetadata("image", mpp_x, mpp_y, icc_profile=icc)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        if self._closed:
            raise SlideError(f"{self.source}: read after closing; open it again")
        box = self.levels[0].tile_box(column, row)
        try:
            data = self._image.crop(*box).write_to_memory()
        except pyvips.Error as error:
            raise TileError(f"{self.source}: cannot be decoded ({reason(error)}); the file is damaged") from error
        return np.frombuffer(data, self.dtype).reshape(box.height, box.width, len(self.channels))

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return how a JPEG is compressed, so that its tables can be kept; it has no tiles to hand out."""
        self._check(level, plane)
        return self._encoding

    def close(self) -> None:
        """Let go of the image."""
        self._closed = True


class ArrayFileSlide(Slide):
    """A ``.npy`` file, (Z, Y, X) or (Z, Y, X, C), mapped and not loaded."""

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source, Path)
        try:
            array = np.load(source, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError, OSError) as error:
            raise SlideError(f"{source}: not a readable .npy file ({reason(error)}); save it again") from error
        if array.ndim == 3 and array.shape[2] in (3, 4):
            array = array[None]  # one colour image: no stack has planes three pixels wide
        if array.ndim == 3:
            array = array[..., None]
        if array.ndim != 4 or not array.size or array.dtype.kind not in "uif":
            raise UnsupportedSlide(
                f"{source}: a {array.dtype} array of shape {array.shape}; needed is a number array (Z, Y, X[, C])"
            )
        self._stack, self._closed = array, False
        self.dtype = array.dtype.newbyteorder("=")
        depth, height, width, count = array.shape
        self.channels = ("R", "G", "B") if count == 3 else tuple(str(channel) for channel in range(count))
        self.levels = (Level(width, height, VIRTUAL_TILE, VIRTUAL_TILE),)
        self.planes = tuple(Plane(index) for index in range(depth))
        self.metadata = SlideMetadata("NumPy")

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        if self._closed:
            raise SlideError(f"{self.source}: read after closing; open it again")
        x, y, width, height = self.levels[0].tile_box(column, row)
        return np.array(self._stack[plane, y : y + height, x : x + width], self.dtype)

    def close(self) -> None:
        """Let go of the array."""
        self._closed = True


def _refuse_pages(source: Source, image: pyvips.Image) -> None:
    """Raise UnsupportedSlide for animations and the like, of which libvips would show the first image."""
    pages = image.get("n-pages") if image.get_typeof("n-pages") else 1
    if pages > 1:
        raise UnsupportedSlide(f"{source}: holds {pages} images; save each plane as a file of its own, or as OME-TIFF")


def _plain(source: Source, image: pyvips.Image) -> pyvips.Image:
    """Return the image as grey or RGB of its own depth, without alpha, CMYK or palette."""
    if image.format not in _DTYPES:
        raise UnsupportedSlide(f"{source}: pixels of format {image.format} are not read; convert the image")
    if image.hasalpha():
        image = image.flatten(background=[255 if image.format == "uchar" else 65535])
    if image.interpretation in ("cmyk", "lab", "labs"):
        image = image.colourspace("srgb")
    return image


def _jpeg_encoding(source: Source) -> Encoding | None:
    assert isinstance(source, Path)
    with source.open("rb") as file:
        return jpeg_encoding(file.read(_JPEG_HEAD))


def _mpp(pixels_per_mm: float) -> float | None:
    mpp = _PIXELS_PER_MM_TO_MPP / pixels_per_mm if pixels_per_mm else 0.0
    return mpp if 0.01 < mpp < 50 else None  # 72 and 96 dpi are no statement on a specimen
