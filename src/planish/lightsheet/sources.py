"""What a path names: one volume, or all those of a data set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from planish.lightsheet.dataset import open_dataset
from planish.lightsheet.names import Fused, Look, parse, parse_raw
from planish.lightsheet.volume import Volume, is_zarr, open_volume, stem_of


@dataclass(frozen=True)
class Source:
    """A volume to be read.

    Attributes
    ----------
    path : Path
        Its file.
    key : Look, Fused or None
        What it shows; None where its name does not tell.
    open : callable
        () -> the volume; who calls closes it.
    """

    path: Path
    key: Look | Fused | None
    open: Callable[[], Volume]

    @property
    def stem(self) -> str:
        """What outputs are called."""
        return self.key.stem if self.key else stem_of(self.path)


def is_data_set(path: Path) -> bool:
    """Whether a path is a folder that is not itself a volume."""
    return path.is_dir() and not is_zarr(path)


def find_sources(path: Path) -> tuple[list[Source], tuple[str, ...]]:
    """Return the volumes that a path names, and what is missing among them, in plain words.

    Raises
    ------
    SlideError
        Where there are none.
    """
    if not is_data_set(path):
        open_volume(path).close()  # one that cannot be opened is no failure of one among many
        return [Source(path, parse_raw(path.name) or parse(path.name), partial(open_volume, path))], ()
    data = open_dataset(path)
    return [Source(data.path(look), look, partial(data.volume, look)) for look in data.looks], data.gaps
