"""Small objects of a mask, found slab by slab and removed; MATLAB's `bwareaopen` without its memory."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse

from planish.threads import in_threads

_TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels that share a face, an edge or a corner are one object."""


@dataclass(frozen=True, slots=True)
class _Slab:
    """The objects of a slab: voxels of each, and their numbers (from 1) in the first and the last plane."""

    sizes: NDArray[np.int64]
    first: NDArray[np.int32]
    last: NDArray[np.int32]


def remove_small(mask: NDArray[np.bool_], smallest: int, slab: int, jobs: int) -> None:
    """Remove from a mask, in place, every object of fewer than `smallest` voxels.

    The result does not depend on the slab. Memory is 5 bytes per voxel of a slab and thread, and 8 bytes per pixel of a
    plane and slab.

    Parameters
    ----------
    mask : ndarray of bool, (Z, Y, X)
        Voxels touch by faces, edges and corners.
    smallest : int
        Voxels of the smallest object that stays.
    slab : int
        Planes that are looked at together.
    jobs : int
        Threads.
    """
    parts = [mask[start : start + slab] for start in range(0, len(mask), slab)]
    if smallest <= 1 or not parts:
        return
    with in_threads(_measure, ((part,) for part in parts), jobs, ordered=True) as found:
        slabs = list(found)
    kept = _kept(slabs, smallest)
    with in_threads(_clear, zip(parts, kept, strict=True), jobs) as cleared:
        for _ in cleared:
            pass


def _measure(part: NDArray[np.bool_]) -> _Slab:
    labels, count = ndimage.label(part, _TOUCHING)
    sizes = np.zeros(count + 1, np.int64)
    for plane in labels:  # at once, NumPy would make a copy of twice the size
        sizes += np.bincount(plane.ravel(), minlength=count + 1)
    return _Slab(sizes[1:], labels[0].copy(), labels[-1].copy())


def _clear(part: NDArray[np.bool_], kept: NDArray[np.bool_]) -> None:
    if not kept.all():
        labels, _ = ndimage.label(part, _TOUCHING)
        part &= np.concatenate([[False], kept])[labels]


def _kept(slabs: list[_Slab], smallest: int) -> list[NDArray[np.bool_]]:
    """Return of each slab which objects stay: an object may go on in the next slabs, and there even split and join."""
    ends = np.cumsum([len(slab.sizes) for slab in slabs])
    starts = [0, *ends[:-1].tolist()]
    sizes = np.concatenate([slab.sizes for slab in slabs])
    if not sizes.size:
        return [np.ones(0, bool) for _ in slabs]
    pairs = np.concatenate(
        [
            _touching(above.last, below.first) + np.array([offset - 1, next_offset - 1])
            for (above, offset), (below, next_offset) in pairwise(zip(slabs, starts, strict=True))
        ]
        or [np.empty((0, 2), np.int64)]
    )
    graph = sparse.coo_array((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), (sizes.size,) * 2)
    _, objects = sparse.csgraph.connected_components(graph, directed=False)
    whole: NDArray[Any] = np.bincount(objects, weights=sizes)
    return np.split(whole[objects] >= smallest, ends[:-1])


def _touching(above: NDArray[np.int32], below: NDArray[np.int32]) -> NDArray[np.int64]:
    """Return the pairs of objects, (n, 2), of two neighbouring planes that share a face, an edge or a corner."""
    height, width = above.shape
    found = []
    for dy, dx in product((-1, 0, 1), repeat=2):
        upper = above[max(0, dy) : height + min(0, dy), max(0, dx) : width + min(0, dx)]
        lower = below[max(0, -dy) : height + min(0, -dy), max(0, -dx) : width + min(0, -dx)]
        both = (upper > 0) & (lower > 0)
        pairs = upper[both].astype(np.int64) << 32 | lower[both]
        # Neighbours mostly are of one pair; without its repetitions there is next to nothing to sort.
        found.append(np.unique(pairs[np.diff(pairs, prepend=-1) != 0]))
    all_pairs = np.unique(np.concatenate(found))
    return np.stack([all_pairs >> 32, all_pairs & 0xFFFFFFFF], axis=1)
