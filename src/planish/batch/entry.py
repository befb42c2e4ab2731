"""What is found, and what the ledger knows of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

State = Literal["waiting", "running", "done", "failed", "missing"]
"""`missing`: was never done, and its source is no longer there."""


@dataclass(frozen=True, slots=True)
class Found:
    """A slide that lies in the folder of scanner exports.

    Attributes
    ----------
    path : Path
        What `planish flatten` is given: a file or a folder.
    relative : Path
        The same below the folder that was searched; what the ledger knows the slide by.
    stem : Path
        The output below the output folder, without ``.flat.tif``.
    size : int
        Bytes of all files of the slide.
    mtime_ns : int
        When the newest of them changed.
    flat : bool
        Whether planish wrote it; a batch passes such slides over.
    files, folders : tuple of str
        All that the slide is made of, below the folder in which `path` lies.
    """

    path: Path
    relative: Path
    stem: Path
    size: int
    mtime_ns: int
    flat: bool = False
    files: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Entry:
    """A row of the ledger: one slide, and how far it is.

    Attributes
    ----------
    id : int
        Counts from 1.
    relative : Path or None
        The source below the folder that was searched; None where names are kept apart.
    output : Path
        The flat slide below the output folder.
    state : str
        See `State`.
    size, mtime_ns : int
        Of the source when it was last seen.
    settings : str
        The options of `planish flatten`, as a JSON list.
    attempts : int
        How often a process was started for it, of this source with these settings.
    begun, ended : float or None
        When the last attempt did, seconds since 1970.
    seconds : float or None
        Wall time of the last attempt.
    peak_memory : int or None
        The most memory its process held, bytes.
    reason : str
        A word or two, see `reasons`; empty unless it failed.
    message : str
        What the process said last.
    tiles_copied, tiles_encoded, tile_planes_decoded : int or None
        From the record.
    output_size : int or None
        Bytes of the flat slide.
    sha256 : str
        Of the flat slide.
    warnings : tuple of str
        What a person should look at.
    notes : tuple of str
        What happened on the way, e.g. that the source changed since it was done.
    """

    id: int
    relative: Path | None
    output: Path
    state: State
    size: int
    mtime_ns: int
    settings: str
    attempts: int = 0
    begun: float | None = None
    ended: float | None = None
    seconds: float | None = None
    peak_memory: int | None = None
    reason: str = ""
    message: str = ""
    tiles_copied: int | None = None
    tiles_encoded: int | None = None
    tile_planes_decoded: int | None = None
    output_size: int | None = None
    sha256: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What a slide is called in front of people: its source, or its number where names are kept apart."""
        if self.relative is None:
            return f"slide {self.id:06d}"
        # A slide that is the searched folder itself has no name below it.
        return shown(self.relative if self.relative.name else self.output)


def shown(path: Path) -> str:
    """Return a path on one line and as valid Unicode, whatever bytes it is made of."""
    return printable(str(path))


def printable(text: str) -> str:
    r"""Return a text on one line and as valid Unicode; signs that nobody sees, or that turn the line around, are named.

    >>> printable("\x1b[2J one\ntwo")
    '\\x1b[2J one\\ntwo'
    """
    text = text.encode("utf-8", "backslashreplace").decode("utf-8")
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)
