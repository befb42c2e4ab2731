"""SVS: Aperio's page chain with a pyramid per plane, and z in the descriptions."""

from __future__ import annotations

from concurrent.futures import Executor
from dataclasses import replace
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from planish.model import Plane
from planish.phantom.codec import Codec, choose_codec, jpeg_codec, lzw_codec
from planish.phantom.options import ContainerOptions
from planish.phantom.pages import Page, PlaneWriter
from planish.phantom.planes import file_order
from planish.phantom.pyramid import shrink
from planish.slide.base import Slide
from planish.write.assembler import Ifd, Tag, TiffAssembler, text, undefined
from planish.write.jpeg import standard_encoding

_MAKER = "Aperio Image Library v12.0.15\r\n"
_THUMBNAIL_SIDE = 1024
_LABEL, _MACRO = 1, 9


def write_svs(slide: Slide, file: BinaryIO, options: ContainerOptions, pool: Executor) -> None:
    """Write the slide's planes as an SVS into an open file.

    The order is Aperio's: the first plane's base, the thumbnail, its other levels, then plane by plane all levels,
    label, macro.
    """
    full = slide.levels[0]
    pixels = full.width * full.height * len(slide.planes) * len(slide.channels)
    tiff = TiffAssembler(file, bigtiff=pixels * slide.dtype.itemsize > 2**32)
    writer, smallest = PlaneWriter(slide, options, tiff, pool), _Thumbnail()
    order = file_order(slide, options.shuffle)
    written = zip(order, writer.write(order, smallest.add), strict=True)
    chain = [_level_ifd(slide, options, plane, page) for plane, pages in written for page in pages]
    codec = choose_codec(replace(options, codec=_strip_codec(options)), slide.dtype, len(slide.channels))
    thumbnail = smallest.pixels
    chain.insert(1, _strips(tiff, thumbnail, codec, _thumbnail_text(slide, options, thumbnail), pool))
    for name, subfile, image in (("label", _LABEL, options.label), ("macro", _MACRO, options.macro)):
        if image is not None:
            codec = lzw_codec() if subfile == _LABEL else jpeg_codec(standard_encoding(options.quality))
            title = f"{_MAKER}{name} {image.shape[1]}x{image.shape[0]}"
            chain.append(_strips(tiff, image, codec, title, pool, subfile))
    tiff.finish(chain)


class _Thumbnail:
    """Collects the smallest level of the first plane and keeps it small."""

    def __init__(self) -> None:
        self._bands: list[NDArray[Any]] = []

    def add(self, band: NDArray[Any]) -> None:
        # A power of two divides the bands' height, so that no rows are lost between them.
        factor = 1 << max(0, (band.shape[1] - 1) // _THUMBNAIL_SIDE).bit_length()
        self._bands.append(shrink(band, factor))

    @property
    def pixels(self) -> NDArray[Any]:
        return np.concatenate(self._bands)


def _strip_codec(options: ContainerOptions) -> str:
    """Return the thumbnail's codec: strips of 16 rows are too low for JPEG 2000's wavelets."""
    return "lzw" if options.codec == "jpeg2000" else options.codec


def _level_ifd(slide: Slide, options: ContainerOptions, plane: Plane, page: Page) -> Ifd:
    tags = {**page.tags(), Tag.IMAGE_DESCRIPTION: text(_level_text(slide, options, plane, page))}
    if slide.metadata.icc_profile:
        tags[Tag.ICC_PROFILE] = undefined(slide.metadata.icc_profile)
    return Ifd(tags)


def _level_text(slide: Slide, options: ContainerOptions, plane: Plane, page: Page) -> str:
    full = slide.levels[0]
    size = f"{full.width}x{full.height} [0,0 {full.width}x{full.height}] ({options.tile}x{options.tile})"
    shrunk = "" if page.width == full.width else f" -> {page.width}x{page.height}"
    return f"{_MAKER}{size}{shrunk} {_codec_text(options)}{_properties(slide, plane)}"


def _codec_text(options: ContainerOptions) -> str:
    jpeg = "JPEG/RGB" if options.color == "rgb" else "JPEG/YCC"
    names = {"jpeg": f"{jpeg} Q={options.quality}", "jpeg2000": f"J2K/KDU Q={options.quality}"}
    return names.get(options.codec, options.codec.upper())


def _properties(slide: Slide, plane: Plane) -> str:
    metadata = slide.metadata
    properties: dict[str, object] = {"AppMag": metadata.objective_power, "MPP": metadata.mpp_x}
    if len(slide.planes) > 1:
        properties["OffsetZ"] = plane.z_um
    known = {name: value for name, value in properties.items() if value is not None}
    return "".join(f"|{name} = {value:g}" for name, value in known.items())


def _thumbnail_text(slide: Slide, options: ContainerOptions, pixels: NDArray[Any]) -> str:
    full = slide.levels[0]
    return f"{_MAKER}{full.width}x{full.height} -> {pixels.shape[1]}x{pixels.shape[0]} - {_codec_text(options)}"


def _strips(
    tiff: TiffAssembler, pixels: NDArray[Any], codec: Codec, title: str, pool: Executor, subfile: int = 0
) -> Ifd:
    """Append a small image as strips and return its directory."""
    height, width, channels = pixels.shape
    page = Page(tiff, codec, width, height, channels, pixels.dtype, None)
    page.add(pixels, pool)
    return Ifd({**page.tags(subfile), Tag.IMAGE_DESCRIPTION: text(title)})
