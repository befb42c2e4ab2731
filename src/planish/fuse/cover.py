"""`make_recipe`: from what cells would lose to what is done with each, so that as many as can be are copied."""

from __future__ import annotations

import heapq
from dataclasses import asdict
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from planish.fuse.assess import Assessment
from planish.fuse.hybrid import Feather, Hybrid
from planish.planemap import PlaneMap
from planish.recipe import FULL_RAMP, HALF_RAMP, NEIGHBOURS, NO_RAMP, Action, Recipe

ALWAYS = 2.0
"""Times τ from which a cell is fused, however much has been gained by others."""
Cell: TypeAlias = tuple[int, int]


def hybrid_recipe(plane_count: int, found: Assessment, options: Hybrid, noise: tuple[float, ...]) -> Recipe:
    """Fuse the cells that lose most, until it is enough; of every two others whose border shows, blend one.

    Parameters
    ----------
    plane_count : int
        Planes of the slide.
    found : Assessment
        What single planes would cost.
    options : Hybrid
        Its limits.
    noise : tuple of float
        See `Recipe.noise`.
    """
    limit = max(options.tau, min(_loss_of_enough(found.loss, options.enough), ALWAYS * options.tau))
    action = np.where(found.loss > limit, Action.FUSE, Action.COPY).astype(np.uint8)
    fused = action == Action.FUSE
    edges = [edge for edge in _visible(found.plane, found.shows, options.edge) if not any(fused[cell] for cell in edge)]
    for cell in vertex_cover(edges):
        action[cell] = Action.RAMP
    last = plane_count - 1
    # A plane more to either side: what lies between two planes is part of both.
    lowest = np.where(fused, np.maximum(found.lowest - 1, 0), found.plane).astype(np.int16)
    highest = np.where(fused, np.minimum(found.highest + 1, last), found.plane).astype(np.int16)
    return Recipe(
        method="hybrid",
        parameters=asdict(options),
        action=action,
        ramp=_ramps(action, edges),
        lowest=_met(np.minimum, lowest, fused),
        highest=_met(np.maximum, highest, fused),
        overlap=np.where(fused, found.overlap, 0).astype(np.uint8),
        noise=noise,
    )


def _loss_of_enough(loss: NDArray[np.float32], share: float) -> float:
    """Return the loss above which cells make up a share of all squared losses; those of equal loss go together."""
    falling = np.sort(loss, axis=None)[::-1].astype(np.float64)
    reached = np.cumsum(falling**2)
    count = int(np.searchsorted(reached, share * reached[-1])) + 1
    return float(falling[count]) if count < falling.size else -1.0


def _met(extreme: np.ufunc, planes: NDArray[np.int16], fused: NDArray[np.bool_]) -> NDArray[np.int16]:
    """Return the planes that fused cells and their fused neighbours reach to: of unlike ranges a border would show."""
    reached = planes.copy()
    for axis in (0, 1):
        here, there = (_but(planes, index, axis) for index in (-1, 0))
        both = _but(fused, -1, axis) & _but(fused, 0, axis)
        for view, other in ((_but(reached, -1, axis), there), (_but(reached, 0, axis), here)):
            view[both] = extreme(view, other)[both]
    return reached


def _but(values: NDArray[Any], index: int, axis: int) -> NDArray[Any]:
    """Return a view of all but the first or the last along an axis."""
    kept = slice(None, -1) if index else slice(1, None)
    return values[kept] if axis == 0 else values[:, kept]


def feather_recipe(focus: PlaneMap, options: Feather) -> Recipe:
    """Let all cells whose neighbour has another plane pass into it, halfway."""
    plane = focus.plane
    edges = _visible(plane, np.ones((4, *plane.shape), np.float32), 0)
    action = np.zeros(plane.shape, np.uint8)
    for edge in edges:
        for cell in edge:
            action[cell] = Action.RAMP
    nowhere = np.zeros(plane.shape, np.uint8)
    return Recipe("feather", asdict(options), action, _ramps(action, edges), plane, plane, nowhere, ())


def _visible(plane: NDArray[np.int16], shows: NDArray[np.float32], limit: float) -> list[tuple[Cell, Cell]]:
    """Return the pairs of neighbours of different planes whose border shows on either side."""
    edges: list[tuple[Cell, Cell]] = []
    for axis, (here, there) in ((1, (1, 0)), (0, (3, 2))):
        first, second = (np.delete(plane, index, axis) for index in (-1, 0))
        shown = np.maximum(np.delete(shows[here], -1, axis), np.delete(shows[there], 0, axis))
        for row, column in np.argwhere((first != second) & (shown > limit)).tolist():
            edges.append(((row, column), (row + (axis == 0), column + (axis == 1))))
    return edges


def vertex_cover(edges: list[tuple[Cell, Cell]]) -> set[Cell]:
    """Return cells that touch every edge: again and again the one with most edges left, of equal ones the first."""
    left: dict[Cell, set[Cell]] = {}
    for first, second in edges:
        left.setdefault(first, set()).add(second)
        left.setdefault(second, set()).add(first)
    heap = [(-len(others), cell) for cell, others in left.items()]
    heapq.heapify(heap)
    cover: set[Cell] = set()
    while heap:
        count, cell = heapq.heappop(heap)
        if not left[cell]:
            continue
        if -count > len(left[cell]):
            heapq.heappush(heap, (-len(left[cell]), cell))  # some of its edges are covered by now
            continue
        cover.add(cell)
        for other in left[cell]:
            left[other].discard(cell)
        left[cell] = set()
    return cover


def _ramps(action: NDArray[np.uint8], edges: list[tuple[Cell, Cell]]) -> NDArray[np.uint8]:
    """Return the codes of `Recipe.ramp`."""
    ramps = np.zeros((4, *action.shape), np.uint8)
    shown = {frozenset(edge) for edge in edges}
    for row, column in np.argwhere(action != Action.COPY).tolist():
        for side, (down, across) in enumerate(NEIGHBOURS):
            other = row + down, column + across
            if 0 <= other[0] < action.shape[0] and 0 <= other[1] < action.shape[1]:
                visible = frozenset(((row, column), other)) in shown
                ramps[side, row, column] = _ramp(int(action[row, column]), int(action[other]), visible=visible)
    return np.asarray((ramps * (3 ** np.arange(4, dtype=np.uint8))[:, None, None]).sum(axis=0), np.uint8)


def _ramp(own: int, other: int, *, visible: bool) -> int:
    """Return how a cell that is not copied meets a neighbour."""
    if own == Action.FUSE:
        return NO_RAMP if other == Action.FUSE else FULL_RAMP
    if not visible or other == Action.FUSE:
        return NO_RAMP
    return HALF_RAMP if other == Action.RAMP else FULL_RAMP
