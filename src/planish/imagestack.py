"""One stack of images, end to end: fused into one sharp image, or put together as a depth map says."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.convert import Selection, side_file
from planish.errors import OptionError, OutputExists, WriteError
from planish.files import check_output, replacing
from planish.fuse.image import ImageSlide
from planish.fuse.method import Method
from planish.fuse.options import FuseOptions
from planish.fuse.planes import SlidePlanes
from planish.fuse.stack import fuse_planes
from planish.fuse.take import TakenSlide
from planish.fuse.tiles import Tiling
from planish.outputs import check_not_source
from planish.report.description import describe
from planish.report.record import Run, RunRecord
from planish.slide.base import Slide
from planish.slide.given import open_stack
from planish.slide.open import open_slide
from planish.threads import Progress
from planish.write.depthmap import write_depth
from planish.write.tiff import WriteOptions, write_file

WITH_DEPTH = ("soft", "pick", "clij2")
"""Methods whose pixels have a depth."""


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
        if self.fuse.method == "select" or self.fuse.parameters.get("prior") == "map":
            raise OptionError("images have no plane map: select and prior=map are for planish flatten")
        if self.depth_path and self.map_path:
            raise OptionError("a depth map is either written (--depth-map) or applied (--map), not both")
        if self.depth_path and self.fuse.method not in WITH_DEPTH:
            raise OptionError(
                f"--depth-map: pixels by {self.fuse.method} have no single depth; those by {', '.join(WITH_DEPTH)} have"
            )
        Tiling(self.tile_size)

    @property
    def method(self) -> Method:
        """What to fuse with; `soft` gives its depth where that is to be written."""
        depth = {"depth": True} if self.depth_path and self.fuse.method == "soft" else {}
        method = replace(self.fuse, parameters={**self.fuse.parameters, **depth}).pixel_method(None)
        assert method is not None
        return method


@dataclass(frozen=True)
class FusedImage:
    """The files of one fused image, and their record."""

    path: Path
    depth_path: Path | None
    record_path: Path
    record: RunRecord


def fuse_images(
    images: Sequence[Path], output: Path, options: StackOptions | None = None, progress: Progress | None = None
) -> FusedImage:
    """Fuse a stack of images into one sharp pyramidal TIFF, with a record and, on request, a depth map.

    Parameters
    ----------
    images : sequence of Path
        One file or folder with all planes, or one image per plane, lowest first.
    output : Path
        The TIFF to write.
    options : StackOptions
        Of every stage.
    progress : callable
        Called with (stage, done, total); an exception it raises cancels, and nothing is left behind.

    The fused pixels and their depths lie in a temporary folder beside the output until they are written.

    Raises
    ------
    PlanishError
        Where anything fails; no output is left half-written.
    """
    options, run = options or StackOptions(), Run("fuse")
    paths = _outputs(images, output, options)
    with ExitStack() as stack:
        with run.stage("open"):
            slide = Selection(planes=options.planes).of(stack.enter_context(open_stack(images)))
        # Renamed together when all is well, the image last: where it is, the others are.
        image_file, record_file, *depth_file = (
            stack.enter_context(replacing(path, overwrite=options.write.overwrite)) for path in paths
        )
        with run.stage("map" if options.map_path else "fuse"):
            if options.map_path:
                made = _taken(slide, stack.enter_context(open_slide(options.map_path)))
            else:
                made = _fused(slide, options, stack.enter_context(_scratch(slide, output.parent)), progress)
        with run.stage("write"):
            # Whoever gives lossless images expects what the method computed, not a JPEG of it.
            source = made.image.encoding(0, 0)
            lossless = not (source and source.lossy) and options.write.quality is None
            written = write_file(made.image, image_file, replace(options.write, lossless=lossless), progress)
            sizes: dict[str, Any] = {"bytes": written.size, "levels": written.levels}
            if options.depth_path and made.depth is not None:
                sizes["depth_map_bytes"] = write_depth(made.depth, depth_file[0])
        arguments = asdict(options)
        if options.map_path:
            del arguments["fuse"]
        description = describe(slide, source_name=options.source_name)
        record = run.record(arguments=arguments, source=description, output=sizes | made.facts)
        record_file.write_text(record.to_json(), encoding="utf-8")
    return FusedImage(output, options.depth_path, paths[1], record)


def _outputs(images: Sequence[Path], output: Path, options: StackOptions) -> list[Path]:
    """Return image, record and, where it is asked for, depth map, none of which may be a source or stand in the way."""
    paths = [output, side_file(output, "record"), *([options.depth_path] if options.depth_path else [])]
    if len({path.resolve() for path in paths}) < len(paths):
        raise OptionError(f"{output}: image, record and depth map need names of their own")
    for path in paths:
        for source in (*images, *([options.map_path] if options.map_path else [])):
            check_not_source(source, path)
        check_output(path, overwrite=options.write.overwrite)
    if len(images) > 1 and output.exists() and not paths[1].exists():
        raise OutputExists(
            f"{output}: has no record beside it, so it may be one of the images; name OUT last, or remove it yourself"
        )
    return paths


@dataclass(frozen=True)
class _Made:
    """A sharp image, the depth map of its pixels where there is one, and how it came about."""

    image: Slide
    depth: NDArray[Any] | None
    facts: dict[str, Any]


def _taken(slide: Slide, depth: Slide) -> _Made:
    image = TakenSlide(slide, depth)
    return _Made(image, None, {"planes": len(slide.planes), "planes_used": len(image.used)})


def _fused(slide: Slide, options: StackOptions, scratch: str, progress: Progress | None) -> _Made:
    fused, method, backend = fuse_planes(
        SlidePlanes(slide),
        options.method,
        Tiling(options.tile_size),
        options.fuse.backend,
        jobs=options.write.jobs,
        progress=progress,
        scratch=Path(scratch),
    )
    depth = fused.depth if fused.plane_index is None else fused.plane_index.view(np.uint16)
    facts = {
        "planes": len(slide.planes),
        "method": method.name,
        "parameters": {option.name: getattr(method, option.name) for option in fields(method)},
        "backend": backend,
        "visits_per_plane": method.visits,
    }
    return _Made(ImageSlide(slide, fused.image), depth, facts)


def _scratch(slide: Slide, folder: Path) -> tempfile.TemporaryDirectory[str]:
    """Return a folder for what is fused; it goes when the work ends.

    Raises
    ------
    WriteError
        Where there is no room: mapped files would end the process on a full disk.
    """
    full, pixel = slide.levels[0], len(slide.channels) * slide.dtype.itemsize + np.dtype(np.float32).itemsize
    needed, free = full.width * full.height * pixel, shutil.disk_usage(folder).free
    if needed > free:
        raise WriteError(f"{folder}: {free >> 20:,} MiB are free, fusing needs {needed >> 20:,} MiB there; make room")
    return tempfile.TemporaryDirectory(prefix=".planish-", dir=folder, ignore_cleanup_errors=True)
