"""What a decoder does with a `Want`: it becomes a `Reply`, or `Refused` with words that name no file."""

from __future__ import annotations

import json
import re
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from planish.errors import PlanishError, SlideNotFound, UnsupportedSlide
from planish.model import Box
from planish.report.description import describe
from planish.report.thumbnail import to_rgb
from planish.serve.pixels import Look, Made, ServedPlane, jpeg
from planish.serve.shelf import OpenSlide, Shelf
from planish.serve.wanted import Refusal, Refused, Reply, Subject, Want

_JPEG, _PNG, _JSON = "image/jpeg", "image/png", "application/json"
_PATHS = re.compile(r"(?<![\w.])/[^\s:,;()'\"]+")


class Answers:
    """Answers out of the slides on a shelf."""

    def __init__(self, shelf: Shelf | None = None) -> None:
        self._shelf = shelf or Shelf()

    def answer(self, want: Want) -> Reply:
        """Return what is wanted.

        Raises
        ------
        Refused
            With the reason, whatever it is; what was not expected is also told on standard error.
        MemoryError
            Where there is not enough.
        """
        begun = time.perf_counter()
        try:
            made, kind = _made(self._shelf.take(want.subject), want)
        except (Refused, MemoryError):
            raise
        except Exception as error:  # slides throw the libraries off in any way
            self._shelf.done(want.subject)  # whether it was changed under our hands says more
            if _lacks_memory(error):
                raise MemoryError from error
            raise _refused(error, want.subject) from error
        self._shelf.done(want.subject)
        return Reply(made.body, kind, made.how, (time.perf_counter() - begun) * 1000)

    def close(self) -> None:
        """Close all slides."""
        self._shelf.close()


def _made(slide: OpenSlide, want: Want) -> tuple[Made, str]:
    match want.kind:
        case "tile":
            return _served(slide, want).tile(want.level, want.column, want.row), _JPEG
        case "region":
            box = Box(want.x, want.y, want.width, want.height)
            return _served(slide, want).region(box, _look(want)), _PNG if want.format == "png" else _JPEG
        case "facts":
            return Made(json.dumps(_facts(slide), allow_nan=False).encode(), "decoded"), _JSON
        case "associated":
            return Made(_associated(slide, want.name), "decoded"), _JPEG
        case "cells":
            return Made(slide.best(_map(want))[1].to_json(), "decoded"), _JSON
        case "cell_tile":
            overlay = slide.best(_map(want))[1]
            return Made(overlay.tile(want.name, want.level, want.column, want.row), "decoded"), _PNG
    raise Refused("unsupported", f"{str(want.kind)[:40]!r} is nothing that a slide is asked for")


def _served(slide: OpenSlide, want: Want) -> ServedPlane:
    subject = want.subject
    return slide.plane(subject.plane) if subject.plane >= 0 else slide.best(_map(want))[0]


def _map(want: Want) -> str:
    if not want.subject.map:
        raise Refused("range", "the best of all planes is not known yet; ask for it to be found first")
    return want.subject.map


def _look(want: Want) -> Look:
    if want.rotation % 90 or want.quality not in ("color", "gray", "bitonal") or want.format not in ("jpg", "png"):
        given = f"{want.quality[:20]}, {want.rotation}°, {want.format[:20]}"
        raise Refused("unsupported", f"{given}: needed are color, gray or bitonal, multiples of 90°, jpg or png")
    return Look(want.out_width, want.out_height, want.mirror, want.rotation, want.quality, want.format == "png")


def _facts(slide: OpenSlide) -> dict[str, Any]:
    grid, stretch = slide.plane(0).grid, slide.stretch
    dzi = {"tile": grid.tile, "levels": grid.levels, "width": grid.width, "height": grid.height}
    zooms = {"least": 0, "most": grid.last - grid.lowest_tiled}
    shown = {"black": stretch.low, "white": stretch.high} if stretch else None
    return {**describe(slide.slide), "dzi": dzi, "xyz": zooms, "stretched": shown}


def _associated(slide: OpenSlide, name: str) -> bytes:
    images = slide.slide.associated
    if name not in images:
        detail = f"the slide has no image {name[:40]!r}; it has {', '.join(sorted(images)) or 'none'}"
        raise Refused("range", detail)
    return jpeg(to_rgb(images[name]))


def _lacks_memory(error: BaseException | None) -> bool:
    """Whether an error, or one that it was raised from, is for want of memory, in whatever words."""
    if error is None:
        return False
    words = str(error).lower()
    told = any(sign in words for sign in ("insufficient memory", "out of memory", "unable to allocate"))
    return told or isinstance(error, MemoryError) or _lacks_memory(error.__cause__)


def _refused(error: Exception, subject: Subject) -> Refused:
    kind: Refusal
    match error:
        case SlideNotFound() | FileNotFoundError():
            kind = "gone"
        case UnsupportedSlide():
            kind = "unsupported"
        case PlanishError():
            kind = "unreadable"
        case _:
            traceback.print_exception(error, file=sys.stderr)
            return Refused("unreadable", f"the slide cannot be read ({type(error).__name__}); export it again")
    return Refused(kind, without_paths(str(error), subject))


def without_paths(text: str, subject: Subject) -> str:
    """Return a message without the names of files, which can hold a patient's."""
    path = Path(subject.path)
    names = {str(path), str(path.resolve()), path.name, subject.map}
    if path.is_dir():
        names |= {str(each) for each in path.iterdir()} | {each.name for each in path.iterdir()}
    for name in sorted(names - {"", ".", "/"}, key=len, reverse=True):
        text = text.replace(name, "the slide")
    return _PATHS.sub("…", text)
