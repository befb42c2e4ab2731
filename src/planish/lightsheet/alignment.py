"""Two stacks of images laid on each other by a shift and a turn, far below a pixel.

Coarse to fine: normalised correlation of shrunken means over all shifts and a few angles, then the enhanced correlation
coefficient (ECC: Evangelidis and Psarakis 2008, 10.1109/TPAMI.2008.113) of the means at growing sizes, then ECC of each
pair of images; the answer is the median over the pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError, PlanishError
from planish.lightsheet.transform import Matrix, Rigid, move_image, rigid
from planish.threads import cores, in_threads

Image = NDArray[np.float32]

_COARSE = 128
"""The search over all shifts is on images whose shorter edge is between this and twice as much."""
_STEP_DEG = 1.0
_SMOOTH = 5
"""Width of ECC's own Gaussian. Of 1, 3, 5, 7, measured on phantoms: all within 0.005 px of each other."""
_BROAD = 8.0
"""Structures wider than this sigma, in pixels of the coarse image, say where a specimen is, and not which one."""
_LEAST = 3
"""Fewer pairs than this have no median to trust."""


class NothingInCommon(PlanishError):
    """Two views show nothing that could be laid on each other."""


@dataclass(frozen=True)
class Search:
    """How far to look.

    Attributes
    ----------
    shift_x, shift_y : float
        In pixels, to either side; held to 35 % of the edge, so that enough is left to compare.
    angle_deg : float
        In degrees, to either side.
    jobs : int or None
        Threads; None for one per core.
    """

    shift_x: float = 50.0
    shift_y: float = 50.0
    angle_deg: float = 3.0
    jobs: int | None = None


@dataclass(frozen=True)
class Alignment:
    """A shift and turn, and how alike the images are under it: normalised correlation without broad structures."""

    moved: Rigid
    score: float


def align(
    first: Sequence[Image], second: Sequence[Image], search: Search, masks: Sequence[NDArray[np.bool_]] | None = None
) -> Alignment:
    """Find where the second images show what the first ones show; the score is 0 where ECC finds nothing in the pairs.

    Parameters
    ----------
    first, second : sequence of ndarray
        (height, width) float32, all of one size, in pairs.
    search : Search
        How far to look.
    masks : sequence of ndarray, optional
        (height, width) bool, for each pair the pixels of the first image that count.
    """
    size = first[0].shape
    means = _mean(first), _mean(second)
    start = _pyramid(*means, _coarse(*means, search))

    def pair(index: int) -> Matrix | None:
        mask = None if masks is None else _as_second_sees(masks[index], start)
        return _ecc(first[index], second[index], start, mask)

    with in_threads(pair, ((index,) for index in range(len(first))), search.jobs or cores(), ordered=True) as results:
        found = [rigid(matrix, size) for matrix in results if matrix is not None]
    if len(found) < min(_LEAST, len(first)):
        return Alignment(Rigid(), 0.0)
    middle = np.median([(each.dx, each.dy, each.angle_deg) for each in found], axis=0)
    best = Rigid(*middle.tolist())
    return Alignment(best, similarity(*means, best))


def quiet(image: Any) -> Image:
    """Return the 3 × 3 median: hot pixels, which stay when the specimen moves, cost 0.1 px and more (without, 0.08)."""
    return np.asarray(cv2.medianBlur(np.ascontiguousarray(image, np.float32), 3), np.float32)


def check_shapes(what: str, first: Any, second: Any) -> None:
    """Raise OptionError where two volumes are not of one shape, (Z, Y, X); `what` says whose they are."""
    if len(first.shape) != 3 or tuple(first.shape) != tuple(second.shape):
        raise OptionError(
            f"the {what}' volumes are {tuple(first.shape)} and {tuple(second.shape)}; "
            "crop them to one (planes, height, width) first"
        )


def check_score(what: str, score: float, least: float) -> None:
    """Refuse views that are too little alike."""
    if not score >= least:
        raise NothingInCommon(
            f"the two {what} show nothing in common: their best fit correlates to {score:.2f}, below {least:g}; check "
            "that they show one specimen at one time, that the second one's rotation and flip are right, and that the "
            "search reaches far enough; or lower min_score"
        )


def _mean(images: Sequence[Image]) -> Image:
    return np.asarray(np.mean(images, axis=0, dtype=np.float32), np.float32)


