"""What web processes ask of decoder processes, and what they are told: JSON and bytes, nothing that runs."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal, Self

MOST_OPEN = 8
"""Slides that a decoder has open, those asked for last; whoever asks goes by it."""

Kind = Literal["facts", "tile", "region", "associated", "cells", "cell_tile"]
Refusal = Literal["gone", "changed", "range", "unreadable", "unsupported", "too large", "crashed", "too long", "busy"]
"""Why nothing is returned: the slide is not there; is another one now; has no such plane, level, tile or box; is
damaged; cannot be shown; more pixels were asked for than is allowed; the decoder died, or took too long; too much is
asked for."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What is looked at.

    Attributes
    ----------
    path : str
        The slide's file or folder, out of the registry.
    signature : str
        Of the file as the web process saw it last (`signature`): whoever reads checks it before and after.
    plane : int
        Index, 0 = lowest z; -1 for the best of all.
    map : str
        Path of the plane map by which the best is put together; empty for a plane.
    files : tuple of str
        The slide's other files, as far as they are in its signature.
    """

    path: str
    signature: str
    plane: int = 0
    map: str = ""
    files: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Want:
    """A request; which numbers count depends on the kind.

    Attributes
    ----------
    kind : str
        ``facts``: what the slide is, as JSON. ``tile``: a DZI tile by DZI level, column and row. ``region``: a box in
        level-0 pixels, scaled to `out_width` × `out_height`. ``associated``: an image by name. ``cells``: plane, margin
        and sharpness of a plane map, as JSON. ``cell_tile``: a DZI tile of the map in colours.
    subject : Subject
        Of what.
    level, column, row : int
        Of a tile; DZI's levels, 0 = 1 × 1 px.
    x, y, width, height : int
        Of a region, level-0 pixels, inside the slide.
    out_width, out_height : int
        Of a region's picture.
    quality : str
        ``color``, ``gray`` or ``bitonal``, of a region.
    rotation : int
        Degrees clockwise, a multiple of 90, of a region; after mirroring.
    mirror : bool
        Of a region.
    format : str
        ``jpg`` or ``png``.
    name : str
        Of an associated image; of what a cell tile shows (``plane``, ``margin`` or ``sharpness``).
    """

    kind: Kind
    subject: Subject
    level: int = 0
    column: int = 0
    row: int = 0
    x: int = 0
    y: int = 0
    width: int = 0
    height: int = 0
    out_width: int = 0
    out_height: int = 0
    quality: str = "color"
    rotation: int = 0
    mirror: bool = False
    format: str = "jpg"
    name: str = ""

    @property
    def wide(self) -> bool:
        """Whether it can cost far more than a tile, so that its taking too long says little of the slide."""
        return self.kind == "region"

    def to_json(self) -> bytes:
        """Return it for the wire."""
        # `asdict` copies deeply, and takes longer than all the rest of asking.
        subject = {name: getattr(self.subject, name) for name in Subject.__slots__}
        return json.dumps({name: getattr(self, name) for name in Want.__slots__} | {"subject": subject}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Self:
        """Return what `to_json` made."""
        fields = json.loads(data)
        subject = fields["subject"]
        return cls(**{**fields, "subject": Subject(**{**subject, "files": tuple(subject["files"])})})


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes
    ----------
    body : bytes
        The picture, or JSON.
    type : str
        Its media type.
    how : str
        ``copied`` where the slide's own bytes were taken, ``decoded``, or ``composed`` where pixels of several planes
        were.
    milliseconds : float
        That the decoder took.
    """

    body: bytes
    type: str
    how: str = "decoded"
    milliseconds: float = 0.0


class Refused(Exception):
    """A decoder, or the pool, does not answer.

    Attributes
    ----------
    kind : str
        See `Refusal`.
    detail : str
        For people, without any path.
    """

    def __init__(self, kind: Refusal, detail: str) -> None:
        super().__init__(detail)
        self.kind: Refusal = kind
        self.detail = detail
