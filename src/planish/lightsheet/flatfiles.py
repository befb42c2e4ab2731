"""Small flat results as TIFFs: projections, and where a mask has its middle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tifffile
from numpy.typing import NDArray

from planish._version import __version__
from planish.files import replacing
from planish.lightsheet.layout import Layout
from planish.lightsheet.mask import Foreground
from planish.lightsheet.maxima import Maxima
from planish.lightsheet.names import Fused, Look

MEAN_Z, MEAN_X = "meanZ", "meanX"
"""Of a mask: mean z, (Y, X), and mean x, (Y, Z); NaN where it is empty."""


def write_flat(path: Path, pixels: NDArray[Any]) -> None:
    """Write (rows, columns) pixels without loss, whole or not at all; what is there is replaced."""
    with replacing(path, overwrite=True) as temporary:
        tifffile.imwrite(
            temporary,
            pixels,
            compression="zlib",
            photometric="minisblack",
            software=f"planish {__version__}",
            metadata=None,
        )


def write_maxima(layout: Layout, key: Look | Fused, found: Maxima) -> None:
    """Write the projections of a volume."""
    for kind in ("xy", "xz", "yz"):
        write_flat(layout.projection(key, kind), getattr(found, kind))


def write_middles(layout: Layout, key: Look, found: Foreground) -> None:
    """Write where a mask has its middle along z and along x."""
    write_flat(layout.plane(key, MEAN_Z), found.z_yx)
    write_flat(layout.plane(key, MEAN_X), found.x_yz)