def similarity(first: Image, second: Image, moved: Rigid) -> float:
    """Return the normalised correlation of two images where both see, without broad structures; 0 if one is flat."""
    factor, size = _factor(first), first.shape
    matrix = moved.matrix(size)
    seen = move_image(np.ones(size, np.float32), matrix) > 0.999
    if not seen.any():
        return 0.0
    pair = [_detail(_shrunk(_levelled(image, seen), factor)) for image in (first, move_image(second, matrix))]
    # Away from the border of what is seen, which is an edge to the filter.
    inner = cv2.erode(_shrunk(seen.astype(np.float32), factor), np.ones((5, 5), np.uint8), borderValue=0) > 0.999
    if np.count_nonzero(inner) < 16:
        return 0.0
    a, b = (image[inner] - image[inner].mean() for image in pair)
    power = float(np.sqrt(np.vdot(a, a) * np.vdot(b, b)))
    return float(np.vdot(a, b)) / power if power > 0 else 0.0


def _levelled(image: Image, seen: NDArray[np.bool_]) -> Image:
    """Take the mean off and fill what is not seen with it: a camera's offset would make an edge there."""
    return np.asarray(np.where(seen, image - image[seen].mean(), 0), np.float32)


def _factor(image: Image) -> int:
    factor = 1
    while min(image.shape) // (2 * factor) >= _COARSE:
        factor *= 2
    return factor


def _shrunk(image: Image, factor: int) -> Image:
    height, width = (edge // factor for edge in image.shape)
    whole = image[: height * factor, : width * factor]
    return np.asarray(cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA), np.float32)


def _detail(image: Image) -> Image:
    return np.asarray(image - cv2.GaussianBlur(image, (0, 0), _BROAD), np.float32)


def _coarse(first: Image, second: Image, search: Search) -> Matrix:
    """Try every shift of the middle of the first image in the second, turned by each of a few angles."""
    factor = _factor(first)
    fixed, moving = (_detail(_shrunk(image, factor)) for image in (first, second))
    height, width = size = fixed.shape
    down, across = (
        int(min(np.ceil(shift / factor) + 1, 0.35 * edge))
        for shift, edge in ((search.shift_y, height), (search.shift_x, width))
    )
    middle = fixed[down : height - down, across : width - across]
    steps = int(np.ceil(search.angle_deg / _STEP_DEG))
    best, highest = Rigid(), -np.inf
    for angle in _STEP_DEG * np.arange(-steps, steps + 1):
        turned = move_image(moving, Rigid(angle_deg=float(angle)).matrix(size))
        _, peak, _, (x, y) = cv2.minMaxLoc(cv2.matchTemplate(turned, middle, cv2.TM_CCOEFF_NORMED))
        if peak > highest:
            shifted = Rigid(float(x - across), float(y - down)).then(Rigid(angle_deg=float(angle)))
            best, highest = shifted, peak
    return _enlarged(best.matrix(size), factor)


def _pyramid(first: Image, second: Image, start: Matrix) -> Matrix:
    matrix, factor = start, _factor(first)
    while factor >= 1:
        small = _enlarged(matrix, 1 / factor)
        found = _ecc(_shrunk(first, factor), _shrunk(second, factor), small)
        matrix = matrix if found is None else _enlarged(found, factor)
        factor //= 2
    return matrix


def _enlarged(matrix: Matrix, factor: float) -> Matrix:
    """Return a matrix between shrunken images as one between whole ones, or back; pixels' middles are whole numbers."""
    shift = (factor - 1) / 2
    moved = factor * matrix[:, 2] + shift - matrix[:, :2] @ np.array([shift, shift])
    return np.column_stack([matrix[:, :2], moved])


def _ecc(first: Image, second: Image, start: Matrix, mask: NDArray[np.uint8] | None = None) -> Matrix | None:
    used = np.ones(second.shape, np.uint8) if mask is None else mask
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 50, 1e-5)
    try:
        _, found = cv2.findTransformECC(
            first, second, start.astype(np.float32), cv2.MOTION_EUCLIDEAN, criteria, used, _SMOOTH
        )
    except cv2.error:
        return None  # it says so where images do not converge, or one is flat
    return np.asarray(found, np.float64) if np.isfinite(found).all() else None


def _as_second_sees(mask: NDArray[np.bool_], matrix: Matrix) -> NDArray[np.uint8]:
    """ECC asks which pixels of the second image count."""
    flat = mask.astype(np.uint8)
    return np.asarray(cv2.warpAffine(flat, matrix, flat.shape[::-1], flags=cv2.INTER_NEAREST))
