"""Messages as people on the web may read them: they know slides by their ids."""

from __future__ import annotations

import re
from pathlib import Path

from planish.batch.hiding import hidden

_STAND_IN = 0
_STANDS = f"slide {_STAND_IN:06d}"
_OPTION = re.compile(r" \(--[a-z-]+\)")
"""Of `planish batch`, which nobody on the web can give."""


def without_paths(text: str, slide: Path, *folders: Path) -> str:
    """Return a message without the slide's path and name, the paths of folders, and options of other commands."""
    shown = hidden(_OPTION.sub("", text), slide.parent, Path(slide.name), _STAND_IN).replace(_STANDS, "the slide")
    for folder in sorted(map(str, folders), key=len, reverse=True):
        shown = shown.replace(folder, "the folder")
    return shown
