"""`decide`: what to do in each cell, once for the whole slide, and kept with the plane map."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.assess import assess
from planish.fuse.backend import Backend, choose_backend
from planish.fuse.cells import soft_at
from planish.fuse.cover import feather_recipe, hybrid_recipe
from planish.fuse.hybrid import Feather, Hybrid
from planish.fuse.options import FuseOptions
from planish.fuse.plan import COMPOSED_DOWNSAMPLE
from planish.fuse.planes import SlidePlanes
from planish.planemap import How, PlaneMap
from planish.recipe import Action
from planish.slide.base import Slide
from planish.threads import Progress


def decide(
    slide: Slide,
    focus: PlaneMap,
    options: FuseOptions,
    jobs: int = 1,
    progress: Progress | None = None,
    *,
    correct: bool = False,
) -> PlaneMap:
    """Return the map with its recipe for a method that copies cells, fuses or blends them.

    Parameters
    ----------
    slide : Slide
        The z-stack.
    focus : PlaneMap
        Which plane is sharp where. A recipe that it has for the same method and parameters is kept, unless planes were
        edited since: what was decided once is done again.
    options : FuseOptions
        Method and parameters. Those that decide nothing by cells take any recipe away.
    jobs : int
        Threads.
    progress : callable
        Called with (stage, done, total).
    correct : bool
        Whether `hybrid`, which looks inside cells anyway, may give them a plane that is sharper than the map's. Maps
        that a person may have edited are better left as they are.
    """
    focus.check_fits(slide)
    method = options.seam_method()
    if method is None or _why_not(slide):
        return replace(focus, recipe=None)
    known = focus.recipe
    wanted = options.method, asdict(method)
    if known and (known.method, dict(known.parameters)) == wanted and known.suits(focus.plane):
        return focus
    if isinstance(method, Feather):
        return replace(focus, recipe=feather_recipe(focus, method))
    found = assess(slide, focus, jobs, progress, correct=correct)
    noise = _noise(slide, method, choose_backend(options.backend)) if (found.loss > method.tau).any() else ()
    recipe = hybrid_recipe(len(slide.planes), found, method, noise)
    return replace(_corrected(focus, found.plane), recipe=recipe)


def _corrected(focus: PlaneMap, plane: NDArray[np.int16]) -> PlaneMap:
    """Return the map with other planes, their scores unknown: they were found on another scale."""
    changed = plane != focus.plane
    return replace(
        focus,
        plane=plane,
        how=np.where(changed, np.uint8(How.DENSE), focus.how),
        margin=np.where(changed, np.float32(np.nan), focus.margin),
        sharpness=np.where(changed, np.float32(np.nan), focus.sharpness),
    )


def _noise(slide: Slide, options: Hybrid, backend: Backend) -> tuple[float, ...]:
    """Return the noise of the measure on each level that is fused."""
    fused = [index for index, size in enumerate(slide.levels) if size.downsample_x <= COMPOSED_DOWNSAMPLE]
    return tuple(
        soft_at(options, slide.levels[index].downsample_x, None).noise(SlidePlanes(slide, index), backend)
        for index in fused
    )


def _why_not(slide: Slide) -> str | None:
    """Return why no cell of a slide is fused or blended, None where they can be."""
    if len(slide.planes) == 1:
        return "one plane only"
    if slide.dtype not in (np.uint8, np.uint16):
        return f"{slide.dtype} pixels are neither fused nor blended"
    return None


def composed_facts(slide: Slide, focus: PlaneMap, options: FuseOptions) -> dict[str, Any]:
    """Return what is done with the cells, for the record; nothing where that is no question."""
    if options.seam_method() is None:
        return {}
    if focus.recipe is None:
        return {"cells_copied": focus.plane.size, "why_no_more": _why_not(slide)}
    recipe = focus.recipe
    return {
        "cells_copied": recipe.count(Action.COPY),
        "cells_fused": recipe.count(Action.FUSE),
        "cells_ramped": recipe.count(Action.RAMP),
        "cells_with_two_planes_sharp": np.argwhere(recipe.overlap).tolist(),
    }
