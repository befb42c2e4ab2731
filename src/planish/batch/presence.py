"""Whether the source folder is there: a share that goes away takes all of its slides with it."""

from __future__ import annotations

import os
from pathlib import Path


class Presence:
    """Knows a folder as it is now.

    Parameters
    ----------
    folder : Path
        The folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known = self._identity()

    def gone(self) -> bool:
        """Whether the folder is gone, or only the empty one is there that it was mounted on."""
        try:
            with os.scandir(self._folder) as inside:
                empty = next(inside, None) is None
        except OSError:
            return True
        return empty and self._identity() != self._known

    def _identity(self) -> tuple[int, int] | None:
        try:
            facts = self._folder.stat()
        except OSError:
            return None
        return facts.st_dev, facts.st_ino
