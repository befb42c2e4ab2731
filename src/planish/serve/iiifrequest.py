"""The IIIF Image API 3 as arithmetic: pieces of an address to a box, a size and a canonical address.

https://iiif.io/api/image/3.0/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from planish.model import Box
from planish.serve.geometry import LARGEST_OUTPUT
from planish.serve.regions import fitted
from planish.serve.responses import Problem

QUALITIES = ("default", "color", "gray", "bitonal")
FORMATS = ("jpg", "png")
_WHOLE = "([0-9]{1,9})"
_PART = r"([0-9]{1,9}(?:\.[0-9]{1,9})?)"
_BOX = re.compile(f"{_WHOLE},{_WHOLE},{_WHOLE},{_WHOLE}")
_PARTS = re.compile(f"pct:{_PART},{_PART},{_PART},{_PART}")
_SIZE = re.compile(r"(!?)([0-9]{0,9}),([0-9]{0,9})")
_SCALE = re.compile(f"pct:{_PART}")
_ROTATION = re.compile(r"(!?)(0|90|180|270)(?:\.0+)?")
_LAST = re.compile(r"([^.]+)\.([^.]+)")


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """What a client asks of an image.

    Attributes
    ----------
    box : Box
        In level-0 pixels.
    width, height : int
        Of the picture before it is turned.
    mirror : bool
        Before it is turned.
    rotation : int
        Degrees, clockwise.
    quality, format : str
        As asked for.
    canonical : str
        The one address of all that mean this, behind the image's own.
    """

    box: Box
    width: int
    height: int
    mirror: bool
    rotation: int
    quality: str
    format: str
    canonical: str

    @classmethod
    def of(cls, region: str, size: str, rotation: str, last: str, full: tuple[int, int]) -> ImageRequest:
        """Return what the pieces of an address mean.

        Parameters
        ----------
        region, size, rotation, last : str
            As in ``{region}/{size}/{rotation}/{quality}.{format}``.
        full : (int, int)
            Width and height of the image.

        Raises
        ------
        Problem
            400, where a piece means nothing.
        """
        box = _box(region, *full)
        width, height = _size(size, box)
        turned = _ROTATION.fullmatch(rotation)
        if not turned:
            raise Problem(400, f"rotation {rotation[:40]!r}: must be 0, 90, 180 or 270, mirrored with ! before it")
        mirror, degrees = bool(turned[1]), int(turned[2])
        named = _LAST.fullmatch(last)
        if not named or named[1] not in QUALITIES or named[2] not in FORMATS:
            raise Problem(400, f"{last[:40]!r}: must be {', '.join(QUALITIES)}, then .jpg or .png")
        quality = "default" if named[1] == "color" else named[1]
        whole = "full" if box == (0, 0, *full) else ",".join(map(str, box))
        bigger = "^" if width > box.width or height > box.height else ""
        most = (width, height) == largest(box)
        scaled = "max" if most and not bigger else f"{bigger}{width},{height}"
        canonical = f"{whole}/{scaled}/{'!' * mirror}{degrees}/{quality}.{named[2]}"
        return cls(box, width, height, mirror, degrees, quality, named[2], canonical)

    def fields(self) -> dict[str, Any]:
        """Return what a `Want` needs."""
        return {
            "kind": "region",
            **self.box._asdict(),
            "out_width": self.width,
            "out_height": self.height,
            "quality": "color" if self.quality == "default" else self.quality,
            "rotation": self.rotation,
            "mirror": self.mirror,
            "format": self.format,
        }


def largest(box: Box) -> tuple[int, int]:
    """Return the size in which a box is shown at most without being enlarged."""
    return fitted(box, LARGEST_OUTPUT, LARGEST_OUTPUT)


def _box(text: str, width: int, height: int) -> Box:
    if text == "full":
        return Box(0, 0, width, height)
    if text == "square":
        side = min(width, height)
        return Box((width - side) // 2, (height - side) // 2, side, side)
    if found := _BOX.fullmatch(text):
        x, y, across, down = map(int, found.groups())
    elif found := _PARTS.fullmatch(text):
        parts = [float(part) / 100 for part in found.groups()]
        x, y = round(parts[0] * width), round(parts[1] * height)
        across, down = round(parts[2] * width), round(parts[3] * height)
    else:
        raise Problem(400, f"region {text[:40]!r}: must be full, square, x,y,w,h or pct:x,y,w,h")
    # What reaches beyond the image is cut off.
    box = Box(x, y, min(across, width - x), min(down, height - y))
    if min(box.width, box.height) < 1:
        raise Problem(400, f"region {text[:60]!r}: nothing of it lies on the image of {width} × {height} px")
    return box


def _size(text: str, box: Box) -> tuple[int, int]:
    bigger, plain = text.startswith("^"), text.removeprefix("^")
    if plain == "max":
        return _filled(box, LARGEST_OUTPUT, LARGEST_OUTPUT) if bigger else largest(box)
    width, height = _wanted(plain, box, bigger=bigger)
    if min(width, height) < 1:
        raise Problem(400, f"size {text[:40]!r}: nothing would be left; ask for at least 1 × 1 px")
    if not bigger and (width > box.width or height > box.height):
        raise Problem(400, f"size {text[:40]!r} enlarges the region of {box.width} × {box.height} px; put ^ before it")
    if max(width, height) > LARGEST_OUTPUT:
        raise Problem(400, f"size {text[:40]!r}: a picture has at most {LARGEST_OUTPUT} px a side")
    return width, height


def _wanted(text: str, box: Box, *, bigger: bool) -> tuple[int, int]:
    if found := _SCALE.fullmatch(text):
        scale = float(found[1]) / 100
        return round(box.width * scale), round(box.height * scale)
    found = _SIZE.fullmatch(text)
    if not found or not (found[2] or found[3]) or (found[1] and not (found[2] and found[3])):
        raise Problem(400, f"size {text[:40]!r}: must be max, w,h or w, or ,h or !w,h or pct:n, ^ before it to enlarge")
    width, height = int(found[2] or 0), int(found[3] or 0)
    if found[1]:
        if min(width, height) < 1:
            return 0, 0
        if not bigger and width > box.width and height > box.height:
            # To be shown at its own size, says the text of the API; to be refused, says its validator.
            return width, height
        return _filled(box, width, height) if bigger else fitted(box, width, height)
    if not found[2]:
        return max(min(1, height), round(box.width * height / box.height)), height
    if not found[3]:
        return width, max(min(1, width), round(box.height * width / box.width))
    return width, height


def _filled(box: Box, width: int, height: int) -> tuple[int, int]:
    """Return the largest size within a width and a height, the shape kept."""
    scale = min(width / box.width, height / box.height)
    return max(1, round(box.width * scale)), max(1, round(box.height * scale))
