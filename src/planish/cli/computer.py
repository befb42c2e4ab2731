"""What ``--backend auto`` stands for on this machine, settled before any work."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from planish.fuse.options import FuseOptions


def settled(options: FuseOptions) -> tuple[FuseOptions, list[str]]:
    """Return the options with a backend by name in place of ``auto``, and notes where that is not the one hoped for."""
    if options.backend != "auto" or options.method == "select":
        return options, []
    from planish.fuse.backend import choose_backend

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", RuntimeWarning)
        name = choose_backend("auto").name
    return replace(options, backend=name), [str(each.message).removeprefix("backend='auto': ") for each in said]
