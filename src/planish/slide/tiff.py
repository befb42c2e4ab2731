"""The TIFF family: OME-TIFF, SVS, NDPI and any other pyramidal or plain TIFF, with all of their planes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import PlanishError, SlideError, UnsupportedSlide
from planish.model import EncodedTile, Encoding, Level, Plane
from planish.slide.base import Associated, Slide, Source
from planish.slide.bytefile import ByteFile, ChunkCache
from planish.slide.foreign import reason
from planish.slide.layout import Layout, ndpi_layout, plain_layout, svs_layout
from planish.slide.ndpi import NdpiImage
from planish.slide.ome import ome_layout
from planish.slide.opentiff import open_tiff
from planish.slide.page import TiffImage
from planish.slide.parts import join_channels, open_part, part_notes
from planish.slide.scn import scn_layout
from planish.slide.series import shaped_layout, stack_layout

_LAYOUTS: dict[str, Callable[[tifffile.TiffFile], Layout]] = {
    "ndpi": ndpi_layout,
    "svs": svs_layout,
    "scn": scn_layout,
    "ome": ome_layout,
    "imagej": stack_layout,
    "mmstack": stack_layout,
    "lsm": stack_layout,
    "stk": stack_layout,
    "fluoview": stack_layout,
    "shaped": shaped_layout,
}
"""By tifffile's names, asked in this order; `plain_layout` takes the rest."""


