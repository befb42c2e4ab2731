"""`CziFile`: an open CZI, read through libCZI; `Channel`: an image of it that lies in sub-blocks of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from pylibCZIrw import czi

from planish.errors import PlanishError, SlideError, UnsupportedSlide
from planish.model import Box
from planish.slide.base import Slide
from planish.slide.bytefile import CACHE_BYTES, ByteFile
from planish.slide.czi_about import About
from planish.slide.czi_attachments import Attachment, find_attachments
from planish.slide.czi_blocks import Blocks
from planish.slide.czi_directory import ABSENT, check_block, read_directory
from planish.slide.foreign import reason

_FURTHER = {"R": "rotations", "I": "illuminations", "H": "phases", "V": "views"}
"""Dimensions that planish does not show."""


class Kind(NamedTuple):
    """A pixel type: libCZI's name, the type of a sample, samples per pixel."""

    name: str
    dtype: np.dtype[Any]
    samples: int


_KINDS = {
    0: Kind("Gray8", np.dtype(np.uint8), 1),
    1: Kind("Gray16", np.dtype(np.uint16), 1),
    2: Kind("Gray32Float", np.dtype(np.float32), 1),
    3: Kind("Bgr24", np.dtype(np.uint8), 3),
    4: Kind("Bgr48", np.dtype(np.uint16), 3),
}
"""By libCZI's numbers."""


@dataclass(frozen=True)
class Channel:
    """A channel of the file, of one sample or of three colours.

    Attributes
    ----------
    number : int
        Its coordinate C.
    name : str
        As the microscope calls it.
    kind : Kind
        Of its pixels.
    """

    number: int
    name: str
    kind: Kind

    @property
    def background(self) -> str:
        """How gaps of the mosaic look."""
        return "white" if self.kind.samples == 3 else "black"


class CziFile:
    """An open CZI: libCZI's reader, the list of sub-blocks and the metadata.

    libCZI reads from several threads at once, and keeps at most `CACHE_BYTES` of decoded sub-blocks.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._bytes = ByteFile(path)
        self._layers: dict[tuple[int, ...], Blocks] = {}
        self._checked: set[int] = set()
        try:
            self._open()
        except PlanishError:
            self.close()
            raise

    def _open(self) -> None:
        path = self.path
        self.blocks = Blocks(read_directory(self._bytes))
        if not len(self.blocks):
            raise SlideError(f"{path}: a CZI without any image; export it again")
        try:
            # Threads that still read hold the reader: the file closes with the last of them.
            self._reader: Any = czi.CziReader(str(path), cache_options=czi.CacheOptions(max_memory_usage=CACHE_BYTES))
            sizes = self._reader.total_bounding_box
            self.about = About.of(self._reader.raw_metadata)
            self.attachments = find_attachments(self._bytes)
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            raise SlideError(
                f"{path}: not a readable CZI ({reason(error)}); it may be truncated: copy or export it again"
            ) from error
        for axis, name in _FURTHER.items():
            count = sizes.get(axis, (0, 1))[1]
            if count > 1:
                raise UnsupportedSlide(f"{path}: holds {count} {name}, which planish cannot show; export one of them")

    def read_attachment(self, attachment: Attachment, open_czi: Callable[[Path], Slide]) -> NDArray[Any]:
        """Return the pixels of an image beside the slide."""
        return attachment.read(self._bytes, open_czi)

    def channels(self, blocks: Blocks) -> list[Channel]:
        """Return the channels of some sub-blocks.

        Raises
        ------
        UnsupportedSlide
            Where pixel types differ or are not read.
        """
        numbers = blocks.values("C")
        codes = [blocks.where(C=number).values("kind") for number in numbers]
        found = sorted({code for each in codes for code in each})
        kinds = [_KINDS[code] for code in found if code in _KINDS]
        alike = all(len(each) == 1 for each in codes) and len({kind.dtype for kind in kinds}) == 1
        if len(kinds) < len(found) or not alike:
            named = ", ".join(_KINDS[code].name if code in _KINDS else f"type {code}" for code in found)
            raise UnsupportedSlide(
                f"{self.path}: holds pixels of {named}, of which planish reads one of 8 or 16 bits or 32-bit float at "
                "a time; export the channels apart"
            )
        names = self.about.channel_names(numbers)
        return [
            Channel(number, name, _KINDS[code[0]]) for number, name, code in zip(numbers, names, codes, strict=True)
        ]

    def read(self, region: Box, downsample: int, at: dict[str, int], channel: Channel) -> NDArray[Any]:
        """Compose a region, (height, width, samples).

        Parameters
        ----------
        region : Box
            In pixels of the file, which may lie below zero.
        downsample : int
            Of a level that the file holds.
        at : dict
            Coordinates S, T and Z.
        channel : Channel
            To read.
        """
        reader, kind = self._reader, channel.kind
        if reader is None:
            raise SlideError(f"{self.path}: read after closing; open it again")
        self._check_blocks(region, downsample, at, channel)
        pixels = reader.read(
            region,
            at | {"C": channel.number},
            None if at["S"] == ABSENT else at["S"],
            1 / downsample,
            kind.name,
            (1.0, 1.0, 1.0) if kind.samples == 3 else (0.0, 0.0, 0.0),
        )
        # libCZI's order is blue, green, red.
        return np.ascontiguousarray(pixels[..., ::-1]) if kind.samples == 3 else np.asarray(pixels)

    def _check_blocks(self, region: Box, downsample: int, at: dict[str, int], channel: Channel) -> None:
        """Look at the headers of the sub-blocks of a region, each once."""
        key = (downsample, at["S"], at["T"], at["Z"], channel.number)
        if key not in self._layers:
            self._layers[key] = self.blocks.where(**at, C=channel.number).at(downsample)
        for position in self._layers[key].touching(region)["position"].tolist():
            if position not in self._checked:
                check_block(self._bytes, position)
                self._checked.add(position)

    def close(self) -> None:
        """Let go of the reader."""
        self._reader = None
        self._bytes.close()
