"""Z-stack files as scanners write them, of any `Slide`; for tests, demos and benchmarks.

Rows of tiles are read, compressed and appended as they come, so memory is bounded by the slide's width. A file that was
not finished has no image for any reader.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from planish.phantom.ndpi import write_ndpi
from planish.phantom.ome import write_ome
from planish.phantom.options import ContainerOptions
from planish.phantom.svs import write_svs
from planish.slide.base import Slide

__all__ = ["ContainerOptions", "write_container"]

_WRITERS = {"ome-tiff": write_ome, "svs": write_svs, "ndpi": write_ndpi}


def write_container(slide: Slide, path: Path, options: ContainerOptions | None = None) -> None:
    """Write all planes of a slide into one file, replacing it.

    Parameters
    ----------
    slide : Slide
        Its full-size level is read once; the other levels are averaged from it.
    path : Path
        The file. Its suffix should suit the kind: ``.ome.tif``, ``.svs``, ``.ndpi``.
    options : ContainerOptions, optional
        Kind of file, compression, layout.

    Raises
    ------
    OptionError
        Where the container cannot hold such pixels.
    """
    options = options or ContainerOptions()
    with path.open("wb") as file, ThreadPoolExecutor() as pool:
        _WRITERS[options.kind](slide, file, options, pool)