class TiffSlide(Slide):
    """A slide of the TIFF family, planes sorted by physical z whatever the file order.

    Holds the page index and at most `planish.slide.bytefile.CACHE_BYTES` of decoded strips, larger ones in temporary
    files; tiles are decoded when asked.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source, Path)
        self._tif = open_tiff(source)
        self._files: dict[str, ByteFile] = {}
        self._part_lock = threading.Lock()
        try:
            self._arrange(self._sort)
        except PlanishError:
            self.close()
            raise

    def _arrange(self, sort: Callable[[], Layout]) -> None:
        self._refusals: dict[int, str | None] = {}
        try:
            self._take(sort())
        except PlanishError:
            raise
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            raise SlideError(
                f"{self.source}: its TIFF structure is damaged ({reason(error)}); export it again"
            ) from error

    def _sort(self) -> Layout:
        for flag, layout in _LAYOUTS.items():
            if getattr(self._tif, f"is_{flag}", False):
                return layout(self._tif)
        return plain_layout(self._tif)

    def _take(self, layout: Layout) -> None:
        order = np.argsort([np.inf if z is None else z for z in layout.z_um], kind="stable")
        cache = ChunkCache()
        self._images = [
            [[self._image(page, cache) for page in pages] for pages in layout.planes[index]] for index in order
        ]
        self._check_planes()
        self.levels = self._levels()
        self.planes = tuple(Plane(index, layout.z_um[place]) for index, place in enumerate(order))
        image = self._images[0][0][0]
        count = sum(image.samples for image in self._images[0][0])
        self.dtype = image.dtype
        self.channels = ("R", "G", "B") if image.samples == 3 else tuple(str(index) for index in range(count))
        if layout.channels and len(layout.channels) == count:
            self.channels = layout.channels
        notes = (image.converted.note,) if image.converted else ()
        self.metadata = replace(layout.metadata, notes=(*self._part_notes(layout), *layout.metadata.notes, *notes))
        self.scenes, self.times, self._layout_of = layout.scenes, layout.times, layout.part
        self.associated = Associated(layout.associated)

    def _part_notes(self, layout: Layout) -> tuple[str, ...]:
        return part_notes(layout.scenes, layout.times)

    def _part(self, scene: int, time: int) -> Slide:
        with self._part_lock:  # tifffile moves about in one file handle
            if self._tif.filehandle.closed:
                raise SlideError(f"{self.source}: read after closing; open it again")
            return TiffPart(self, scene, time)

    def _image(self, page: tifffile.TiffPage, cache: ChunkCache) -> TiffImage:
        """Return the page as an image; NDPI levels with known restart intervals have tiles of their own."""
        path = page.parent.filehandle.path
        if path not in self._files:
            # Files of a set stand beside the first one, which errors name as the user did.
            self._files[path] = ByteFile(Path(self.name if page.parent is self._tif else path))
        return (NdpiImage if page.jpegheader else TiffImage)(page, self._files[path], cache)

    def _check_planes(self) -> None:
        first = _shape(self._images[0])
        for index, levels in enumerate(self._images):
            shape = _shape(levels)
            (size, count), *_ = Counter(level[:2] for level in shape).most_common(1)
            if count > 1:
                raise UnsupportedSlide(
                    f"{self.name}: {count} images of {size[0]} × {size[1]} px share one z, so its planes cannot be "
                    "told apart; export it with the z of each plane"
                )
            if shape != first:
                raise SlideError(
                    f"{self.name}: plane {index} has levels {_text(shape)}, plane 0 has {_text(first)}; planes must "
                    "share their pyramid: export the slide again"
                )
            if len({level[2:] for level in shape}) > 1:
                raise SlideError(
                    f"{self.name}: its levels are of different kinds, {_text(shape)}; export the slide again"
                )

    def _levels(self) -> tuple[Level, ...]:
        full, levels = self._images[0][0][0], []
        for index, images in enumerate(self._images[0]):
            grids = {(i.tile_width, i.tile_height) for plane in self._images for i in plane[index]}
            if len(grids) > 1:
                raise UnsupportedSlide(
                    f"{self.name}: planes are tiled differently on level {index} ({sorted(grids)}); export it again"
                )
            image = images[0]
            down_x, down_y = full.width / image.width, full.height / image.height
            levels.append(Level(image.width, image.height, image.tile_width, image.tile_height, down_x, down_y))
        return tuple(levels)

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._decode_channels(level, plane, column, row, range(len(self.channels)))

    def _decode_channels(self, level: int, plane: int, column: int, row: int, channels: Sequence[int]) -> NDArray[Any]:
        images = self._images[plane][level]
        samples = [image.samples for image in images]
        return join_channels(samples, channels, lambda index: images[index].read_tile(column, row))

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return how the tiles of a level and plane are compressed, None where channels lie in pages of their own."""
        self._check(level, plane)
        images = self._images[plane][level]
        return images[0].encoding if len(images) == 1 else None

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return a tile as the file holds it, None where it has no bytes of its own, or none that can be trusted."""
        self._check(level, plane)
        if self._copy_refusal(level):
            return None
        image = self._images[plane][level][0]
        data = image.encoded(column, row)
        return EncodedTile(data, image.tables, image.color) if data else None

    def encoded_row(self, level: int, row: int, planes: NDArray[np.int16]) -> list[EncodedTile | None]:
        """Return a row of tiles as the file holds them, tile for tile from the plane given; None where that is -1."""
        if self._copy_refusal(level):
            return [None] * len(planes)
        images = [levels[level][0] for levels in self._images]
        tiles: list[EncodedTile | None] = []
        for column, plane in enumerate(planes.tolist()):
            image = images[plane]
            data = image.encoded(column, row) if plane >= 0 else None
            tiles.append(EncodedTile(data, image.tables, image.color) if data else None)
        return tiles

    def encoded_sizes(self, level: int) -> NDArray[np.int64] | None:
        """Return (planes, rows, columns) bytes per tile, None where planes were compressed differently."""
        self._check(level, 0)
        if self.sizes_refusal(level):
            return None
        return np.stack([levels[level][0].sizes() for levels in self._images])

    def sizes_refusal(self, level: int) -> str | None:
        """Return why byte counts tell nothing about sharpness here, None where they do."""
        refusal = self._copy_refusal(level)
        if refusal:
            return refusal
        encodings = [levels[level][0].encoding for levels in self._images]
        first = encodings[0]
        if first is None or not first.lossy:
            return f"{first.codec if first else 'unknown'} compression is lossless, so bytes follow the noise"
        if any(encoding is None or not encoding.alike(first) for encoding in encodings):
            return "planes differ in codec, colour space or chroma subsampling"
        if any(encoding != first for encoding in encodings):
            return "planes differ in JPEG quality"
        return None

    def _copy_refusal(self, level: int) -> str | None:
        """Return why tiles of a level cannot be handed out as they are."""
        if level not in self._refusals:
            self._refusals[level] = self._find_refusal([levels[level] for levels in self._images])
        return self._refusals[level]

    def _find_refusal(self, planes: list[list[TiffImage]]) -> str | None:
        if any(len(images) > 1 for images in planes):
            return "channels lie in images of their own"
        if not all(images[0].whole_tiles for images in planes):
            return "the file has strips instead of tiles"
        if any(images[0].converted for images in planes):
            return "colours are converted when read"
        for index, (image,) in enumerate(planes):
            if image.encoding is None:
                return f"the JPEG tables of plane {index} are missing or unusual"
            if fault := image.index_fault():
                return f"plane {index}: {fault}"
        return None

    def close(self) -> None:
        """Close the file, and those of its set."""
        self._tif.close()
        for file in self._files.values():
            file.close()


class TiffPart(TiffSlide):
    """Another scene or time point of an open TIFF; it closes with it.

    Parameters
    ----------
    whole : TiffSlide
        The file.
    scene, time : int
        Which of its `scenes` and `times`.
    """

    def __init__(self, whole: TiffSlide, scene: int, time: int) -> None:
        Slide.__init__(self, whole.source)
        self._tif, self._files, self._shown = whole._tif, whole._files, (scene, time)
        self.decoded, self._count_lock = whole.decoded, whole._count_lock
        layout_of = whole._layout_of
        assert layout_of is not None
        self._arrange(lambda: layout_of(scene, time))
        self.scenes, self.times = (self.scenes[scene],), 1

    def _part_notes(self, layout: Layout) -> tuple[str, ...]:
        return part_notes(layout.scenes, layout.times, *self._shown)

    def __reduce__(self) -> tuple[Any, ...]:
        return open_part, (TiffSlide, self.source, *self._shown)


_Shape = tuple[int, int, int, str]


def _shape(levels: list[list[TiffImage]]) -> list[_Shape]:
    """Return (width, height, samples, type) of each level of a plane."""
    return [
        (images[0].width, images[0].height, sum(image.samples for image in images), images[0].dtype.name)
        for images in levels
    ]


def _text(shape: list[_Shape]) -> str:
    return ", ".join("{} × {} px ({} × {})".format(*level) for level in shape)
