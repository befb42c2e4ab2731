"""planish: one sharp slide out of a z-stacked one.

>>> import planish  # doctest: +SKIP
>>> with planish.open_slide("scan.ndpi") as slide:
...     focus = planish.survey(slide)
...     flat = planish.flatten(slide, focus)
...     planish.write(flat, "flat.tif")
"""

from planish._version import __version__
from planish.errors import PlanishError
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.fuse.stack import fuse_stack
from planish.planemap import PlaneMap
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.write.tiff import WriteOptions, write

__all__ = [
    "FuseOptions",
    "PlaneMap",
    "PlanishError",
    "Slide",
    "SurveyOptions",
    "WriteOptions",
    "__version__",
    "flatten",
    "fuse_stack",
    "open_slide",
    "survey",
    "write",
]
