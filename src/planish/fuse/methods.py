"""The fusion methods by name."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from planish.errors import OptionError
from planish.fuse.clij2 import Clij2
from planish.fuse.laplacian import Laplacian
from planish.fuse.method import Method
from planish.fuse.selective import Selective
from planish.fuse.soft import Pick, Soft

PIXEL_METHODS: dict[str, type[Method]] = {kind.name: kind for kind in (Soft, Pick, Clij2, Selective, Laplacian)}
"""Methods that fuse pixels, the recommended one first."""


def make_method(method: str | Method, **parameters: Any) -> Method:
    """Return a method with its parameters.

    Raises
    ------
    OptionError
        Where the name or a parameter is unknown, or a parameter is out of range.
    """
    if isinstance(method, Method):
        if parameters:
            raise OptionError(f"{', '.join(parameters)}: give parameters either here or in the {method.name} options")
        return method
    if not isinstance(method, str) or method not in PIXEL_METHODS:
        raise OptionError(f"method={method!r}: choose one of {', '.join(PIXEL_METHODS)}")
    kind = PIXEL_METHODS[method]
    known = [option.name for option in fields(kind)]
    for name in parameters:
        if name not in known:
            raise OptionError(f"{name}: {method} has no such parameter; it takes {', '.join(known)}")
    return kind(**parameters)
