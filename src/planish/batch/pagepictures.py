"""The pictures of the morning report: which slides have any, and how they stand there."""

from __future__ import annotations

import heapq
from base64 import b64encode
from collections.abc import Callable

from planish.batch.entry import Entry
from planish.batch.words import href, text
from planish.errors import SlideError
from planish.jpeg import read_header
from planish.outputs import beside

Pictures = Callable[[int], tuple[bytes, bytes] | None]
"""From an entry's id to JPEG bytes of its flat slide and of its heatmap."""
MOST = 300
"""Slides without warnings whose pictures are shown: with those of thousands no browser opens the page."""


class Newest:
    """Chooses the slides done last, in memory for these alone.

    Attributes
    ----------
    passed : int
        Slides that are not among them.
    """

    def __init__(self) -> None:
        self.passed = 0
        self._chosen: list[tuple[float, int]] = []

    def offer(self, entry: Entry) -> None:
        """Take a slide, and drop an older one where there are too many."""
        heapq.heappush(self._chosen, (entry.ended or 0.0, entry.id))
        if len(self._chosen) > MOST:
            heapq.heappop(self._chosen)
            self.passed += 1

    def ids(self) -> frozenset[int]:
        """Return the chosen slides."""
        return frozenset(number for _, number in self._chosen)

    def said(self) -> str:
        """Return a line for people on what is left out, empty where nothing is."""
        if not self.passed:
            return ""
        return (
            f'<p class="quiet">Pictures are of slides with warnings and of the {MOST:,} others done last; those of the '
            f"other {self.passed:,} are left out here: beside each flat slide lies its heatmap.</p>\n"
        )


def both(entry: Entry, flat: bytes, heatmap: bytes) -> str:
    """Return a row of the table: the flat slide, and its heatmap, each with a link to the file."""
    whole = beside(entry.output, "heatmap.png")
    drawn = picture(heatmap, f"{entry.name}, heatmap: which plane was sharpest where, and how it was composed")
    return (
        f'<tr class="pictures"><td colspan="7"><div><a href="{href(entry.output)}">'
        f'{picture(flat, f"{entry.name}, flat")}</a><a href="{href(whole)}">{drawn}</a></div></td></tr>\n'
    )


def picture(data: bytes, alt: str) -> str:
    """Return JPEG bytes as an element of the page, nothing where there are none."""
    if not data:
        return ""
    try:
        header = read_header(data)
        box = f' width="{header.width}" height="{header.height}"'
    except SlideError:
        box = ""
    source = f"data:image/jpeg;base64,{b64encode(data).decode()}"
    return f'<img src="{source}" alt="{text(alt)}"{box} loading="lazy" decoding="async">'
