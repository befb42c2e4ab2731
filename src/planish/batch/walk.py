"""The folders below a folder: each once, sorted, whatever links there are."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from planish.batch.entry import Found, shown

Identity = tuple[int, int] | Path
"""Device and inode; the path itself where a file system numbers nothing."""


@dataclass(frozen=True, slots=True)
class Item:
    """What a folder says of a file or folder in it.

    Attributes
    ----------
    size, mtime_ns : int
        Of what a link points at.
    identity : (int, int) or Path
        The same for all links to it.
    link : bool
        Whether this is a symbolic link.
    """

    size: int
    mtime_ns: int
    identity: Identity
    link: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder without its hidden files.

    Attributes
    ----------
    root : Path
        The folder that is searched.
    relative : Path
        This folder below it.
    linked : bool
        Whether the way here led through a symbolic link.
    files, folders : mapping of str to Item
        By name, sorted.
    """

    root: Path
    relative: Path
    linked: bool
    files: Mapping[str, Item]
    folders: Mapping[str, Item]

    @property
    def path(self) -> Path:
        """The folder as it was reached."""
        return self.root / self.relative


class Walk:
    """The folders below one, those behind symbolic links last, so that a slide is found where it really lies.

    Each folder is entered once, by device and inode, so that neither loops nor nets of links last.

    Parameters
    ----------
    root : Path
        Where to start.
    closed : callable
        Listing -> names of the folders in it that are not to be entered.
    """

    def __init__(self, root: Path, closed: Callable[[Listing], set[str]]) -> None:
        self._root = root
        self._closed = closed
        self._entered: dict[Identity, Path] = {}
        self.notes: list[tuple[Path, str]] = []
        """What was passed over: where, and why."""

    def __iter__(self) -> Iterator[Listing]:
        """Yield the folders.

        Raises
        ------
        OSError
            Where the first cannot be listed.
        """
        waiting = [(Path(), False)]
        links: deque[Path] = deque()
        while waiting or links:
            relative, linked = waiting.pop() if waiting else (links.popleft(), True)
            try:
                listing = None if self._known(relative) else self._list(relative, linked)
            except OSError as error:
                if relative == Path():
                    raise
                self._note(relative, f"cannot be listed ({error.strerror}); allow reading it")
                continue
            if listing is None:
                continue
            yield listing
            closed = self._closed(listing)
            inner = [(relative / name, item.link) for name, item in listing.folders.items() if name not in closed]
            waiting += [(path, linked) for path, link in reversed(inner) if not link]
            links += [path for path, link in inner if link]

    def _note(self, relative: Path, text: str) -> None:
        self.notes.append((relative, text))

    def _known(self, relative: Path) -> bool:
        """Note a folder that was entered before."""
        path = self._root / relative
        first = self._entered.setdefault(identity_of(path, path.stat()), relative)
        if first == relative:
            return False
        if first in relative.parents:
            self._note(relative, "leads back to a folder above it and was not followed; remove the link")
        else:
            self._note(relative, f"is the folder {shown(first)} again; its slides are found there")
        return True

    def _list(self, relative: Path, linked: bool) -> Listing:
        files: dict[str, Item] = {}
        folders: dict[str, Item] = {}
        with os.scandir(self._root / relative) as entries:
            visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda each: each.name)
        for entry in visible:
            try:
                found = entry.stat()
            except OSError as error:
                self._unseen(relative / entry.name, entry.is_symlink(), error)
                continue
            identity = identity_of(Path(entry.path), found)
            item = Item(found.st_size, found.st_mtime_ns, identity, entry.is_symlink())
            if stat.S_ISDIR(found.st_mode):
                folders[entry.name] = item
            elif stat.S_ISREG(found.st_mode):
                files[entry.name] = item
            else:
                self._note(relative / entry.name, "is a pipe, socket or device, and no file; remove it")
        return Listing(self._root, relative, linked, files, folders)

    def _unseen(self, relative: Path, link: bool, error: OSError) -> None:
        if link:
            why = "leads nowhere" if isinstance(error, FileNotFoundError) else f"leads nowhere ({error.strerror})"
            self._note(relative, f"a link that {why}; bring back what it points at, or remove it")
        elif not isinstance(error, FileNotFoundError):  # which was removed a moment ago
            self._note(relative, f"cannot be looked at ({error.strerror}); check its permissions")


def identity_of(path: Path, found: os.stat_result) -> Identity:
    """Return what all names of a file or folder share."""
    return (found.st_dev, found.st_ino) if found.st_ino else path


def below(folder: Path) -> Iterator[os.stat_result]:
    """Yield the facts of all files below a folder that belongs to a slide; what is unreadable is left out."""
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                yield Path(path, name).stat()
            except OSError:  # the slide's own process says what is wrong
                continue


def measured(found: Found) -> tuple[int, int]:
    """Return `size` and `mtime_ns` of a slide as they are now.

    Raises
    ------
    OSError
        Where a file of it is gone.
    """
    folder = found.path.parent
    facts = [(folder / name).stat() for name in found.files]
    facts += [each for name in found.folders for each in below(folder / name)]
    return sum(each.st_size for each in facts), max((each.st_mtime_ns for each in facts), default=0)
