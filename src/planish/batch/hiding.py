"""Names out of what processes say, where outputs are to be without them."""

from __future__ import annotations

import os
import re
from pathlib import Path

from planish.batch.entry import printable
from planish.batch.reasons import Failure

LEFT_OUT = "the rest is left out, for it may hold names; run planish info on the slide"
_SHORTEST = 3
"""Bytes of a name that is looked for: a Chinese one may have two signs."""
ONE_PLANE = "one plane only: there was nothing to choose"
FIGURES = ("no specimen found: all ", "in ", "the audit found ", "blurred everywhere: ")
"""What sentences of `planish.report.warnings` begin with that go on with figures, and hold nothing else."""
BEGUN = (
    "not all that the file may hold was read",
    "byte counts were refused, so that tiles had to be decoded to choose planes",
)
"""Those that go on, after a colon, with what a reader says."""


def message_without_names(failure: Failure) -> str:
    """Return what can be said of a failure where names are kept apart.

    The words of a process may hold any name: of files that belong to the slide, of parts of a path, of people.
    """
    if failure.own == failure.message:
        return failure.own
    return f"{failure.own}; {LEFT_OUT}" if failure.own else LEFT_OUT


def warning_without_names(warning: str) -> str:
    """Return what can be said of a warning where names are kept apart."""
    if warning == ONE_PLANE or any(re.match(f"{beginning}[0-9]", warning) for beginning in FIGURES):
        return warning
    begun = warning.partition(": ")[0]
    return f"{begun}; {LEFT_OUT}" if begun in BEGUN else LEFT_OUT


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
    names |= {str(path), str(path.resolve()), str(folder), str(folder.resolve())}
    names |= {form for name in names for form in _forms(name)}
    # Whole paths first, then longer names before those that are part of them.
    wanted = sorted(names, key=len, reverse=True)
    pattern = "|".join(re.escape(name) for name in wanted if len(os.fsencode(name)) >= _SHORTEST)
    return re.sub(f"(?:{pattern})", f"slide {number:06d}", text)


def _forms(name: str) -> set[str]:
    """Return a name as messages may have it: undecodable bytes replaced, signs escaped."""
    replaced = name.encode("utf-8", "replace").decode("utf-8")
    return {replaced, printable(replaced), printable(name), repr(name)[1:-1]}
