"""`WriteOptions` and `Written`: how an output is written, and what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planish.encoding import Encoding
from planish.errors import OptionError
from planish.model import Level


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """How an output is written.

    Attributes
    ----------
    mode : str
        ``"auto"``: copy compressed tiles where they can be; ``"copy"``: the same, and an error where none can;
        ``"encode"``: encode every tile.
    quality : int or None
        IJG quality 1 to 100 of JPEG tiles, all of them encoded; None keeps the source's tables.
    lossless : bool
        Deflate instead of JPEG for tiles that are encoded; none are copied.
    levels : str
        ``"all"``: ÷2 levels; ``"source"``: those that the source has.
    layout : str
        ``"ome"``, or ``"aperio"``, whose description carries the objective's power to OpenSlide.
    label, macro : bool
        Whether to copy these images. They can show names.
    study : str
        UID of the study that a DICOM series joins; empty for a new one, as it would tell whose slide this is.
    overwrite : bool
        Replace an existing file.
    jobs : int
        Threads.
    """

    mode: str = "auto"
    quality: int | None = None
    lossless: bool = False
    levels: str = "all"
    layout: str = "ome"
    label: bool = False
    macro: bool = False
    study: str = ""
    overwrite: bool = False
    jobs: int = 2

    def __post_init__(self) -> None:
        for name, allowed in (
            ("mode", ("auto", "copy", "encode")),
            ("levels", ("all", "source")),
            ("layout", ("ome", "aperio")),
        ):
            if getattr(self, name) not in allowed:
                raise OptionError(f"writing: {name} is one of {', '.join(allowed)}, not {getattr(self, name)!r}")
        if self.quality is not None and not 1 <= self.quality <= 100:
            raise OptionError(f"quality {self.quality} is out of range; give 1 to 100")
        if self.mode == "copy" and self.quality is not None:
            raise OptionError("copied tiles keep their quality; leave out the quality, or encode")
        if self.lossless and (self.mode == "copy" or self.quality is not None):
            raise OptionError("lossless tiles are encoded, and have no quality; leave out copying and the quality")
        if self.jobs < 1:
            raise OptionError(f"{self.jobs} jobs are too few; give at least 1")


@dataclass(frozen=True, slots=True)
class Written:
    """What was written.

    Attributes
    ----------
    path : Path
        The file.
    size : int
        Its bytes.
    levels : tuple of Level
        Its pyramid.
    encoding : Encoding
        Of the tiles that were encoded.
    tiles_copied, tiles_encoded : int
        Of all levels.
    bytes_copied : int
        Of the tiles that were copied.
    tiles_checked : int
        Compared on reading back.
    """

    path: Path
    size: int
    levels: tuple[Level, ...]
    encoding: Encoding
    tiles_copied: int
    tiles_encoded: int
    bytes_copied: int
    tiles_checked: int

    def facts(self) -> dict[str, Any]:
        """Return what a record says of it."""
        coded = self.encoding
        return {
            "bytes": self.size,
            "levels": self.levels,
            "encoding": {"codec": coded.codec, "color": coded.color, "subsampling": coded.subsampling},
            "tiles_copied": self.tiles_copied,
            "tiles_encoded": self.tiles_encoded,
            "bytes_copied": self.bytes_copied,
            "tiles_read_back": self.tiles_checked,
        }
