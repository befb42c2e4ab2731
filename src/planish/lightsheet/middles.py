"""Where the specimen's middle is in a corrected volume: as the correction saved it, else measured."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.errors import SlideError
from planish.lightsheet.flatfiles import MEAN_X, MEAN_Z
from planish.lightsheet.mask import MaskOptions, foreground
from planish.lightsheet.transform import CameraTransform, move_image
from planish.lightsheet.volume import open_volume, stem_of

Map = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Middles:
    """Mean z and mean x of a mask.

    Attributes
    ----------
    z_yx : ndarray of float32, (Y, X)
        In planes; NaN where the mask is empty.
    x_yz : ndarray of float32, (Y, Z)
        In pixels.
    """

    z_yx: Map
    x_yz: Map

    def moved(self, transform: CameraTransform) -> Middles:
        """Return what a view moved by a transform has; of mean x, which a turn mixes, only the shift."""
        size = self.z_yx.shape
        matrix = transform.rigid.matrix((size[0], size[1]))
        known = move_image(np.isfinite(self.z_yx), matrix)
        moved = move_image(np.nan_to_num(self.z_yx), matrix, nearest=True)
        return Middles(np.where(known, moved, np.float32(np.nan)), self.x_yz)


def middles_of(path: Path, pixels: Any, options: MaskOptions) -> Middles:
    """Return the middles of a volume.

    Parameters
    ----------
    path : Path
        The volume's file; the maps lie beside it.
    pixels : array-like, (Z, Y, X)
        The volume itself, masked where there are no maps.
    options : MaskOptions
        How.

    Raises
    ------
    SlideError
        Where the maps are of another size than the volume.
    """
    maps = [path.with_name(f"{stem_of(path)}.{name}.tif") for name in (MEAN_Z, MEAN_X)]
    if not all(map_path.exists() for map_path in maps):
        found = foreground(pixels, options)
        return Middles(found.z_yx, found.x_yz)
    depth, height, width = pixels.shape
    z_yx, x_yz = (_read(map_path) for map_path in maps)
    if z_yx.shape != (height, width) or x_yz.shape != (height, depth):
        raise SlideError(f"{maps[0]}: {z_yx.shape} does not fit the volume beside it, {pixels.shape}; correct it anew")
    return Middles(z_yx, x_yz)


def _read(path: Path) -> Map:
    with open_volume(path) as volume:
        return np.asarray(volume[0], np.float32)
