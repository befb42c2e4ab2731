"""Names out of what processes say, where outputs are to be without them."""

from __future__ import annotations

import re
from pathlib import Path

from planish.batch.entry import shown

_SHORTEST = 3


def hidden(text: str, folder: Path, relative: Path, number: int) -> str:
    """Return a text in which neither the path of a slide, nor any name in that path or in its folder, is left.

    Parameters
    ----------
    text : str
        A message or a warning.
    folder, relative : Path
        The source folder, and where the slide lies below it.
    number : int
        Of the slide, which takes the place of its names.
    """
    path = folder / relative
    try:
        inside = [each.name for each in path.iterdir()] if path.is_dir() else []
    except OSError:
        inside = []
    names = {*relative.parts, *inside}
    names |= {Path(name).stem for name in names}
    names |= {form for name in names for form in _forms(name)}
    # Whole paths first, then longer names before those that are part of them.
    wanted = sorted({str(path), str(path.resolve()), *names, str(folder), str(folder.resolve())}, key=len, reverse=True)
    pattern = "|".join(re.escape(name) for name in wanted if len(name) >= _SHORTEST)
    return re.sub(f"(?:{pattern})", f"slide {number:06d}", text)


def _forms(name: str) -> set[str]:
    """Return a name as messages may have it: undecodable bytes replaced, signs escaped."""
    return {name.encode("utf-8", "replace").decode("utf-8"), shown(Path(name)), repr(name)[1:-1]}
