"""planish: one sharp slide out of a z-stacked one.

>>> import planish  # doctest: +SKIP
>>> with planish.open_slide("scan.ndpi") as slide:
...     focus = planish.survey(slide)
...     flat = planish.flatten(slide, focus)
...     planish.write(flat, "flat.tif")
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from planish._version import __version__

if TYPE_CHECKING:
    from planish.errors import PlanishError
    from planish.focus.options import SurveyOptions
    from planish.focus.survey import survey
    from planish.fuse.flat import flatten
    from planish.fuse.options import FuseOptions
    from planish.fuse.stack import fuse_stack
    from planish.planemap import PlaneMap
    from planish.slide.base import Slide
    from planish.slide.open import open_slide
    from planish.write.options import WriteOptions
    from planish.write.output import write

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

_HOMES = {
    "FuseOptions": "planish.fuse.options",
    "PlaneMap": "planish.planemap",
    "PlanishError": "planish.errors",
    "Slide": "planish.slide.base",
    "SurveyOptions": "planish.focus.options",
    "WriteOptions": "planish.write.options",
    "flatten": "planish.fuse.flat",
    "fuse_stack": "planish.fuse.stack",
    "open_slide": "planish.slide.open",
    "survey": "planish.focus.survey",
    "write": "planish.write.output",
}


class _Planish(ModuleType):
    """Imports names when they are asked for: the command must be able to catch Ctrl-C before NumPy is loaded."""

    def __getattr__(self, name: str) -> Any:
        if name not in _HOMES:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        found = getattr(import_module(_HOMES[name]), name)
        self.__dict__[name] = found
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        # Importing the package of this name would put it in the place of the function.
        if name != "write" or value is not sys.modules.get("planish.write"):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *__all__})


sys.modules[__name__].__class__ = _Planish
