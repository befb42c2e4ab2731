"""`write_dicom`: a one-plane slide becomes a folder with a DICOM whole-slide series, a file for each level."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread

from planish.encoding import Encoding
from planish.errors import OptionError
from planish.model import Level, SlideMetadata
from planish.slide.base import Slide
from planish.slide.dicom import DicomSlide
from planish.threads import Progress
from planish.write.assembler import Value
from planish.write.dicomfile import DicomFile
from planish.write.dicomheader import MODEL, check_describable, describe_image
from planish.write.dicomnames import ImageNames, SeriesNames
from planish.write.encode import JpegTiles, TileEncoder, choose_encoder
from planish.write.jpeg import standard_encoding
from planish.write.levels import LevelPlan, Segment, plan_levels
from planish.write.options import WriteOptions, Written
from planish.write.output import Container, Place, check_one_plane
from planish.write.rows import every_row
from planish.write.texts import carries_text
from planish.write.tiles import TileSource
from planish.write.verify import SAMPLE, compare

SUFFIXES = (".dcm", ".dicom")
"""Of a folder that is to be written."""
_EVEN = 2
"""px: DICOM's tiles may have any size, but halving wants even sides."""
_BUFFER = 1 << 20
_MOST_LEVELS = 100
"""Numbers of images up to here are for levels."""
_KINDS = {"label": "LABEL", "macro": "OVERVIEW"}


class Jpeg2000Tiles(TileEncoder):
    """Lossless JPEG 2000, which DICOM readers know best of what is lossless."""

    def __init__(self, channels: int) -> None:
        self.encoding = Encoding("lossless JPEG 2000", "gray" if channels == 1 else "rgb")

    def encode(self, tile: NDArray[Any], page_tables: bytes = b"") -> bytes:
        """Return the code stream."""
        colour = tile.shape[2] == 3
        pixels = np.ascontiguousarray(tile if colour else tile[..., 0])
        return bytes(imagecodecs.jpeg2k_encode(pixels, reversible=True, codecformat="J2K", mct=colour))

    def tags(self, page_tables: bytes = b"") -> Mapping[int, Value]:
        """Return none: this is not for TIFF."""
        return {}


def is_dicom_folder(path: Path) -> bool:
    """Whether a folder holds nothing but DICOM files that planish wrote, so that it may be replaced."""
    files = list(path.iterdir())
    return bool(files) and all(file.is_file() and _is_own(file) for file in files)


def _is_own(file: Path) -> bool:
    try:
        data = dcmread(file, stop_before_pixels=True, specific_tags=["ManufacturerModelName"])
    except Exception:  # parsing is foreign code, which other files throw off in any way
        return False
    return str(data.get("ManufacturerModelName")) == MODEL


def check_dicom_options(slide: Slide, options: WriteOptions) -> None:
    """Raise OptionError where a slide cannot be written so as DICOM."""
    check_one_plane(slide)
    if options.layout != "ome":
        raise OptionError(f"layout {options.layout} is one of TIFF files; leave out the layout, or write a .tif")
    check_describable(slide)


def write_dicom_files(slide: Slide, folder: Path, options: WriteOptions, progress: Progress | None) -> Written:
    """Write and check a series in an empty folder; `lossless` means JPEG 2000.

    Of a `FlatSlide` or `FusedSlide` of several planes, the images say that their depth of field is extended.
    """
    check_dicom_options(slide, options)
    source = dicom_source(slide, options)
    names = SeriesNames(texts=source.copying and carries_text(slide))
    names = replace(names, study=options.study) if options.study else names
    _write_associated(slide, folder, options, names)
    copied = bytes_copied = 0
    with ExitStack() as stack:
        files = []
        for index, level in enumerate(source.plan.levels):
            file = stack.enter_context((folder / f"level-{index}.dcm").open("xb", buffering=_BUFFER))
            image = ImageNames(index + 1, resampled=index > 0)
            describe = partial(describe_image, slide, level, source.encoder.encoding, (names, image))
            files.append(DicomFile(file, level.columns * level.rows, describe))
        for row in every_row(source, options.jobs, progress):
            for tile in row.tiles:
                files[row.level].append(tile)
            copied += row.copied
            bytes_copied += row.bytes_copied
        for each in files:
            each.finish()
    checked = compare(folder, source, SAMPLE, DicomSlide).tiles_checked
    return Written(
        folder,
        sum(file.stat().st_size for file in folder.iterdir()),
        source.plan.levels,
        source.encoder.encoding,
        copied,
        sum(level.columns * level.rows for level in source.plan.levels) - copied,
        bytes_copied,
        checked,
    )


