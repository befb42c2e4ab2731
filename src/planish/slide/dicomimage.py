"""One image of a DICOM series: where its frames are, read and decoded one by one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RLELossless,
)
from wsidicom.codec import Codec
from wsidicom.file.io import WsiDicomReader
from wsidicom.instance import TileType

from planish.encoding import Encoding
from planish.errors import SlideError, TileError, UnsupportedSlide
from planish.jpeg import JpegHeader, read_header
from planish.slide.dicomtables import Z_DECIMALS, Key, sparse_tables
from planish.slide.foreign import reason

_UM_PER_MM = 1000.0
_SEQUENCE_END = bytes.fromhex("feffdde000000000")
_CODECS = {
    JPEGBaseline8Bit: "jpeg",
    JPEG2000: "jpeg2000",
    JPEG2000Lossless: "lossless JPEG 2000",
    HTJ2K: "HTJ2K",
    RLELossless: "run-length",
}


class DicomImage:
    """An image of one size: a file, or the files that it was cut into (a concatenation).

    Holds the places of its frames: some 32 bytes for each of them, and no pixels.

    Parameters
    ----------
    readers : sequence of WsiDicomReader
        Its files.

    Attributes
    ----------
    width, height, tile_width, tile_height : int
        px.
    samples : int
        Of a frame: 3 or 1.
    dtype : numpy.dtype
        Of the decoded frames.
    tables : dict of (z in µm or None, optical path) to ndarray
        Frame of each tile, (rows, columns) int64; -1 where there is none.

    Raises
    ------
    SlideError
        Where frames, parts or pixels are missing.
    """

    def __init__(self, readers: Sequence[WsiDicomReader]) -> None:
        self._readers = sorted(readers, key=lambda reader: int(reader.frame_offset))
        self._data = data = self._readers[0].dataset
        self.path = Path(str(self._readers[0].filepath))
        self.width, self.height = data.image_size.width, data.image_size.height
        self.tile_width, self.tile_height = data.tile_size.width, data.tile_size.height
        self.columns, self.rows = -(-self.width // self.tile_width), -(-self.height // self.tile_height)
        self.samples, self.dtype = int(data.samples_per_pixel), np.dtype(np.uint8 if data.bits <= 8 else np.uint16)
        self.extended = bool(data.ext_depth_of_field)
        self._starts = np.array([reader.frame_offset for reader in self._readers])
        self._count = sum(reader.frame_count for reader in self._readers)
        self._check_parts()
        for reader in self._readers:
            _check_whole(reader)
        syntax = self._readers[0].transfer_syntax
        self.codec = _CODECS.get(syntax, syntax.name if syntax.is_encapsulated else "uncompressed")
        self._decoder = Codec.create(
            syntax, self.samples, data.bits, data.tile_size, data.photometric_interpretation
        ).decoder
        self.tables = sparse_tables(self._readers) if data.tile_type == TileType.SPARSE else self._full()

    def _check_parts(self) -> None:
        following = 0
        for reader in self._readers:
            if reader.frame_offset != following:
                raise SlideError(
                    f"{reader.filepath}: starts at frame {reader.frame_offset} of its image, of which frames from "
                    f"{following} on are missing; add the other files of the series"
                )
            following += reader.frame_count

    def _full(self) -> dict[Key, NDArray[np.int64]]:
        """Return the frames of an image that holds every tile, row by row, plane by plane, path by path."""
        spacing, planes = self._data.spacing_between_slices, int(self._data.number_of_focal_planes)
        paths = self._data.optical_path_identifiers
        area = self.columns * self.rows
        if self._count == area * planes:
            # Files of one path each may list those of the others too.
            paths = [self._data.read_optical_path_identifier()]
        if self._count != area * planes * len(paths):
            raise SlideError(
                f"{self.path}: holds {self._count} frames, while {self.columns} × {self.rows} tiles, {planes} focal "
                f"planes and {len(paths)} optical paths make {area * planes * len(paths)}; frames or files are missing"
            )
        tables: dict[Key, NDArray[np.int64]] = {}
        for number, path in enumerate(paths):
            for plane in range(planes):
                z = self._z_of(plane, planes, spacing)
                first = (number * planes + plane) * area
                tables[z, path] = np.arange(first, first + area).reshape(self.rows, self.columns)
        if len(tables) < planes * len(paths):
            raise SlideError(
                f"{self.path}: does not say how far apart its {planes} focal planes are, so that their order is not "
                "known; export it with SpacingBetweenSlices"
            )
        return tables

    def _z_of(self, plane: int, planes: int, spacing: float | None) -> float | None:
        if planes > 1 and not spacing:
            return None
        return round(float(self._data.z_offset) + plane * (spacing or 0.0) * _UM_PER_MM, Z_DECIMALS)

    @property
    def states_z(self) -> bool:
        """Whether the file says where its planes are; wsidicom answers 0 where it does not."""
        if self._data.tile_type == TileType.SPARSE:
            return self._data.frame_positions.z_offsets is not None or bool(self._data.z_offset)
        return bool(self._data.z_offset) or any(z for z, _ in self.tables)

    @property
    def lossy(self) -> bool:
        """Whether fewer bytes mean less detail."""
        return self.codec in ("jpeg", "jpeg2000")

    @property
    def spacing_um(self) -> tuple[float, float] | None:
        """Width and height of a pixel in µm."""
        size = self._data.pixel_spacing
        return (size.width * _UM_PER_MM, size.height * _UM_PER_MM) if size else None

    @property
    def composed_of(self) -> int | None:
        """Focal planes that an image of extended depth of field was made of."""
        planes: int | None = self._data.ext_depth_of_field_planes
        return planes

    def read(self, frame: int) -> bytes:
        """Return a frame as the file holds it, without the byte that evens its length."""
        reader = self._readers[int(np.searchsorted(self._starts, frame, side="right")) - 1]
        try:
            data = bytes(reader.read_frame(frame))
            length = int(reader.frame_index[frame - reader.frame_offset][1])
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            raise TileError(f"{reader.filepath}: frame {frame + 1} cannot be read ({reason(error)})") from error
        if len(data) < length:
            raise TileError(f"{reader.filepath}: ends in the middle of frame {frame + 1}; copy the file again")
        return data[:-1] if data.endswith(b"\xff\xd9\0") else data

    def decode(self, frame: int) -> NDArray[Any]:
        """Return a frame's pixels, (tile height, tile width, samples)."""
        data = self.read(frame)
        try:
            pixels = self._pixels(data)
        except Exception as error:  # the codecs raise errors of many kinds
            raise TileError(f"{self.path}: frame {frame + 1} cannot be decoded ({reason(error)})") from error
        shape = (self.tile_height, self.tile_width, self.samples)
        if pixels.size != np.prod(shape) or pixels.shape[:2] != shape[:2]:
            raise TileError(f"{self.path}: frame {frame + 1} has a shape of {pixels.shape}, not {shape}; export again")
        return pixels.reshape(shape).astype(self.dtype, copy=False)

    def _pixels(self, data: bytes) -> NDArray[Any]:
        if self.codec != "jpeg":
            return np.asarray(self._decoder.decode(data))
        color = self._color(read_header(data))
        if color == "gray":
            return np.asarray(imagecodecs.jpeg8_decode(data))
        return np.asarray(imagecodecs.jpeg8_decode(data, colorspace=color, outcolorspace="rgb"))

    def _color(self, header: JpegHeader) -> str:
        """Return what a JPEG holds: as it says itself, else as DICOM says."""
        if header.adobe_transform is not None or header.color != "ycbcr":
            return header.color
        return "rgb" if self._data.photometric_interpretation == "RGB" else "ycbcr"

    def encoding(self, frame: int) -> Encoding | None:
        """Return how a frame is compressed, None where planish could not write its like."""
        if self.codec == "jpeg2000":
            return Encoding("jpeg2000", "gray" if self.samples == 1 else "rgb")
        if self.codec != "jpeg":
            return None
        try:
            header = read_header(self.read(frame))
            return header.encoding(self._color(header))
        except (SlideError, IndexError):
            return None

    @cached_property
    def lengths(self) -> NDArray[np.int64]:
        """Bytes of every frame, up to one more where the table counts the byte that evens it.

        Read from the table of offsets. Without one, every frame's header is read, once: some 10 µs each.
        """
        try:
            return np.concatenate(
                [np.array([length for _, length in reader.frame_index], np.int64) for reader in self._readers]
            )
        except Exception as error:  # as in read
            raise SlideError(f"{self.path}: its frames cannot be found ({reason(error)}); copy it again") from error

    def blank(self) -> NDArray[Any]:
        """Return a tile that was not scanned: white in colour images, else 0."""
        return np.full((self.tile_height, self.tile_width, self.samples), 255 if self.samples == 3 else 0, self.dtype)

    def close(self) -> None:
        """Close its files."""
        for reader in self._readers:
            reader.close()


