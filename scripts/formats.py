"""Print docs/formats.md from the registry of readers; scripts/docs calls it, and a test compares."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from planish.slide.readers import READERS

HEAD = """\
# Formats

Written by `scripts/docs` from the registry, `src/planish/slide/readers.py`. `planish info SLIDE` tells the same of a
slide: its planes, whether its tiles can be copied, and whether byte counts can choose planes (if not, why not).

## Read

A file is known by what it holds, and its planes are sorted by physical z, whatever their order in the file. Readers
with an extra are installed by `pip install 'planish[EXTRA]'`; `planish[all]` brings every one.
"""
INPUTS = ("format", "files", "planes from", "tiles copied", "byte counts", "library", "extra")
OUTPUTS = """
*Tiles copied*: which compressed tiles go into the flat slide byte for byte. *Byte counts*: whether a tile's size tells
how sharp it is, so that planes are chosen without decoding.

## Written

The name of the output chooses.
"""
WRITTEN = (
    ("name", "what", "read back with"),
    ("`.tif`, `.tiff`, `.btf`, `.ome.tif`", "pyramid in the dual layout: a chain of pages that are SubIFDs as well",
     "OpenSlide, tifffile, Bio-Formats"),
    ("`.dicom`, `.dcm`", "a folder with a DICOM series, an instance per level, marked as extended depth of field",
     "OpenSlide, wsidicom"),
    ("`.zarr`", "OME-Zarr 0.5, sharded", "zarr"),
    ("`.dzi`", "Deep Zoom: the `.dzi`, and `NAME_files` with the tiles beside it", "any image library, tile by tile"),
)  # fmt: skip
REFUSED = """
## Not read, and why

A reader that would see one plane of several refuses, or says so; it never shows one as if there were no others.

- **Focus levels of MIRAX** (`.mrxs` whose `Slidedat.ini` has the layer *Microscope focus level*): OpenSlide shows the
  base level alone, and no sample was at hand. The slide is read as one plane, and a note counts what is not read.
- **Ventana BIF with depth** (ImageDepth above 1): its tiles overlap and must be stitched for each plane, which
  OpenSlide does for one. Without depth it is read, as one plane.
- **Philips TIFF with several planes**: likewise.
- **A vendor's extended-focus plane** is never counted as a focal plane.
- **Planes of different sizes** in one file or folder: they are not planes of one stack.
- **Animations and multi-page pictures** (GIF, WebP, PDF): save each plane as a file of its own.
- **KLB, LIF, ND2, VSI without its folder, and whatever else is not named above**: export to OME-TIFF, or one file per
  plane in a folder.
"""


def formats_page() -> str:
    """Return the text of docs/formats.md."""
    rows = [
        (
            each.name,
            each.files,
            each.planes,
            each.copied,
            each.sizes,
            reader.library,
            f"`{reader.extra}`" if reader.extra else "",
        )
        for reader in sorted(READERS, key=lambda reader: reader.name in ("openslide", "picture", "npy"))
        for each in reader.formats
    ]
    return HEAD + table([INPUTS, *rows]) + OUTPUTS + table(WRITTEN) + REFUSED


def table(rows: Iterable[Sequence[str]]) -> str:
    """Return rows, the first of which are titles, as a Markdown table."""
    head, *others = ([re.sub(r"\|", r"\\|", cell) for cell in row] for row in rows)
    lines = [head, ["---"] * len(head), *others]
    return "\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    print(formats_page(), end="")
