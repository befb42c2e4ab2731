"""Values of options: text to what it means, or an error that says what it should be."""

from __future__ import annotations

import argparse
import ast
from typing import Any

from planish.model import Box


def region(text: str) -> Box:
    """Return a box, of ``X,Y,W,H``."""
    try:
        x, y, width, height = (int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not X,Y,W,H in whole pixels, e.g. 0,0,4096,4096") from None
    return Box(x, y, width, height)


def planes(text: str) -> tuple[int | None, int | None]:
    """Return the first plane and the one after the last, None for open ends, of ``A:B``."""
    first, colon, stop = text.partition(":")
    try:
        if not colon:
            raise ValueError
        ends = int(first) if first else None, int(stop) if stop else None
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not A:B, e.g. 2:7 for planes 2 to 6") from None
    if min(end or 0 for end in ends) < 0:
        raise argparse.ArgumentTypeError(f"{text!r}: planes count from 0, the lowest; negative ones do not exist")
    return ends


def parameter(text: str) -> tuple[str, Any]:
    """Return a name and its value, a string where it is no Python literal, of ``NAME=VALUE``."""
    name, equals, value = text.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE, e.g. sigma=3")
    try:
        return name, ast.literal_eval(value.strip())
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return name, value


def quality(text: str) -> int:
    """Return a JPEG quality, 1 to 100."""
    if not text.isdecimal() or not 1 <= int(text) <= 100:
        raise argparse.ArgumentTypeError(f"{text!r} is not a JPEG quality, 1 to 100")
    return int(text)


def size(text: str) -> int:
    """Return bytes, of a number with or without K, M, G or T, which count in 1024s."""
    digits, unit = (text[:-1], text[-1:]) if text[-1:].upper() in "KMGT" else (text, "")
    try:
        return int(float(digits) * 1024 ** (1 + "KMGT".index(unit.upper()) if unit else 0))
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(f"{text!r} is not a size, e.g. 500M or 8G") from None


def pair(text: str) -> tuple[int, int]:
    """Return two whole numbers, of ``A,B``."""
    found = _numbers(text, 2, "A,B, two whole numbers, e.g. 0,1")
    return found[0], found[1]


def crop(text: str) -> tuple[int, tuple[int, ...]]:
    """Return a camera and its crop, of ``CAMERA=Z0,Z1,Y0,Y1,X0,X1``."""
    camera, _, box = text.partition("=")
    wanted = "CAMERA=Z0,Z1,Y0,Y1,X0,X1, e.g. 0=10,200,0,2048,0,1024"
    if not camera.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return int(camera), _numbers(box, 6, wanted)


def chunk(text: str) -> tuple[int, ...] | str:
    """Return a chunk's sides, of ``Z,Y,X``, or ``plane``."""
    return text if text == "plane" else _numbers(text, 3, "Z,Y,X in whole px, e.g. 10,128,128, or plane")


def voxel(text: str) -> tuple[float, ...]:
    """Return a voxel's sides in µm, of ``Z,Y,X``."""
    try:
        z, y, x = (float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not Z,Y,X in µm, e.g. 2,0.406,0.406") from None
    return z, y, x


def _numbers(text: str, count: int, wanted: str) -> tuple[int, ...]:
    parts = text.split(",")
    if len(parts) != count or not all(part.strip().isdecimal() for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}")
    return tuple(int(part) for part in parts)
