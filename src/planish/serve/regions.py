"""Boxes out of a slide: numbers out of a query, checked before anybody is asked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from planish.model import Box
from planish.serve.facts import SlideFacts
from planish.serve.geometry import LARGEST_OUTPUT
from planish.serve.responses import Problem

MOST_SCALE = 1.0
THUMBNAIL, MOST_THUMBNAIL = 256, 1024
"""px: longest side."""
FORMATS = ("jpg", "png")


def region_fields(query: Mapping[str, str], facts: SlideFacts) -> dict[str, Any]:
    """Return what a `Want` needs of a region.

    Parameters
    ----------
    query : mapping
        ``x``, ``y``, ``width``, ``height`` in level-0 pixels, all of the slide by default; ``out_width``,
        ``out_height`` or ``scale`` of the picture; ``format``.
    facts : SlideFacts
        Of the slide.

    Raises
    ------
    Problem
        Where that is no region, or none of the slide, or too large a picture; with the limit.
    """
    x, y = _whole(query, "x", 0, 0, facts.width - 1), _whole(query, "y", 0, 0, facts.height - 1)
    width = _whole(query, "width", facts.width - x, 1, facts.width - x)
    height = _whole(query, "height", facts.height - y, 1, facts.height - y)
    box = Box(x, y, width, height)
    out_width, out_height = _picture(query, box)
    return {
        "kind": "region",
        **box._asdict(),
        "out_width": out_width,
        "out_height": out_height,
        "format": _format(query),
    }


def thumbnail_fields(query: Mapping[str, str], facts: SlideFacts) -> dict[str, Any]:
    """Return what a `Want` needs of a small picture of all of the slide, whose longest side is ``size``."""
    size = _whole(query, "size", THUMBNAIL, 1, MOST_THUMBNAIL)
    box = Box(0, 0, facts.width, facts.height)
    out_width, out_height = fitted(box, size, size)
    return {
        "kind": "region",
        **box._asdict(),
        "out_width": out_width,
        "out_height": out_height,
        "format": _format(query),
    }


def fitted(box: Box, width: int, height: int) -> tuple[int, int]:
    """Return the size of a box within another, its shape kept; never enlarged."""
    scale = min(width / box.width, height / box.height, 1.0)
    return max(1, round(box.width * scale)), max(1, round(box.height * scale))


def _picture(query: Mapping[str, str], box: Box) -> tuple[int, int]:
    """Return the size of the picture: as asked for, else that of the box, as far as pictures go."""
    if "scale" in query:
        if "out_width" in query or "out_height" in query:
            raise Problem(400, "give scale, or out_width and out_height, not both")
        scale = _number(query, "scale", MOST_SCALE)
        size = max(1, round(box.width * scale)), max(1, round(box.height * scale))
        if max(size) > LARGEST_OUTPUT:
            most = LARGEST_OUTPUT / max(box.width, box.height)
            raise Problem(
                400, f"scale {scale:g} makes {size[0]} × {size[1]} px of it; at most {most:.6g} can be, or take less"
            )
        return size
    if "out_width" in query and "out_height" in query:
        return (
            _whole(query, "out_width", 1, 1, LARGEST_OUTPUT),
            _whole(query, "out_height", 1, 1, LARGEST_OUTPUT),
        )
    width = _whole(query, "out_width", LARGEST_OUTPUT, 1, LARGEST_OUTPUT)
    height = _whole(query, "out_height", LARGEST_OUTPUT, 1, LARGEST_OUTPUT)
    if "out_width" not in query and "out_height" not in query and max(box.width, box.height) > LARGEST_OUTPUT:
        raise Problem(
            400, f"{box.width} × {box.height} px are too many; a picture has at most {LARGEST_OUTPUT} px a side: give "
            "out_width, out_height or scale, or take less",
        )  # fmt: skip
    return fitted(box, width, height)


def _whole(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12) or not least <= int(text) <= most:
        raise Problem(400, f"{name}={_short(text)}: must be a whole number from {least} to {most}")
    return int(text)


def _number(query: Mapping[str, str], name: str, most: float) -> float:
    text = query[name]
    try:
        value = float(text) if len(text) < 40 else math.nan
    except ValueError:
        value = math.nan
    if not 0 < value <= most:
        raise Problem(400, f"{name}={_short(text)}: must be a number above 0, and at most {most:g}")
    return value


def _format(query: Mapping[str, str]) -> str:
    chosen = query.get("format", "jpg")
    if chosen not in FORMATS:
        raise Problem(400, f"format={_short(chosen)}: must be jpg or png")
    return chosen


def _short(text: str) -> str:
    return repr(text[:40])
