"""A program of its own: finds by which planes a slide's best is put together, and saves the map.

``python -m planish.serve.survey SLIDE MAP PROGRESS OPTIONS``; the options are `BestOptions.to_json`. It prints a JSON
object: what came of it, or ``{"error": …}`` as the commands of planish do.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from planish.convert import choose_planes
from planish.files import replacing
from planish.serve.bestoptions import BestOptions
from planish.serve.seal import seal
from planish.serve.smallfile import put

_EVERY_S = 0.2
_NICENESS = 5
"""Tiles go first."""


class Told:
    """Writes progress, not more often than somebody looks."""

    def __init__(self, path: Path) -> None:
        self._path, self._last = path, float("-inf")

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Write how far a stage is; a full disk costs that, and nothing else."""
        if time.monotonic() - self._last > _EVERY_S:
            self._last = time.monotonic()
            with suppress(OSError):
                put(self._path, {"stage": stage, "done": done, "total": total})


def main(arguments: Sequence[str]) -> int:
    """Do it; return 0, or 1 where it failed."""
    slide, target, progress, options = arguments
    os.nice(_NICENESS)
    try:
        found = choose_planes(Path(slide), BestOptions.from_json(options).convert_options(), Told(Path(progress)))
        with replacing(Path(target), overwrite=True) as temporary:
            found.save(temporary)
            seal(Path(target), temporary)
    except Exception as error:
        sys.stdout.write(json.dumps({"error": _told(error)}))
        return 1
    sys.stdout.write(json.dumps({"planes": len(found.z_um), "cells": int(found.plane.size)}))
    return 0


def _told(error: Exception) -> dict[str, Any]:
    memory = isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM
    return {"kind": "MemoryError" if memory else type(error).__name__, "message": str(error) or type(error).__name__}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
