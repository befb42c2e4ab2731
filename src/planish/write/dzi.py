"""A one-plane slide becomes Deep Zoom tiles for web viewers, ``NAME.dzi`` and ``NAME_files``.

The full size goes through a temporary TIFF on the same disk, because libvips shrinks and cuts what it reads from top to
bottom; tiles that the slide hands out compressed are copied to it, and where it hands out none, nothing is lost on the
way. Memory: that of the TIFF, then a few rows of tiles that libvips holds. A colour profile is left out: it would stand
in every tile.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyvips

from planish.errors import OptionError, WriteError
from planish.files import check_folder_output, check_output, replacing, replacing_folder
from planish.slide.base import Slide
from planish.slide.foreign import reason
from planish.slide.views import PlaneView
from planish.threads import Progress
from planish.write.dzitiles import OVERLAP, TILE, DziTiles, check_dzi
from planish.write.options import WriteOptions, Written
from planish.write.output import Container, Place, check_one_plane
from planish.write.tiff import write_file

_QUALITY = 90
"""IJG quality of tiles; from here up libvips keeps the full resolution of colours."""

_TILE_NAME = re.compile(r"\d+_\d+\.(jpg|png)")
_PROPERTIES = "vips-properties.xml"
"""What libvips writes beside the levels."""


def tiles_folder(path: Path) -> Path:
    """Return the folder of the tiles of a ``.dzi``."""
    return path.with_name(f"{path.stem}_files")


def check_dzi_options(slide: Slide, options: WriteOptions) -> None:
    """Raise OptionError where a slide cannot be written so as Deep Zoom: 8-bit grey or RGB it must be."""
    check_one_plane(slide)
    if slide.dtype != np.uint8 or len(slide.channels) not in (1, 3):
        raise OptionError(
            f"{slide.name}: has {len(slide.channels)} channels of {slide.dtype}; Deep Zoom holds 8-bit grey or RGB: "
            "choose one channel, or write a TIFF or OME-Zarr"
        )
    refused = {
        "--write copy": options.mode == "copy",
        "--levels source": options.levels != "all",
        "--layout": options.layout != "ome",
        "--label": options.label,
        "--macro": options.macro,
        "--study": options.study,
    }
    if asked := [name for name, is_asked in refused.items() if is_asked]:
        raise OptionError(f"{asked[0]}: Deep Zoom tiles are always cut anew, all levels, nothing beside; leave it out")


def fill_dzi(slide: Slide, outputs: Place, options: WriteOptions, progress: Progress | None) -> Written:
    """Write and check a new ``.dzi`` file and its tiles in an empty folder: JPEG of quality 90 where none is given."""
    check_dzi_options(slide, options)
    dzi, files = outputs
    work = files / "work"
    work.mkdir()
    flat = work / "flat.tif"
    through = WriteOptions(lossless=not _hands_out_tiles(slide), levels="source", jobs=options.jobs)
    write_file(_FullSize(slide), flat, through, progress)
    suffix = ".png" if options.lossless else f".jpg[Q={options.quality or _QUALITY}]"
    _save(flat, work / "image", suffix, progress)
    (work / "image_files" / _PROPERTIES).unlink(missing_ok=True)  # of the temporary file
    shutil.move(work / "image.dzi", dzi)
    tiles = DziTiles(work / "image_files", slide.levels[0].width, slide.levels[0].height, suffix.partition("[")[0])
    checked = check_dzi(dzi, tiles, flat)
    written = Written(
        dzi,
        dzi.stat().st_size + tiles.size(),
        tiles.levels,
        tiles.encoding(),
        tiles_copied=0,
        tiles_encoded=sum(level.columns * level.rows for level in tiles.levels),
        bytes_copied=0,
        tiles_checked=checked,
    )
    for level in tiles.folder.iterdir():
        level.rename(files / level.name)
    shutil.rmtree(work)
    return written


def _is_our_kind(folder: Path) -> bool:
    """Whether a folder holds the numbered levels of Deep Zoom tiles, and nothing else, beside what belongs to it."""
    # The record alone is beside it after a kill between the renamings.
    stem = folder.name.removesuffix("_files")
    known = any(folder.with_name(f"{stem}{ending}").is_file() for ending in (".dzi", ".record.json"))
    return known and all(
        level.is_dir() and level.name.isdecimal() and all(_TILE_NAME.fullmatch(tile.name) for tile in level.iterdir())
        for level in folder.iterdir()
        if level.name != _PROPERTIES
    )


class _FullSize(PlaneView):
    """The first level of a slide."""

    def __init__(self, slide: Slide) -> None:
        super().__init__(slide, [0])
        self.levels = self.levels[:1]


def _hands_out_tiles(slide: Slide) -> bool:
    level = slide.levels[0]
    none = np.zeros(level.columns, np.int16)
    return slide.encoding(0, 0) is not None and any(
        tile is not None for row in range(level.rows) for tile in slide.encoded_row(0, row, none)
    )


def _save(flat: Path, base: Path, suffix: str, progress: Progress | None) -> None:
    """Have libvips cut and shrink; it tells of progress, and stops where that raises."""
    image = pyvips.Image.new_from_file(str(flat), access="sequential", fail_on="truncated")
    raised: list[BaseException] = []

    def tell(image: Any, state: Any) -> None:
        if not progress or raised:
            return
        try:
            progress("cutting tiles", state.percent, 100)
        except BaseException as error:  # raised below: an exception cannot pass through libvips
            raised.append(error)
            image.set_kill(True)

    image.set_progress(True)
    image.signal_connect("eval", tell)
    try:
        image.dzsave(str(base), tile_size=TILE, overlap=OVERLAP, suffix=suffix, depth="onepixel", keep="none")
    except pyvips.Error as error:
        if raised:
            raise raised[0] from None
        for full in (errno.ENOSPC, errno.EDQUOT):
            if os.strerror(full) in str(error):
                raise OSError(full, os.strerror(full)) from error
        raise WriteError(
            f"{base.parent}: Deep Zoom tiles cannot be written ({reason(error)}); check the disk"
        ) from error


class _DziContainer(Container):
    """A file, and the folder of its tiles."""

    def places(self, path: Path) -> Place:
        """Return the file and the folder of its tiles."""
        return path, tiles_folder(path)

    def check(self, path: Path, *, overwrite: bool) -> None:
        """Raise the error that writing to `path` would end in."""
        check_output(path, overwrite=overwrite)
        check_folder_output(tiles_folder(path), overwrite=overwrite, ours=_is_our_kind)

    @contextmanager
    def replacing(self, path: Path, *, overwrite: bool) -> Iterator[Place]:
        """Yield the two places; the folder is renamed first, so that where the .dzi is, its tiles are."""
        with (
            replacing(path, overwrite=overwrite) as dzi,
            replacing_folder(tiles_folder(path), overwrite=overwrite, ours=_is_our_kind) as files,
        ):
            yield dzi, files
            if path.exists() and path.read_bytes() != dzi.read_bytes():
                path.unlink()  # killed between the renamings, it would describe tiles of another size


CONTAINER = _DziContainer(check_dzi_options, fill_dzi)