def dicom_source(slide: Slide, options: WriteOptions) -> TileSource:
    """Return where the frames come from; each of them carries its own JPEG tables."""
    copying = options.mode != "encode" and options.quality is None and not options.lossless
    encoder, plan = _choose_encoder(slide, options), _plan(slide, options)
    copying = copying and any(_may_copy(slide.encoding(each.source, 0), encoder) for each in plan.segments)
    if options.mode == "copy" and not copying:
        reason = slide.sizes_refusal(0) or "its tiles are no JPEG"
        raise OptionError(f"{slide.name}: tiles cannot be copied: {reason}; use --write auto")
    return _FrameSource(slide, plan, encoder, copying, (b"",) * len(plan.levels))


def _plan(slide: Slide, options: WriteOptions) -> LevelPlan:
    """Return the levels, all with the tiles of the first one: wsidicom takes no others for the same slide."""
    plan = plan_levels(slide, options.levels, _EVEN)
    full = plan.levels[0]
    levels = [replace(level, tile_width=full.tile_width, tile_height=full.tile_height) for level in plan.levels]
    return replace(plan, levels=tuple(levels))


def _choose_encoder(slide: Slide, options: WriteOptions) -> TileEncoder:
    lossless = Jpeg2000Tiles(len(slide.channels))
    chosen = lossless if options.lossless else choose_encoder(slide, options.quality)
    if not isinstance(chosen, JpegTiles):
        return lossless
    source = slide.encoding(0, 0)
    if source is None or source.codec != "jpeg" or options.quality or source.alike(chosen.encoding):
        return chosen
    # A kind of JPEG that no encoder at hand writes, such as subsampled RGB: the nearest in the same colours.
    return JpegTiles(standard_encoding(_near_quality(source), source.color, (1, 1)))


def _near_quality(encoding: Encoding) -> int:
    """Return the IJG quality whose luma table is nearest in size."""
    size = sum(encoding.tables[0])
    return min(range(1, 101), key=lambda quality: abs(sum(standard_encoding(quality, "gray").tables[0]) - size))


def _may_copy(encoding: Encoding | None, encoder: TileEncoder) -> bool:
    """Whether frames so compressed may stand beside those of the encoder: a file has one codec and colour space."""
    own = encoder.encoding
    return encoding is not None and (encoding.codec, encoding.color) == (own.codec, own.color) and own.codec == "jpeg"


class _FrameSource(TileSource):
    """Frames differ in tables and chroma subsampling as they like, unlike the tiles of a TIFF page."""

    def _copyable(self, segment: Segment) -> bool:
        level, source = self.plan.levels[segment.first], self.slide.levels[segment.source]
        same = (level.tile_width, level.tile_height) == (source.tile_width, source.tile_height)
        return self.copying and same and _may_copy(self.slide.encoding(segment.source, 0), self.encoder)


def _write_associated(slide: Slide, folder: Path, options: WriteOptions, names: SeriesNames) -> None:
    """Write label and macro as far as they are asked for, each as one frame."""
    wanted = [name for name, asked in (("label", options.label), ("macro", options.macro)) if asked]
    for number, name in enumerate(wanted):
        if name not in slide.associated:
            have = ", ".join(slide.associated) or "none"
            raise OptionError(f"{slide.name}: has no {name} image (it has {have}); leave out --{name}")
        picture = _Picture(slide, name)
        encoder, image = Jpeg2000Tiles(len(picture.channels)), ImageNames(_MOST_LEVELS + number, _KINDS[name])
        with (folder / f"{name}.dcm").open("xb") as file:
            made = DicomFile(file, 1, partial(describe_image, picture, picture.levels[0], encoder.encoding,
                                              (names, image)))  # fmt: skip
            made.append(encoder.encode(picture.read_tile(0, 0, 0, 0)))
            made.finish()


class _Picture(Slide):
    """An associated image of a slide, as one tile."""

    def __init__(self, slide: Slide, name: str) -> None:
        super().__init__(slide.source)
        self._pixels = np.asarray(slide.associated[name])
        height, width, channels = self._pixels.shape
        self.levels, self.planes = (Level(width, height, width, height),), slide.planes
        self.channels = ("R", "G", "B") if channels == 3 else ("0",)
        self.dtype = self._pixels.dtype
        self.metadata = SlideMetadata(name)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._pixels


def _fill(slide: Slide, place: Place, options: WriteOptions, progress: Progress | None) -> Written:
    return write_dicom_files(slide, place[0], options, progress)


CONTAINER = Container(check_dicom_options, _fill, is_dicom_folder, dicom_source, DicomSlide)
