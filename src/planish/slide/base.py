"""`Slide`: what every reader answers, and what every stage after it knows of a file."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.model import EncodedTile, Encoding, Level, Plane, SlideMetadata, Stack

Source = Path | tuple[Path, ...]
"""One path, or the files of one plane each."""


class Associated(Mapping[str, NDArray[Any]]):
    """Label, macro and thumbnail: named at once, read only when asked, (height, width, channels) uint8."""

    def __init__(self, loaders: Mapping[str, Callable[[], NDArray[Any]]] | None = None) -> None:
        self._loaders = dict(loaders or {})

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self._loaders[name]()

    def __iter__(self) -> Iterator[str]:
        return iter(self._loaders)

    def __len__(self) -> int:
        return len(self._loaders)


class Slide(ABC):
    """A slide with one or more focal planes.

    Readers share one constructor, ``Reader(source)``, so that one registry serves. A slide is a context manager,
    is read from several threads at once, and pickles by its source.

    Attributes
    ----------
    source : Path or tuple of Path
        What was opened.
    files : tuple of Path
        The files and folders that it is read from, as far as they do not follow from the names of these.
    levels : tuple of Level
        The pyramid, full size first. All planes share it.
    planes : tuple of Plane
        Sorted by z, lowest first.
    dtype : numpy.dtype
        Of the pixels.
    channels : tuple of str
        ``("R", "G", "B")``, or the names of the channels along the last axis.
    metadata : SlideMetadata
        Pixel size and the like.
    associated : Mapping of str to ndarray
        Label, macro, thumbnail: read when asked.
    scenes : tuple of str
        Names of the separate images of a file, the first of which this slide shows; `view` gives the others.
    times : int
        Time points, likewise.
    decoded : Counter of int
        Tile-planes read as pixels so far, by level of the file; views share it. Tests and records count with it.
    """

    source: Source
    files: tuple[Path, ...]
    levels: tuple[Level, ...]
    planes: tuple[Plane, ...]
    dtype: np.dtype[Any]
    channels: tuple[str, ...]
    metadata: SlideMetadata
    associated: Mapping[str, NDArray[Any]]
    scenes: tuple[str, ...] = ("",)
    times: int = 1

    def __init__(self, source: Source) -> None:
        self.source = source
        self.files = (source,) if isinstance(source, Path) else source
        self.associated = Associated()
        self.decoded: Counter[int] = Counter()
        self._count_lock = threading.Lock()

    @abstractmethod
    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        """Return the tile's pixels, (height, width, channels); arguments are already checked."""

    def close(self) -> None:  # noqa: B027 - a reader that holds no file has nothing to close
        """Release the file. Reading afterwards is an error."""

    @property
    def name(self) -> str:
        """A short name for messages."""
        return str(self.source if isinstance(self.source, Path) else self.source[0].parent)

    def read_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        """Read one tile of one plane.

        Parameters
        ----------
        level, plane : int
            Indices into `levels` and `planes`.
        column, row : int
            Position in the level's tile grid.

        Returns
        -------
        ndarray
            (height, width, channels) of `dtype`; edge tiles are cropped to the image.

        Raises
        ------
        OptionError
            Where level, plane, column or row is out of range.
        TileError
            Where the tile's bytes cannot be decoded.
        """
        self._check(level, plane)
        grid = self.levels[level]
        if not (0 <= column < grid.columns and 0 <= row < grid.rows):
            raise OptionError(
                f"{self.name}: tile ({column}, {row}) is outside level {level}, "
                f"which has {grid.columns} columns and {grid.rows} rows"
            )
        self._count(level)
        return self._decode_tile(level, plane, column, row)

    def read_region(self, level: int, plane: int, x: int, y: int, width: int, height: int) -> NDArray[Any]:
        """Read a rectangle given in level pixels, (height, width, channels); it must lie inside the level."""
        self._check(level, plane)
        grid = self.levels[level]
        if width < 1 or height < 1 or x < 0 or y < 0 or x + width > grid.width or y + height > grid.height:
            raise OptionError(
                f"{self.name}: region {x},{y},{width},{height} is not inside level {level}, "
                f"which is {grid.width} × {grid.height}"
            )
        if x % grid.tile_width == 0 and y % grid.tile_height == 0:
            column, row = x // grid.tile_width, y // grid.tile_height
            if grid.tile_box(column, row) == (x, y, width, height):
                return self.read_tile(level, plane, column, row)  # nothing to put together
        region = np.empty((height, width, len(self.channels)), self.dtype)
        for row in range(y // grid.tile_height, -(-(y + height) // grid.tile_height)):
            for column in range(x // grid.tile_width, -(-(x + width) // grid.tile_width)):
                tile = self.read_tile(level, plane, column, row)
                tile_x, tile_y = column * grid.tile_width, row * grid.tile_height
                left, top = max(x, tile_x), max(y, tile_y)
                right = min(x + width, tile_x + tile.shape[1])
                bottom = min(y + height, tile_y + tile.shape[0])
                region[top - y : bottom - y, left - x : right - x] = tile[
                    top - tile_y : bottom - tile_y, left - tile_x : right - tile_x
                ]
        return region

    def stacks(self, level: int = 0, cells: Iterable[tuple[int, int]] | None = None) -> Iterator[Stack]:
        """Yield all planes of each tile of a level, or of the (column, row) pairs in `cells`, row by row."""
        self._check(level, 0)
        grid = self.levels[level]
        every = ((column, row) for row in range(grid.rows) for column in range(grid.columns))
        for column, row in every if cells is None else cells:
            pixels = np.stack([self.read_tile(level, plane.index, column, row) for plane in self.planes])
            yield Stack(column, row, pixels)

    def encoding(self, level: int, plane: int) -> Encoding | None:
        """Return how the tiles are compressed, None where they cannot be handed out compressed."""
        return None

    def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
        """Return a tile as the file holds it, None where it has to be composed or re-encoded."""
        return None

    def encoded_row(self, level: int, row: int, planes: NDArray[np.int16]) -> list[EncodedTile | None]:
        """Return a row of tiles as the file holds them, tile for tile from the plane given; None where that is -1.

        The same as `encoded_tile`, one after the other; readers do it faster.
        """
        return [
            self.encoded_tile(level, plane, column, row) if plane >= 0 else None
            for column, plane in enumerate(planes.tolist())
        ]

    def encoded_sizes(self, level: int) -> NDArray[np.int64] | None:
        """Return (planes, rows, columns) bytes per tile, None where they are not comparable: see `sizes_refusal`."""
        return None

    def sizes_refusal(self, level: int) -> str | None:
        """Return why `encoded_sizes` is None, in a few words; None where it is not."""
        return "the reader knows no byte counts"

    def view(
        self,
        *,
        scene: int = 0,
        time: int = 0,
        channels: Sequence[int | str] | None = None,
        planes: Sequence[int] | None = None,
    ) -> Slide:
        """Return a part of this slide; it reads through this one and closes with it.

        Parameters
        ----------
        scene, time : int
            Which of `scenes` and `times`.
        channels : sequence of int or str
            Numbers or names of the channels to keep, in that order; None keeps all.
        planes : sequence of int
            Planes to keep, lowest first whatever the order given; None keeps all.

        Raises
        ------
        OptionError
            Where anything is out of range, or a channel is named twice.
        """
        from planish.slide.views import PlaneView

        for what, index, count in (("scene", scene, len(self.scenes)), ("time point", time, self.times)):
            if not 0 <= index < count:
                raise OptionError(f"{self.name}: no {what} {index}; it has {what}s 0 to {count - 1}")
        part = self._part(scene, time) if scene or time else self
        if channels is not None:
            part = part._of_channels(part._channel_indices(channels))
        return part if planes is None else PlaneView(part, sorted(set(planes)))

    def one_channel(self, channel: int | str) -> Slide:
        """Return this slide with one channel, of all that the file has: views know of those that they left out."""
        return self.view(channels=[channel])

    def _channel_indices(self, channels: Sequence[int | str]) -> list[int]:
        numbers = [self.channel_index(channel) for channel in channels]
        if twice := [number for number, count in Counter(numbers).items() if count > 1]:
            raise OptionError(f"{self.name}: channel {self.channels[twice[0]]} is chosen twice; name each once")
        return numbers

    def channel_index(self, channel: int | str) -> int:
        """Return the number of a channel given by number or name, raise OptionError where there is none such."""
        if isinstance(channel, str) and channel in self.channels:
            return self.channels.index(channel)
        if isinstance(channel, str) and channel.isdecimal():
            channel = int(channel)
        if isinstance(channel, int) and 0 <= channel < len(self.channels):
            return channel
        raise OptionError(
            f"{self.name}: no channel {channel}; it has 0 to {len(self.channels) - 1}: {', '.join(self.channels)}"
        )

    def _part(self, scene: int, time: int) -> Slide:
        """Return another scene or time point, which is there; for readers that have some."""
        raise NotImplementedError

    def _of_channels(self, channels: Sequence[int]) -> Slide:
        """Return the slide of some channels, which are there."""
        from planish.slide.views import ChannelView

        return ChannelView(self, channels)

    def _decode_channels(self, level: int, plane: int, column: int, row: int, channels: Sequence[int]) -> NDArray[Any]:
        """Return some channels of a tile; readers that hold channels apart read no others."""
        return self._decode_tile(level, plane, column, row)[..., list(channels)]

    def _count(self, level: int) -> None:
        with self._count_lock:
            self.decoded[level] += 1

    def _check(self, level: int, plane: int) -> None:
        if not 0 <= level < len(self.levels):
            raise OptionError(f"{self.name}: no level {level}; it has levels 0 to {len(self.levels) - 1}")
        if not 0 <= plane < len(self.planes):
            raise OptionError(f"{self.name}: no plane {plane}; it has planes 0 to {len(self.planes) - 1}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.source,)
