"""What foreign parsers say: kept off the user's terminal, and put into one line where it becomes part of an error."""

from __future__ import annotations

import logging

_LONGEST = 200

# Without any handler, Python prints warnings of libraries to stderr. This one takes them in silence; whoever sets up
# logging of their own still sees them.
logging.getLogger("tifffile").addHandler(logging.NullHandler())


def reason(error: BaseException) -> str:
    """Return an error's text in one line of moderate length, its name where it has none."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
