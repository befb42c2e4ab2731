"""Focus profiles: the scores of a cell over its planes, NaN where a plane was not scored.

All functions take profiles along the last axis, (..., planes), and never fail on a profile that is unknown throughout.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float32]

TINY = 1e-6
"""Smaller quotients are rounding."""


def best_plane(scores: Scores) -> NDArray[np.intp]:
    """Return the plane of the largest known score, the lowest of equal ones, 0 where none is known; shape (...)."""
    return np.asarray(np.argmax(_known_or_lowest(scores), axis=-1))


def score_at(scores: Scores, plane: NDArray[np.integer]) -> Scores:
    """Return every profile's score at a plane of its own; NaN where it is unknown or the plane does not exist."""
    inside = np.clip(plane, 0, scores.shape[-1] - 1)
    values = np.take_along_axis(scores, inside[..., None], axis=-1)[..., 0]
    return np.asarray(np.where(inside == plane, values, np.nan), np.float32)


def margin(scores: Scores) -> Scores:
    """Return (best − second best) / best, 0 to 1, shape (...); NaN where fewer than two scores are known."""
    if scores.shape[-1] < 2:
        return np.full(scores.shape[:-1], np.nan, np.float32)
    top = np.partition(_known_or_lowest(scores), -2, axis=-1)
    best, second = top[..., -1], top[..., -2]
    told = np.isfinite(second)
    gap = np.subtract(best, second, where=told, out=np.full(best.shape, np.nan, np.float32))
    # Scores may be negative (Vollath) or all zero (an even tile).
    scale = np.maximum(np.maximum(np.abs(best), gap), np.finfo(np.float32).tiny)
    return np.asarray(np.divide(gap, scale, where=told, out=gap), np.float32)


def flanks(scores: Scores, near: float = 0.0) -> NDArray[np.bool_]:
    """Return, (..., planes), the planes beside the best known one: they have to be scored to call it a maximum.

    Parameters
    ----------
    scores : ndarray of float32
        Profiles.
    near : float
        Planes that fall short of the best by no more than this share of the profile's known range count as best too,
        which finds the second of two maxima.
    """
    known = _known_or_lowest(scores)
    top = known.max(axis=-1, keepdims=True)
    if near:
        bottom = np.where(np.isnan(scores), np.float32(np.inf), scores).min(axis=-1, keepdims=True)
        high = np.isfinite(known) & (known >= top - near * np.where(np.isfinite(bottom), top - bottom, 0))
    else:
        high = np.arange(scores.shape[-1]) == np.argmax(known, axis=-1)[..., None]
    beside = np.zeros(scores.shape, bool)
    beside[..., 1:] |= high[..., :-1]
    beside[..., :-1] |= high[..., 1:]
    return np.asarray(beside & np.isfinite(top))


def curvature(scores: Scores) -> Scores:
    """Return (2s₀ − s₋ − s₊) / |s₀|, how sharply the profile peaks at its best known plane; NaN without both sides."""
    best = best_plane(scores)
    top, below, above = (score_at(scores, best + step) for step in (0, -1, 1))
    bend = 2 * top - below - above
    # A peak of height 0 (Vollath's measure has such) has no scale.
    told = np.abs(top) > TINY * np.abs(bend)
    return np.asarray(np.divide(bend, np.abs(top), where=told, out=np.full(top.shape, np.nan, np.float32)))


def peak_offset(scores: Scores, common_curvature: float) -> Scores:
    """Return how far above its best known plane a profile peaks, −1 to 1 planes.

    The vertex of the parabola through the best plane and both sides: at ±½ two planes are equally sharp. Where one side
    is unknown, the parabola has `common_curvature`, and an offset beyond ½ towards that side says that it is sharper.
    """
    best = best_plane(scores)
    top, below, above = (score_at(scores, best + step) for step in (0, -1, 1))
    bend = np.where(np.isnan(below + above), common_curvature * np.abs(top), 2 * top - below - above)
    rise = np.where(
        np.isnan(above), top - below - bend / 2, np.where(np.isnan(below), above - top + bend / 2, (above - below) / 2)
    )
    # A flat profile has no peak, a lone plane tells nothing of it.
    told = bend > TINY * np.abs(rise)
    offset = np.divide(rise, bend, where=told, out=np.zeros(top.shape, np.float32))
    return np.clip(offset, -1, 1)


def _known_or_lowest(scores: Scores) -> Scores:
    return np.where(np.isnan(scores), np.float32(-np.inf), scores)
