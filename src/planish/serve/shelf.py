"""`Shelf`: the slides that a decoder has open, few of them, each as it was when it was opened."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Collection
from functools import cached_property
from pathlib import Path

from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.planemap import PlaneMap
from planish.serve.display import Stretch
from planish.serve.overlay import Overlay
from planish.serve.pixels import ServedPlane
from planish.serve.seal import sealed
from planish.serve.signature import signature
from planish.serve.stack import DECODED_BYTES, Stack
from planish.serve.wanted import MOST_OPEN, Refused, Subject
from planish.slide.base import Slide
from planish.slide.open import open_slide

_MOST_MAPS = 2


class OpenSlide:
    """A slide that is open, its planes and its flat slides.

    Memory: 24 MiB of decoded tiles, 16 MiB of halved ones for each plane looked at, and for each of two plane maps
    what a flat slide holds.
    """

    def __init__(self, path: str) -> None:
        self.slide: Slide = Stack(open_slide(path), DECODED_BYTES)
        self._planes: dict[int, ServedPlane] = {}
        self._maps: OrderedDict[str, tuple[ServedPlane, Overlay]] = OrderedDict()
        _forget_files()

    def plane(self, index: int) -> ServedPlane:
        """Return a plane.

        Raises
        ------
        Refused
            Where there is no such plane.
        """
        if index not in self._planes:
            count = len(self.slide.planes)
            if not 0 <= index < count:
                raise Refused("range", f"plane {index} is not there; the slide has planes 0 to {count - 1}")
            self._planes[index] = ServedPlane(self.slide.view(planes=[index]), self.stretch)
        return self._planes[index]

    def best(self, path: str) -> tuple[ServedPlane, Overlay]:
        """Return the flat slide by a plane map, composed as the map's recipe says, and the map itself.

        Raises
        ------
        Refused
            Where the map is not there, or not the one that was made; that one is removed.
        PlanishError
            Where it is for another slide.
        """
        key = _checked(path, self._maps)
        if key not in self._maps:
            focus = PlaneMap.load(Path(path))
            recipe = focus.recipe
            # Every decoder would take memory of a GPU for itself.
            options = FuseOptions(recipe.method, recipe.parameters, "numpy") if recipe else FuseOptions("select")
            served = ServedPlane(flatten(self.slide, focus, options), self.stretch)
            self._maps[key] = served, Overlay(focus, served.grid)
        self._maps.move_to_end(key)
        while len(self._maps) > _MOST_MAPS:
            self._maps.popitem(last=False)
        return self._maps[key]

    @cached_property
    def stretch(self) -> Stretch | None:
        """How its pixels are shown; the same for all planes."""
        return Stretch.of(self.slide)


class Shelf:
    """The slides that were asked for last.

    Parameters
    ----------
    most : int
        Slides that are open at once.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._open: OrderedDict[tuple[str, str], OpenSlide] = OrderedDict()

    def take(self, subject: Subject) -> OpenSlide:
        """Return a slide, opened where it is not.

        Raises
        ------
        Refused
            Where it is gone, or no longer the one that is meant.
        PlanishError
            Where it cannot be opened.
        """
        key = subject.path, subject.signature
        if key not in self._open:
            check(subject)
            self._drop(subject.path)
            while len(self._open) >= self._most:
                self._open.popitem(last=False)[1].slide.close()
            self._open[key] = OpenSlide(subject.path)
        self._open.move_to_end(key)
        return self._open[key]

    def done(self, subject: Subject) -> None:
        """Raise Refused where the slide was changed meanwhile, so that what was read of it is not shown; close it then.

        To be called after reading.
        """
        try:
            check(subject)
        except Refused:
            self._drop(subject.path)
            raise

    def close(self) -> None:
        """Close all slides."""
        while self._open:
            self._open.popitem()[1].slide.close()

    def _drop(self, path: str) -> None:
        for key in [key for key in self._open if key[0] == path]:
            self._open.pop(key).slide.close()


def check(subject: Subject) -> None:
    """Raise Refused unless the slide is still the one that is meant."""
    if signature(subject.path, subject.files) != subject.signature:
        raise Refused("changed", "the slide was replaced or changed; load the list of slides again")


def _checked(path: str, known: Collection[str]) -> str:
    """Return what tells a map from others, and look into it unless it is known."""
    try:
        key = f"{path}/{signature(path)}"
        if key in known or sealed(Path(path)):
            return key
        Path(path).unlink()
    except (Refused, OSError):
        pass
    raise Refused("changed", "the best of all planes is no longer known; ask for it to be found again")


def _forget_files() -> None:
    """Stop libvips, once it is loaded, from taking what it read of a file for what another one of that name holds."""
    if "pyvips" in sys.modules:
        sys.modules["pyvips"].cache_set_max(0)