def _check_whole(reader: WsiDicomReader) -> None:
    """Raise SlideError where a file has no pixels or ends before they do; without reading them."""
    path = Path(str(reader.filepath))
    try:
        # Looks for the pixels, but not for each frame.
        encapsulated = bool(reader.transfer_syntax.is_encapsulated)
        bits = int(reader.dataset.bits)
        if not encapsulated and bits % 8:
            raise UnsupportedSlide(
                f"{path}: has {bits} bits per sample, uncompressed, where wsidicom reads 8 or 16; export it as "
                "JPEG 2000, or as OME-TIFF"
            )
        table = reader.offset_table_type
        size = path.stat().st_size
        with path.open("rb") as file:
            file.seek(max(0, size - len(_SEQUENCE_END)))
            closed = encapsulated and file.read() == _SEQUENCE_END
        end = 0 if closed else sum(reader.frame_index[reader.frame_count - 1])
    except UnsupportedSlide:
        raise
    except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
        raise SlideError(
            f"{path}: its pixels are missing or cut off ({reason(error)}); copy or export it again"
        ) from error
    if end > size:
        raise SlideError(f"{path}: is cut off, {size} of at least {end} bytes are there ({table}); copy it again")


def open_image(readers: Sequence[WsiDicomReader]) -> DicomImage:
    """Open an image, foreign errors turned into ours."""
    try:
        return DicomImage(readers)
    except SlideError:
        raise
    except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
        path = readers[0].filepath
        raise SlideError(f"{path}: its structure is damaged or unusual ({reason(error)}); export it again") from error
