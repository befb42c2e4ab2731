"""DICOM whole-slide images: a series of files, one or more for each level, with all of their focal planes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from planish.encoding import Encoding
from planish.errors import PlanishError, SlideError, UnsupportedSlide
from planish.model import EncodedTile, Level, Missing, Plane, SlideMetadata
from planish.slide.base import Associated, Slide, Source
from planish.slide.dicomimage import DicomImage
from planish.slide.dicomseries import Series, lenient, open_images, open_series, read_uids
from planish.slide.foreign import reason
from planish.slide.layout import positive

_NEAR_UM = 0.05
"""Planes of two levels are one where their z differ by no more."""
_Frames = tuple[DicomImage, NDArray[np.int64]]
"""An image, and the frame of each tile."""

BURNED_IN = "its file says that names or the like may be burned into its pixels"
"""A note."""


class DicomSlide(Slide):
    """A DICOM series, planes sorted by physical z; optical paths of one sample each are its channels.

    Holds the places of frames, some 32 bytes each, and no pixels.

    Parameters
    ----------
    source : Path
        A folder with one series, or a file, whose series is opened from the folder that it lies in.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        assert isinstance(source, Path)
        self._closed = False
        series = open_series(source)
        self._images, self.files = series.images, series.files
        try:
            with lenient():
                self._take(series)
        except PlanishError:
            self.close()
            raise
        except Exception as error:  # parsing is foreign code, which damaged files throw off in any way
            self.close()
            raise SlideError(f"{source}: its attributes are damaged ({reason(error)}); export it again") from error

    def _take(self, series: Series) -> None:
        images = [image for image in self._images if not image.extended]
        notes = list(series.notes)
        if images and len(images) < len(self._images):
            notes.append("holds an image of extended depth of field, which is not counted as a focal plane")
        elif not images:
            images = list(self._images)
            count = images[0].composed_of
            notes.append(f"is an image of extended depth of field, made of {count or 'several'} focal planes")
        self._frames, z_um, self._paths = self._sort(images, notes)
        base = self._frames[0][0][0][0]
        stated = len(z_um) > 1 or (base.states_z and not base.extended)
        self.planes = tuple(Plane(index, z if stated else None) for index, z in enumerate(z_um))
        self.levels = self._levels()
        self.dtype, self.channels = base.dtype, self._name_channels(series.header, base.samples)
        self._encodings: dict[tuple[int, int], Encoding | None] = {}
        if series.header.get("BurnedInAnnotation") == "YES":
            notes.append(BURNED_IN)
        self.metadata = _describe(series.header, base, [*notes, *self._gaps(base.samples)])
        self.associated = Associated(
            {name: partial(self._associated, path) for name, path in series.associated.items()}
        )

    def _sort(
        self, images: Sequence[DicomImage], notes: list[str]
    ) -> tuple[list[list[list[_Frames]]], list[float | None], list[str]]:
        """Return frames by level, plane and optical path, the z of the planes, and the paths."""
        sizes: dict[tuple[int, int], dict[tuple[Any, str], _Frames]] = defaultdict(dict)
        for image in images:
            for key, table in image.tables.items():
                level = sizes[image.width, image.height]
                if key in level:
                    raise UnsupportedSlide(
                        f"{self.name}: {level[key][0].path.name} and {image.path.name} are both of "
                        f"{image.width} × {image.height} px and z {key[0]} µm, so its planes cannot be told apart"
                    )
                level[key] = (image, table)
        full = next(iter(sizes.values()))
        z_um = sorted({z for z, _ in full})
        paths = list(dict.fromkeys(path for _, path in full))
        frames = []
        for (width, height), level in sizes.items():
            found = sorted({z for z, _ in level})
            if any(min(abs(z - other) for other in z_um) > _NEAR_UM for z in found) and len(sizes) > 1:
                raise SlideError(
                    f"{self.name}: its image of {width} × {height} px has planes at z {_text(found)} µm, the full "
                    f"size at {_text(z_um)} µm; planes must share their pyramid: export it again"
                )
            if len(level) != len(z_um) * len(paths):
                if level is full:
                    raise SlideError(f"{self.name}: its optical paths differ in focal planes; export it again")
                notes.append(
                    f"the level of {width} × {height} px is left out: it holds {len(level)} of "
                    f"{len(z_um) * len(paths)} planes"
                )
                continue
            frames.append([[level[z, path] for path in paths] for z in found])
        return frames, list(z_um), paths

    def _levels(self) -> tuple[Level, ...]:
        base, levels = self._frames[0][0][0][0], []
        for planes in self._frames:
            images = [image for paths in planes for image, _ in paths]
            kinds = {(image.tile_width, image.tile_height, image.samples, image.dtype.name) for image in images}
            if len(kinds | {(images[0].tile_width, images[0].tile_height, base.samples, base.dtype.name)}) > 1:
                raise UnsupportedSlide(
                    f"{self.name}: images of {images[0].width} × {images[0].height} px are tiled or coded unlike "
                    f"({', '.join(map(str, sorted(kinds)))}); export it again"
                )
            width, height, tile = images[0].width, images[0].height, (images[0].tile_width, images[0].tile_height)
            levels.append(Level(width, height, *tile, base.width / width, base.height / height))
        return tuple(levels)

    def _name_channels(self, header: Dataset, samples: int) -> tuple[str, ...]:
        items = {str(item.get("OpticalPathIdentifier")): item for item in header.get("OpticalPathSequence") or []}
        names = [str(items.get(path, {}).get("OpticalPathDescription") or path) for path in self._paths]
        names = names if len(set(names)) == len(names) else self._paths
        if samples == 1:
            return tuple(names)
        return ("R", "G", "B") if len(names) == 1 else tuple(f"{name} {c}" for name in names for c in "RGB")

    def _gaps(self, samples: int) -> list[str]:
        """Say which tiles there are none of: `Missing` where another plane has them, for scanners leave glass out."""
        missing, uneven = 0, False
        for planes in self._frames:
            absent = np.stack([table < 0 for paths in planes for _, table in paths])
            missing += int(absent.sum())
            uneven |= bool((absent.any(0) & ~absent.all(0)).any())
        if not missing:
            return []
        note = f"{missing} tiles were not scanned; they are {'white' if samples == 3 else '0'}"
        return [Missing(note) if uneven else note]

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._decode_paths(level, plane, (column, row), range(len(self._paths)))

    def _decode_channels(self, level: int, plane: int, column: int, row: int, channels: Sequence[int]) -> NDArray[Any]:
        samples = len(self.channels) // len(self._paths)
        paths = list(dict.fromkeys(channel // samples for channel in channels))
        pixels = self._decode_paths(level, plane, (column, row), paths)
        return pixels[..., [paths.index(each // samples) * samples + each % samples for each in channels]]

    def _decode_paths(self, level: int, plane: int, cell: tuple[int, int], paths: Sequence[int]) -> NDArray[Any]:
        self._refuse_closed()
        column, row = cell
        box = self.levels[level].tile_box(column, row)
        parts = []
        for image, table in (self._frames[level][plane][path] for path in paths):
            frame = int(table[row, column])
            parts.append((image.decode(frame) if frame >= 0 else image.blank())[: box.height, : box.width])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=2)

    def _refuse_closed(self) -> None:
        if self._closed:
            raise SlideError(f"{self.source}: read after closing; open it again")

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return how the first frame of a level and plane is compressed, None where frames cannot be handed out."""
        self._check(level, plane)
        if len(self._paths) > 1:
            return None
        if (level, plane) not in self._encodings:
            self._refuse_closed()
            image, table = self._frames[level][plane][0]
            present = table[table >= 0]
            self._encodings[level, plane] = image.encoding(int(present[0])) if present.size else None
        return self._encodings[level, plane]

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return a frame as the file holds it, without a byte that evens its length."""
        encoding = self.encoding(level, plane)
        self._refuse_closed()
        image, table = self._frames[level][plane][0]
        frame = int(table[row, column])
        return EncodedTile(image.read(frame), b"", encoding.color) if encoding and frame >= 0 else None

    def encoded_sizes(self, level: int) -> NDArray[np.int64] | None:
        """Return (planes, rows, columns) bytes per frame, None where planes were compressed differently."""
        self._check(level, 0)
        if self.sizes_refusal(level):
            return None
        self._refuse_closed()
        return np.stack([_sizes(paths[0]) for paths in self._frames[level]])

    def sizes_refusal(self, level: int) -> str | None:
        """Return why byte counts tell nothing about sharpness here, None where they do."""
        if len(self._paths) > 1:
            return "optical paths lie in frames of their own"
        images = [paths[0][0] for paths in self._frames[level]]
        lossless = next((image.codec for image in images if not image.lossy), None)
        if lossless:
            return f"frames are {lossless}, so bytes follow the noise"
        encodings = [self.encoding(level, plane) for plane in range(len(self.planes))]
        if None in encodings:
            return "the JPEG tables of a plane are missing or unusual"
        if any(encoding != encodings[0] for encoding in encodings):
            return "planes differ in codec, colour space, chroma subsampling or JPEG quality"
        return None

    def _associated(self, path: Path) -> NDArray[Any]:
        self._refuse_closed()
        with lenient():
            file = read_uids(path)
            (image,) = open_images([file] if file else [])
        try:
            table = next(iter(image.tables.values()))
            rows = [np.concatenate([image.decode(int(frame)) for frame in row], axis=1) for row in table]
            return np.concatenate(rows)[: image.height, : image.width]
        finally:
            image.close()

    def close(self) -> None:
        """Close the files."""
        self._closed = True
        for image in self._images:
            image.close()


def _sizes(frames: _Frames) -> NDArray[np.int64]:
    image, table = frames
    return np.where(table >= 0, image.lengths[table], 0)


def _text(numbers: Sequence[float | None]) -> str:
    return ", ".join("?" if number is None else f"{number:g}" for number in numbers)


def _describe(header: Dataset, base: DicomImage, notes: Sequence[str]) -> SlideMetadata:
    path = next(iter(header.get("OpticalPathSequence") or []), Dataset())
    icc = path.get("ICCProfile") or header.get("ICCProfile")
    spacing = base.spacing_um or (None, None)
    return SlideMetadata(
        format="DICOM",
        mpp_x=spacing[0],
        mpp_y=spacing[1],
        objective_power=positive(path.get("ObjectiveLensPower")),
        icc_profile=bytes(icc) if icc else None,
        vendor=str(header.get("Manufacturer") or "") or None,
        notes=tuple(notes),
    )
