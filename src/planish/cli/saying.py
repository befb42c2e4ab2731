"""Printing that changes nothing else: where nobody takes what is said, it is not said."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TextIO


def say(text: str, stream: TextIO | None) -> None:
    """Print a line, if that can be."""
    if stream is None:  # it was closed when the program began
        return
    try:
        print(text, file=stream, flush=True)
    except OSError:
        mute(stream)


def mute(stream: TextIO | None) -> None:
    """Have a stream that failed take all that comes, for Python would end with code 120 over what is left in it."""
    if stream is None:
        return
    with suppress(OSError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
