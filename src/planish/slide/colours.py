"""How a TIFF page stores colour, and what makes grey or RGB of it; what planish would show wrong is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from planish.errors import UnsupportedSlide

Pixels = NDArray[Any]

_PHOTOMETRIC_TAG = 262
_MINISWHITE, _MINISBLACK, _RGB, _YCBCR = 0, 1, 2, 6
_READ = (_MINISWHITE, _MINISBLACK, _RGB, _YCBCR)
_NAMES = {3: "indices of a colour table", 4: "a transparency mask", 5: "CMYK", 8: "CIELAB", 9: "ICC L*a*b*"}
_PLAIN_CODECS = (1, 5, 8, 32773, 32946, 34925, 50000)
"""Compressions that leave YCbCr as it is; the JPEGs turn it into RGB."""
_ASSOCIATED_ALPHA, _UNASSOCIATED_ALPHA = 1, 2


@dataclass(frozen=True)
class Conversion:
    """What is done to pixels after decoding.

    Attributes
    ----------
    samples : int
        Per pixel, afterwards.
    apply : callable
        Stored pixels to those served, (height, width, samples).
    note : str
        For `SlideMetadata.notes`.
    """

    samples: int
    apply: Callable[[Pixels], Pixels]
    note: str


def conversion(page: tifffile.TiffPage, name: object) -> Conversion | None:
    """Return what makes grey or RGB of the page's pixels, None where they are that already.

    Raises
    ------
    UnsupportedSlide
        Where the colours are of another kind; `name` stands for the file in the message.
    """
    refusal = _refusal(page)
    if refusal:
        raise UnsupportedSlide(f"{name}: its pixels are {refusal}, which planish does not read; save it as RGB or grey")
    samples = int(page.samplesperpixel)
    if _is_inverted(page):
        return Conversion(samples, np.invert, "white was stored as zero, so grey levels were inverted")
    alpha = tuple(int(extra) for extra in page.extrasamples)
    if _is_unsigned(page) and samples in (2, 4) and alpha in ((_ASSOCIATED_ALPHA,), (_UNASSOCIATED_ALPHA,)):
        lay = partial(_over_white, premultiplied=alpha[0] == _ASSOCIATED_ALPHA)
        return Conversion(samples - 1, lay, "its alpha channel was laid over white")
    return None


def _refusal(page: tifffile.TiffPage) -> str | None:
    photometric = int(page.photometric)
    if photometric not in _READ:
        return _NAMES.get(photometric, f"of photometric interpretation {photometric}")
    if photometric == _YCBCR and int(page.compression) in _PLAIN_CODECS:
        return "YCbCr without JPEG"
    return "signed with white as zero" if _is_inverted(page) and not _is_unsigned(page) else None


def _is_inverted(page: tifffile.TiffPage) -> bool:
    # tifffile reports white as zero where the tag is missing, too.
    return int(page.photometric) == _MINISWHITE and _PHOTOMETRIC_TAG in page.tags


def _is_unsigned(page: tifffile.TiffPage) -> bool:
    return page.dtype is not None and page.dtype.kind == "u" and page.dtype.itemsize <= 4


def _over_white(pixels: Pixels, *, premultiplied: bool) -> Pixels:
    """Lay pixels whose last sample is opacity over white."""
    colours, alpha = pixels[..., :-1], pixels[..., -1:]
    white = int(np.iinfo(pixels.dtype).max)
    if int(alpha.min()) == white:
        return np.ascontiguousarray(colours)
    # 64 bits hold the product of two samples of 32.
    wide, opacity = colours.astype(np.uint64), alpha.astype(np.uint64)
    if premultiplied:
        mixed = np.minimum(wide + (white - opacity), white)
    else:
        mixed = (wide * opacity + white * (white - opacity) + white // 2) // white
    return np.asarray(mixed, pixels.dtype)
