"""The slides of the served folder: ids instead of paths, and which of them have changed or gone."""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from dataclasses import dataclass, field, replace
from pathlib import Path

from planish._version import __version__
from planish.batch.discover import discover
from planish.batch.entry import Found, shown
from planish.errors import PlanishError, SlideNotFound
from planish.serve.responses import Problem
from planish.serve.signature import signature, signed
from planish.serve.wanted import Refused, Subject

LOOK_S = 3.0
"""A folder is not searched more often than this."""
CHECK_S = 1.0
"""Nor is a slide's signature looked at."""


@dataclass(frozen=True, slots=True)
class Served:
    """A slide that is served.

    Attributes
    ----------
    id : str
        16 hexadecimal digits, of its path below the folder.
    name : str
        That path, for people.
    relative : Path
        The same, for the system.
    path : str
        Where it lies.
    size : int
        Bytes of all its files.
    signature : str
        As it was last seen.
    version : str
        The same for the world: pictures of one version never differ. It tells nothing of the file.
    found : Found
        As it was when the folder was searched.
    files : tuple of str
        What else is in the signature, see `signed`.
    flat : bool
        Whether planish wrote it.
    """

    id: str
    name: str
    relative: Path
    path: str
    size: int
    signature: str
    version: str
    found: Found
    files: tuple[str, ...] = ()
    flat: bool = False

    @property
    def subject(self) -> Subject:
        """It, for those whom no plane matters."""
        return Subject(self.path, self.signature, files=self.files)


@dataclass(slots=True)
class _Looked:
    """When a slide was looked at last, and whether it was there."""

    at: float
    slide: Served
    gone: bool = False


@dataclass(slots=True)
class Registry:
    """Ids ↔ slides. No path ever comes from outside.

    Parameters
    ----------
    folder : Path
        Whose slides these are.
    settings : str
        What else pictures depend on: how the best is made.
    """

    folder: Path
    settings: str = ""
    _known: dict[str, _Looked] = field(default_factory=dict)
    _searched: float = 0.0
    _missed: float = -LOOK_S
    """When it was last searched because of an unknown id."""
    _searching: asyncio.Lock = field(default_factory=asyncio.Lock)

    def search(self) -> None:
        """Look for slides; those that were there and are not any more are remembered as gone.

        Raises
        ------
        SlideNotFound
            Where the folder is missing.
        """
        there = discover(self.folder, flat=True).found
        found = {slide.id: slide for slide in map(self._served, there) if slide}
        now = time.monotonic()
        for name in self._known.keys() - found.keys():
            self._known[name].gone = True
        for name, slide in found.items():
            self._known[name] = _Looked(now, slide)
        self._searched = now

    def check(self) -> None:
        """Search, and raise SlideNotFound where there is nothing to serve."""
        self.search()
        if not self._known:
            raise SlideNotFound(f"{shown(self.folder)}: no slides in it; name the folder that they lie in")

    @property
    def count(self) -> int:
        """How many slides are there, as far as is known."""
        return sum(not known.gone for known in self._known.values())

    async def slides(self) -> list[Served]:
        """Return all that are there, by name; the folder is searched if that was some time ago.

        Raises
        ------
        Problem
            Where the folder cannot be read, such as a share that is not mounted.
        """
        async with self._searching:
            if time.monotonic() - self._searched > LOOK_S:
                await self._search()
        there = (known.slide for known in list(self._known.values()) if not known.gone)
        return sorted(there, key=lambda slide: slide.name)

    def fresh(self, name: str) -> Served | None:
        """Return a slide that was looked at a moment ago; None if there is none such: ask `slide` then."""
        known = self._known.get(name)
        if known is None or known.gone or time.monotonic() - known.at > CHECK_S:
            return None
        return known.slide

    async def slide(self, name: str, *, look: bool = False) -> Served:
        """Return a slide by its id.

        Parameters
        ----------
        name : str
            From outside.
        look : bool, optional
            Look at the file even if that was done a moment ago.

        Raises
        ------
        Problem
            For an id that never was, or where the folder cannot be read.
        Refused
            For one whose slide is gone.
        """
        if look:
            await self.slides()  # which files are the slide's may have changed, too
        known = self._known.get(name) or await self._unknown(name)
        if look or known.gone or time.monotonic() - known.at > CHECK_S:
            known = self._known[name] = await asyncio.to_thread(self._look, known)
        if known.gone:
            raise Refused("gone", "the slide was removed; /api/slides lists those that are left")
        return known.slide

    async def _search(self) -> None:
        try:
            await asyncio.to_thread(self.search)
        except (PlanishError, OSError) as error:
            raise _away() from error

    async def _unknown(self, name: str) -> _Looked:
        """Return a slide that another process may have listed; an id that is none costs a search now and then."""
        async with self._searching:
            if name not in self._known and time.monotonic() - self._missed > LOOK_S:
                self._missed = time.monotonic()
                await self._search()
        known = self._known.get(name)
        if known is None:
            raise Problem(404, "no such slide; /api/slides lists those that there are")
        return known

    def _served(self, found: Found) -> Served | None:
        try:
            seen = signature(str(found.path), files := signed(found))
        except Refused:  # it was removed a moment ago
            return None
        name = shown(found.relative if found.relative.name else found.stem)
        return Served(
            slide_id(found.relative), name, found.relative, str(found.path), found.size, seen, self._version(seen),
            found, files, found.flat,
        )  # fmt: skip

    def _look(self, known: _Looked) -> _Looked:
        slide, now = known.slide, time.monotonic()
        try:
            seen = signature(slide.path, slide.files)
        except Refused as error:
            if not self.folder.is_dir():
                raise _away() from error
            return _Looked(now, slide, gone=True)
        if seen != slide.signature:
            slide = replace(slide, signature=seen, version=self._version(seen))
        return _Looked(now, slide)

    def _version(self, seen: str) -> str:
        named = "\0".join((__version__, self.settings, seen))
        return hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _away() -> Problem:
    wait = (b"retry-after", b"10")
    return Problem(503, "the folder of the slides cannot be read now; ask again in a while", headers=(wait,))


def slide_id(relative: Path) -> str:
    """Return the id of a path below the folder."""
    return hashlib.sha256(os.fsencode(relative.as_posix())).hexdigest()[:16]
