"""The plane maps that were made for the service: a folder of files that are called by keys and never by a slide.

Of each key there are at most: ``.map.json`` and its ``.seal.json``; while somebody works on it ``.lock`` and
``.progress.json``; after a failure ``.failed.json``.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections import defaultdict
from contextlib import suppress
from pathlib import Path

from planish.batch.reasons import Failure
from planish.errors import WriteError
from planish.serve.beststate import BestState
from planish.serve.claim import Claim, claimed
from planish.serve.smallfile import get, number, put

_KEY = re.compile(r"[0-9a-f]{64}")
_BLOCK = 4096
"""Bytes that even an empty file costs."""
_FRESH_S = 60.0
"""For which a file counts as just used, so that not every look writes."""


def default_folder() -> Path:
    """Return where the user's caches lie, as the XDG base directories have it."""
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (named if named.is_absolute() else Path.home() / ".cache") / "planish"


class Store:
    """Files on the disk, shared by several processes. What was not used for longest goes first.

    Parameters
    ----------
    folder : Path
        Made, for nobody but its owner, where it is not there.
    most_bytes : int
        That the files may take.

    Raises
    ------
    WriteError
        Where the folder cannot be made, or is another user's.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self.folder, self._most = folder / "best", most_bytes
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            facts = self.folder.lstat()
            if not stat.S_ISDIR(facts.st_mode) or facts.st_uid != os.geteuid():
                raise WriteError(f"{self.folder}: belongs to somebody else; choose another cache folder")
            if stat.S_IMODE(facts.st_mode) != 0o700:
                self.folder.chmod(0o700)
        except OSError as error:
            raise WriteError(
                f"{folder}: cannot be used as a cache ({error.strerror}); choose another folder"
            ) from error

    def map(self, key: str) -> Path:
        """Return the place of a plane map."""
        return self.folder / f"{key}.map.json"

    def progress(self, key: str) -> Path:
        """Return the place of what is known of a survey under way."""
        return self.folder / f"{key}.progress.json"

    def look(self, key: str) -> BestState:
        """Return how far a map is."""
        if state := self._ready(key):
            return state
        if claimed(self._lock(key)):
            return self._working(key)
        return self.settled(key)  # only now, for it may have ended meanwhile

    def settled(self, key: str) -> BestState:
        """Return how far a map is that nobody works on."""
        return self._ready(key) or self._failed(key) or BestState("none")

    def claim(self, key: str) -> Claim | None:
        """Take the work on a map, None where somebody works on it."""
        return Claim.take(self._lock(key))

    def turn(self, number: int) -> Claim | None:
        """Take one of the turns that processes share, None where somebody has it."""
        return Claim.take(self.folder / f"turn-{number}.lock")

    def fail(self, key: str, why: Failure, wait: float) -> None:
        """Note a failure, which counts for so many seconds."""
        told = {"reason": why.reason, "message": why.message, "until": time.time() + wait}
        put(self.folder / f"{key}.failed.json", told)

    def trim(self, keep: str) -> None:
        """Remove what was not used for longest, until the rest is small enough; what is being made stays."""
        groups = self._groups()
        total = sum(size for _, size in groups.values())
        for key in sorted(groups, key=lambda key: groups[key][0]):
            if total <= self._most:
                return
            if key != keep and (claim := self.claim(key)):
                with claim:
                    self.clear(key)
                total -= groups[key][1]

    def clear(self, key: str) -> None:
        """Remove all files of a key, also what died half-written, but for the claim."""
        for path in self.folder.glob(f"*{key}*"):
            if path != self._lock(key):
                path.unlink(missing_ok=True)

    def _lock(self, key: str) -> Path:
        return self.folder / f"{key}.lock"

    def _ready(self, key: str) -> BestState | None:
        path = self.map(key)
        try:
            used = path.stat().st_mtime
        except OSError:
            return None
        if time.time() - used > _FRESH_S:
            with suppress(OSError):  # a disk that cannot be written to can still be read
                os.utime(path)
        return BestState("ready", map=str(path))

    def _working(self, key: str) -> BestState:
        told = get(self.progress(key)) or {}
        done, total = (int(number(told, name)) for name in ("done", "total"))
        return BestState("working", "", str(told.get("stage", "")), done, total)

    def _failed(self, key: str) -> BestState | None:
        told = get(self.folder / f"{key}.failed.json")
        if told is None or time.time() > number(told, "until"):
            return None
        return BestState("failed", reason=str(told.get("reason")), message=str(told.get("message")))

    def _groups(self) -> dict[str, tuple[float, int]]:
        """Return by key when it was last used, and the bytes it takes; what died half-written counts, too."""
        groups: dict[str, tuple[float, int]] = defaultdict(lambda: (0.0, 0))
        for entry in os.scandir(self.folder):
            found = _KEY.search(entry.name)
            try:
                facts = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found:
                used, size = groups[found[0]]
                groups[found[0]] = max(used, facts.st_mtime), size + max(facts.st_size, _BLOCK)
        return groups
