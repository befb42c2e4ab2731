"""Figures, times and names as a page shows them to people."""

from __future__ import annotations

import html
import math
import os
import shlex
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

_UNITS = ("kB", "MB", "GB", "TB")
_ROUNDS_UP = -math.log10(0.9995) / 3
"""So that 999.9 kB become 1 MB."""


def text(value: str) -> str:
    r"""Return any string as HTML, also within quotes: signs that nobody sees, or that turn the line around, are named.

    >>> text("<b>\u202egpj.exe")
    '&lt;b&gt;\\u202egpj.exe'
    """
    signs = (sign if sign.isprintable() or sign == "\n" else sign.encode("unicode_escape").decode() for sign in value)
    return html.escape("".join(signs))


def href(path: Path) -> str:
    """Return a relative path as a link, whatever bytes it is made of."""
    return html.escape(quote(os.fsencode(path.as_posix())))


def pasteable(command: str) -> str:
    r"""Return a shell command in signs that can be seen; bash, zsh, ksh and ash read it as the same words.

    >>> pasteable("rm 'a\x1bb'")
    "rm $'a\\033b'"
    """
    if command.isprintable():
        return command
    return " ".join(_word(word) for word in shlex.split(command))


def _word(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    # Three octal digits, for a shell takes as many hexadecimal ones as follow.
    signs = (
        (f"\\{sign}" if sign in "'\\" else sign)
        if sign.isprintable()
        else "".join(f"\\{byte:03o}" for byte in os.fsencode(sign))
        for sign in word
    )
    return f"$'{''.join(signs)}'"


def size(count: int | None) -> str:
    """Return bytes in the units of disks: ``12.3 GB``.

    >>> size(999), size(12_345_678), size(None)
    ('999 bytes', '12.3 MB', '–')
    """
    if count is None:
        return "–"
    if count < 1000:
        return f"{count} bytes"
    step = min(len(_UNITS), int(math.log10(count) / 3 + _ROUNDS_UP))
    value = count / 1000**step
    return f"{value:.3g} {_UNITS[step - 1]}" if value < 999.5 else f"{value:,.0f} {_UNITS[step - 1]}"


def span(seconds: float | None) -> str:
    """Return a wall time.

    >>> span(3.21), span(75), span(26_000), span(None)
    ('3.2 s', '1 min 15 s', '7 h 13 min', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    if seconds < 3599.5:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes} min {rest:02} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours:,} h {minutes:02} min"


def moment(seconds: float) -> str:
    """Return a time, in seconds since 1970, by the clock on the wall."""
    local = datetime.fromtimestamp(seconds).astimezone()
    return f'<time datetime="{local.isoformat(timespec="seconds")}">{local:%Y-%m-%d %H:%M}</time>'


def many(count: int, noun: str) -> str:
    """Return a number with its noun: ``1 slide``, ``2 slides``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
