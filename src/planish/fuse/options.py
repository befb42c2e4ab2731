"""`FuseOptions`: how the flat slide is composed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from planish.errors import OptionError
from planish.fuse.hybrid import SEAM_METHODS, Feather, Hybrid
from planish.fuse.method import Method
from planish.fuse.methods import PIXEL_METHODS, make_method
from planish.fuse.prior import Prior

METHODS = ("hybrid", "select", "feather", *PIXEL_METHODS)


@dataclass(frozen=True, slots=True)
class FuseOptions:
    """How the flat slide is composed.

    Attributes
    ----------
    method : str
        ``"hybrid"``: each cell from one plane as long as that plane is sharp all over it, pixels fused where it is
        not, borders blended where they would show. ``"select"``: each cell from one plane, seams as they fall.
        ``"feather"``: the same, all seams blended. ``"soft"``, ``"pick"``, ``"clij2"``, ``"selective"``,
        ``"laplacian"``: every pixel fused, see `planish.fuse_stack`.
    parameters : mapping of str
        Of the method, by name: see `planish.fuse.hybrid`, and `planish.fuse.methods` for those that fuse every pixel;
        ``{"prior": "map"}`` lets `soft` expect the planes of the plane map.
    backend : str
        ``"auto"``, ``"numpy"`` or ``"cupy"``, for what is fused.
    """

    method: str = "hybrid"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    backend: str = "auto"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise OptionError(f"unknown fusion method {self.method!r}; available: {', '.join(METHODS)}")
        if self.method == "select" and self.parameters:
            raise OptionError(f"{', '.join(self.parameters)}: select takes no parameters")
        self.seam_method()
        self.pixel_method(None)

    def seam_method(self) -> Hybrid | Feather | None:
        """Return the options of `hybrid` and `feather`, None for other methods."""
        if self.method not in SEAM_METHODS:
            return None
        kind = SEAM_METHODS[self.method]
        known = [option.name for option in fields(kind)]
        for name in self.parameters:
            if name not in known:
                raise OptionError(f"{name}: {self.method} has no such parameter; it takes {', '.join(known)}")
        return kind(**self.parameters)

    def pixel_method(self, prior: Prior | None) -> Method | None:
        """Return the method that fuses every pixel, None for others; `prior` is what ``"map"`` stands for."""
        if self.method not in PIXEL_METHODS:
            return None
        given = self.parameters.get("prior")
        if not (given is None or isinstance(given, Prior) or (isinstance(given, str) and given == "map")):
            raise OptionError(f"prior={given!r}: can be 'map', the plane map")
        replaced = {"prior": prior} if isinstance(given, str) else {}
        return make_method(self.method, **{**self.parameters, **replaced})
