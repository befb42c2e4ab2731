"""One stack of images, end to end: fused into one sharp image, or put together as a depth map says."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.convert import Selection
from planish.files import replacing
from planish.fuse.image import ImageSlide
from planish.fuse.planes import SlidePlanes
from planish.fuse.stack import fuse_planes
from planish.fuse.take import TakenSlide
from planish.fuse.tiles import Tiling
from planish.report.description import describe
from planish.report.record import Run, RunRecord
from planish.slide.base import Slide
from planish.slide.given import open_stack
from planish.slide.open import open_slide
from planish.stackfiles import output_paths, scratch_folder
from planish.stackoptions import StackOptions
from planish.threads import Progress
from planish.write.depthmap import write_depth
from planish.write.encode import choose_encoder
from planish.write.options import WriteOptions
from planish.write.tiff import write_file


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
    paths = output_paths(images, output, options)
    with ExitStack() as stack:
        with run.stage("open"):
            slide = Selection(planes=options.planes).of(stack.enter_context(open_stack(images)))
            writing = _writing(slide, options.write)
        # Renamed together when all is well, the image last: where it is, the others are.
        image_file, record_file, *depth_file = (
            stack.enter_context(replacing(path, overwrite=options.write.overwrite)) for path in paths
        )
        with run.stage("map" if options.map_path else "fuse"):
            if options.map_path:
                made = _taken(slide, stack.enter_context(open_slide(options.map_path)))
            else:
                folder = scratch_folder(slide, output, options, lossless=writing.lossless)
                made = _fused(slide, options, stack.enter_context(folder), progress)
        with run.stage("write"):
            written = write_file(made.image, image_file, writing, progress)
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


def _writing(slide: Slide, options: WriteOptions) -> WriteOptions:
    """Return how to write what is made of a stack.

    Raises
    ------
    OptionError
        Where it cannot be written so; told before any work.
    """
    choose_encoder(slide, options.quality)
    # Whoever gives lossless images expects what the method computed, not a JPEG of it.
    encodings = (slide.encoding(0, plane.index) for plane in slide.planes)
    lossy = any(encoding and encoding.lossy for encoding in encodings)
    return replace(options, lossless=options.lossless or not (lossy or options.quality is not None))


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
