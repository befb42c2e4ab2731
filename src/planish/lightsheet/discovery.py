"""Which volumes there are in a folder, raw as the microscope left them or processed."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from planish.errors import SlideError, SlideNotFound
from planish.lightsheet.names import Fused, Look, parse, parse_raw

Key = TypeVar("Key", Look, Fused)

_FOLDER = re.compile(r"(?:SPM|TM)\d+", re.IGNORECASE)
_BEST = (".zarr", ".klb", ".tif", ".tiff", ".stack")
"""Where a volume is there in several formats, the first of these is taken."""


@dataclass
class Found:
    """Volumes by what they hold.

    Attributes
    ----------
    looks, fused : dict
        Of single cameras, and of several.
    doubles : list of Path
        Files that hold what another one holds, too.
    """

    looks: dict[Look, Path] = field(default_factory=dict)
    fused: dict[Fused, Path] = field(default_factory=dict)
    doubles: list[Path] = field(default_factory=list)

    def add(self, path: Path) -> None:
        """Enter a file, unless its name says that it is no volume."""
        key = parse_raw(path.name) or (parse(path.name) if path.suffix.lower() in _BEST else None)
        if isinstance(key, Look):
            self._enter(self.looks, key, path)
        elif key:
            self._enter(self.fused, key, path)

    def _enter(self, entered: dict[Key, Path], key: Key, path: Path) -> None:
        if key not in entered:
            entered[key] = path
            return
        best, other = sorted((entered[key], path), key=lambda each: (_BEST.index(each.suffix.lower()), each))
        entered[key] = best
        self.doubles.append(other)


def discover(folder: Path) -> Found:
    """Return all volumes in a folder, and in those in it that are called SPM… or TM….

    Raises
    ------
    SlideNotFound
        Where there is no such folder.
    SlideError
        Where there is no volume in it.
    """
    if not folder.is_dir():
        raise SlideNotFound(f"{folder}: no such folder; check the name")
    found = Found()
    for path in sorted(_walk(folder)):
        found.add(path)
    if not found.looks and not found.fused:
        raise SlideError(
            f"{folder}: holds no volumes; they are called SPC##_TM#####_ANG000_CM#_CHN##_PH#.stack, or "
            "SPM##_TM######_CM##_CHN## with .zarr, .klb or .tif"
        )
    return found


def _walk(folder: Path) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir() and _FOLDER.fullmatch(entry.name):
                yield from _walk(Path(entry.path))
            elif not entry.name.startswith("."):
                yield Path(entry.path)
