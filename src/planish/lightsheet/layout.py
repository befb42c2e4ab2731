"""Where a step puts its files: ``SPM00/TM000000/STEM.zarr``, projections and diagnostics in folders of the specimen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from planish.errors import OptionError, WriteError
from planish.lightsheet.names import Fused, Look
from planish.lightsheet.sidecars import projection_path

FORMATS = {"zarr": ".zarr", "klb": ".klb", "tif": ".ome.tif"}
"""Endings of the formats that volumes are written in."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Paths of a step's output.

    Attributes
    ----------
    root : Path
        The output folder.
    format : str
        One of `FORMATS`.
    """

    root: Path
    format: str = "zarr"

    def __post_init__(self) -> None:
        if self.format not in FORMATS:
            raise OptionError(f"volumes are written as {', '.join(FORMATS)}, not {self.format!r}")

    def volume(self, key: Look | Fused) -> Path:
        """Return the path of a volume."""
        return self._specimen(key) / f"TM{key.time:06d}" / f"{key.stem}{FORMATS[self.format]}"

    def plane(self, key: Look | Fused, name: str) -> Path:
        """Return the path of what was made from a volume and is flat, e.g. the mean z of its mask."""
        return self.volume(key).with_name(f"{key.stem}.{name}.tif")

    def projection(self, key: Look | Fused, kind: str) -> Path:
        """Return the path of a projection: ``xy``, ``xz``, ``yz`` or ``focus``."""
        return projection_path(self._specimen(key) / "projections" / f"{key.stem}.tif", kind)

    def diagnostic(self, key: Look | Fused, name: str) -> Path:
        """Return the path of a picture for people."""
        return self._specimen(key) / "diagnostics" / f"{key.stem}.{name}.png"

    def prepare(self, key: Look | Fused) -> None:
        """Make the folders that a volume's files go into.

        Raises
        ------
        WriteError
            Where they cannot be made.
        """
        for path in (self.volume(key), self.projection(key, "xy"), self.diagnostic(key, "any")):
            make_folder(path.parent)

    def _specimen(self, key: Look | Fused) -> Path:
        return self.root / f"SPM{key.specimen:02d}"


def make_folder(folder: Path) -> None:
    """Make a folder and those around it; WriteError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(f"{folder}: cannot be made ({error.strerror}); name another folder") from error
