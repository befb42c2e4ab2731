"""`StackOptions`: how a stack of images becomes one image."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from planish.errors import OptionError
from planish.fuse.method import Method
from planish.fuse.methods import PIXEL_METHODS
from planish.fuse.options import METHODS, FuseOptions
from planish.fuse.tiles import Tiling
from planish.write.options import WriteOptions

_NEED_MAP = tuple(method for method in METHODS if method not in PIXEL_METHODS)


@dataclass(frozen=True, slots=True)
class StackOptions:
    """How a stack of images becomes one image.

    Attributes
    ----------
    planes : tuple of (int or None), length 2
        First plane and the one after the last; None for open ends. Depth maps count from the first one.
    fuse : FuseOptions
        A method that fuses pixels.
    tile_size : int or None
        Of what is fused at once, px; None chooses. The result does not depend on it.
    map_path : Path or None
        A depth map made before, to take pixels by instead of fusing.
    depth_path : Path or None
        Where to write the depth map: the plane of each pixel, uint16, or of `soft` the mean plane, float32.
    write : WriteOptions
        Of the image; overwriting goes for all outputs, threads for all stages.
    source_name : bool
        Whether the record may name the source; names can hold a patient's.
    """

    planes: tuple[int | None, int | None] = (None, None)
    fuse: FuseOptions = field(default_factory=lambda: FuseOptions("soft"))
    tile_size: int | None = None
    map_path: Path | None = None
    depth_path: Path | None = None
    write: WriteOptions = field(default_factory=WriteOptions)
    source_name: bool = False

    def __post_init__(self) -> None:
        if self.fuse.method in _NEED_MAP or self.fuse.parameters.get("prior") == "map":
            raise OptionError(
                f"fuse: images have no plane map, which {', '.join(_NEED_MAP)} and prior='map' need; flatten a slide"
            )
        if self.depth_path and self.map_path:
            raise OptionError("depth_path, map_path: a depth map is either written or applied, not both")
        if self.depth_path and not PIXEL_METHODS[self.fuse.method].has_depth:
            able = ", ".join(name for name, kind in PIXEL_METHODS.items() if kind.has_depth)
            raise OptionError(f"depth_path: {self.fuse.method} gives no depth map; those that do are {able}")
        Tiling(self.tile_size)

    @property
    def method(self) -> Method:
        """What to fuse with; `soft` gives its depth where that is to be written."""
        depth = {"depth": True} if self.depth_path and self.fuse.method == "soft" else {}
        method = replace(self.fuse, parameters={**self.fuse.parameters, **depth}).pixel_method(None)
        assert method is not None
        return method
