"""What a person should know of a flat slide before it is trusted, in dry sentences; most slides have none."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from planish.focus.audit import TOLERATED
from planish.model import Missing
from planish.planemap import Audit, PlaneMap, SurveyRecord
from planish.report.blur import Blur
from planish.slide.base import Slide

BLURRED = 0.6
"""Median of `Blur` from which on a slide is blurred everywhere.

Sharp are: phantoms of every kind with noise of 1 to 6 grey levels at JPEG qualities of 70 to 95, up to 0.42; CMU-1
(SVS) 0.28; a sharp fluorescence slide with soft optics (hamamatsu-dapi) 0.47; the stack of a circuit board 0.38, its
single planes 0.49 to 0.62. The same blurred by a Gaussian of 4 px: 0.53 to 0.70, of 6 px: 0.59 to 0.80. Phantoms 8 µm
out of focus: 0.74 to 0.82.
"""
MOST = 0.5
"""Share of the specimen cells from which on the focus may lie beyond the plane they share."""
FEWEST_PLANES = 3
"""With fewer planes, each of them is an outermost one."""

_REFUSED = "byte counts not used: "
_BY_NATURE = (
    "the reader knows no byte counts",
    "the file has strips instead of tiles",
    "the region does not start on the grid of the slide's tiles",
)
"""Where no byte counts were to be expected."""


def find_warnings(slide: Slide, focus: PlaneMap, blur: Blur | None) -> list[str]:
    """Return what is doubtful, one sentence each.

    Parameters
    ----------
    slide : Slide
        The z-stack, as much of it as was flattened.
    focus : PlaneMap
        The map that the flat slide was made by, with its recipe.
    blur : Blur or None
        Of the flat slide.
    """
    return [*_of_reading(slide, focus.record), *_of_focus(focus), *_of_blur(blur)]


def _of_reading(slide: Slide, record: SurveyRecord | None) -> Iterator[str]:
    for note in slide.metadata.notes:
        if isinstance(note, Missing):
            yield f"not all that the file may hold was read: {note}"
    if len(slide.planes) == 1:
        yield "one plane only: there was nothing to choose"
    elif record and record.scorer_why.startswith(_REFUSED) and _is_lossy(slide):
        why = record.scorer_why.removeprefix(_REFUSED)
        if why not in _BY_NATURE:
            yield f"byte counts were refused, so that tiles had to be decoded to choose planes: {why}"


def _is_lossy(slide: Slide) -> bool:
    """Whether any plane is compressed in a way whose bytes tell of sharpness."""
    encodings = (slide.encoding(0, plane.index) for plane in slide.planes)
    return any(encoding is not None and encoding.lossy for encoding in encodings)


def _of_focus(focus: PlaneMap) -> Iterator[str]:
    specimen = focus.specimen
    cells = int(specimen.sum())
    if not cells:
        yield f"no specimen found: all {specimen.size} cells are glass"
        return
    if focus.record and focus.record.audit:
        yield from _of_audit(focus.record.audit)
    if overlapping := int(focus.recipe.overlap.sum()) if focus.recipe else 0:
        yield (
            f"in {_share(overlapping, cells)} planes that lie apart are sharp at once: what lies over each other was "
            "fused there"
        )
    if len(focus.z_um) >= FEWEST_PLANES:
        for name, plane in (("lowest", 0), ("highest", len(focus.z_um) - 1)):
            count = int(np.count_nonzero(focus.plane[specimen] == plane))
            if count > MOST * cells:
                yield f"in {_share(count, cells)} the {name} plane is the sharpest: the focus may lie beyond the stack"


def _of_audit(audit: Audit) -> Iterator[str]:
    if audit.low > TOLERATED:
        yield (
            f"the audit found {audit.wrong} of {audit.checked} cells in a wrong plane ({audit.confidence:.0%} interval "
            f"{audit.low:.1%} to {audit.high:.1%}, above the {TOLERATED:.0%} tolerated)"
        )


def _of_blur(blur: Blur | None) -> Iterator[str]:
    if blur and blur.median >= BLURRED:
        yield (
            f"blurred everywhere: {blur.median:.2f} of 1 in the median of {blur.cells} cells, sharp slides have less "
            f"than {BLURRED:g}"
        )


def _share(count: int, cells: int) -> str:
    return f"{count} of {cells} specimen cells ({count / cells:.0%})"
