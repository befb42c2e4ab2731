"""The files of one fused stack: what they may replace, and whether there is room for them."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from planish.convert import side_file
from planish.errors import OptionError, OutputExists, WriteError
from planish.files import check_output
from planish.outputs import check_not_source
from planish.slide.base import Slide
from planish.stackoptions import StackOptions


def output_paths(images: Sequence[Path], output: Path, options: StackOptions) -> list[Path]:
    """Return image, record and, where it is asked for, depth map.

    Raises
    ------
    OptionError, WriteError, OutputExists
        Where one of them is a source, or stands in the way; or where overwriting could cost an image.
    """
    paths = [output, side_file(output, "record"), *([options.depth_path] if options.depth_path else [])]
    if len({path.resolve() for path in paths}) < len(paths):
        raise OptionError(f"{output}: image, record and depth map need names of their own")
    for path in paths:
        for source in (*images, *([options.map_path] if options.map_path else [])):
            check_not_source(source, path)
        check_output(path, overwrite=options.write.overwrite)
    if output.exists():
        _check_replaceable(images, output)
    return paths


def _check_replaceable(images: Sequence[Path], output: Path) -> None:
    """Raise OutputExists unless a file is surely an earlier output: whoever forgets OUT names an image there."""
    if not _was_fused(output):
        why = "no record beside it says that planish fuse wrote it as it is"
    elif fused := next((image for image in images if _was_fused(image)), None):
        why = f"like {fused.name}, it was fused before"
    else:
        return
    raise OutputExists(f"{output}: may be one of the images: {why}; name OUT last, or remove it yourself")


def _was_fused(path: Path) -> bool:
    """Whether the record beside a file is one of `planish fuse`, of a file of that size."""
    try:
        record = json.loads(side_file(path, "record").read_text(encoding="utf-8"))
        return bool(record["command"] == "fuse" and record["output"]["bytes"] == path.stat().st_size)
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return False


def scratch_folder(
    slide: Slide, output: Path, options: StackOptions, *, lossless: bool
) -> tempfile.TemporaryDirectory[str]:
    """Return a folder beside the output for what is fused; it goes when the work ends.

    Raises
    ------
    WriteError
        Where there is no room for it and the files that are made of it: mapped files would end the process on a full
        disk, and the others should not fail after all the work.
    """
    pixels = slide.levels[0].width * slide.levels[0].height
    raw, depth = pixels * len(slide.channels) * slide.dtype.itemsize, pixels * options.method.map_bytes
    # With its smaller levels; noise hardly gets smaller without loss.
    image = raw * 4 // 3 if lossless or slide.dtype != np.uint8 else raw // 3
    parts = [(output.parent, raw + depth + image)]
    parts += [(options.depth_path.parent, depth)] if options.depth_path else []
    needed: Counter[int] = Counter()
    for folder, size in parts:
        needed[folder.stat().st_dev] += size
    for folder, _ in parts:
        free, all_of_it = shutil.disk_usage(folder).free, needed[folder.stat().st_dev]
        if all_of_it > free:
            raise WriteError(
                f"{folder}: {free >> 20:,} MiB are free, fusing needs {all_of_it >> 20:,} MiB there; make room"
            )
    return tempfile.TemporaryDirectory(prefix=".planish-", dir=output.parent, ignore_cleanup_errors=True)
