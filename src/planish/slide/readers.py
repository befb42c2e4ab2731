"""`READERS`: who reads what, by which library, and which extra brings it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from planish.errors import UnsupportedSlide
from planish.slide.base import Slide, Source
from planish.slide.bytefile import TIFF_MAGIC

_ZARR = ("zarr.json", ".zattrs", ".zgroup", ".zarray")
_DICOM_PLACE = 128
_MOST_LOOKED_INTO = 1000
"""Files of a folder, those named like DICOM first."""


@dataclass(frozen=True, slots=True)
class Format:
    """What a person wants to know of a format before having a file of it; rows of docs/formats.md.

    Attributes
    ----------
    name : str
        As labs call it.
    files : str
        How its files are named.
    planes : str
        Where its focal planes come from.
    copied : str
        Whether compressed tiles are copied, and which.
    sizes : str
        Whether byte counts choose planes.
    """

    name: str
    files: str
    planes: str
    copied: str = "no"
    sizes: str = "no"


@dataclass(frozen=True, slots=True)
class Reader:
    """An entry of the registry.

    Attributes
    ----------
    name : str
        For messages.
    target : str
        ``module:class``, imported when first used.
    accepts : callable
        (path, first 256 bytes) -> bool.
    library : str
        That it rests on.
    formats : tuple of Format
        What it reads.
    extra : str
        Of planish, that brings the library; empty where it is always there.
    """

    name: str
    target: str
    accepts: Callable[[Path, bytes], bool]
    library: str
    formats: tuple[Format, ...]
    extra: str = ""

    def open(self, source: Source) -> Slide:
        """Import the reader and open `source` with it.

        Raises
        ------
        UnsupportedSlide
            Where the library is not installed.
        """
        module, _, name = self.target.partition(":")
        try:
            opener = getattr(importlib.import_module(module), name)
        except ModuleNotFoundError as error:
            if not self.extra or (error.name or "").partition(".")[0] == "planish":
                raise
            raise UnsupportedSlide(
                f"{source}: is {self.formats[0].name}, which is read with {self.library}; install it: "
                f"pip install 'planish[{self.extra}]'"
            ) from error
        slide: Slide = opener(source)
        return slide


def is_zarr(path: Path, head: bytes) -> bool:
    """Whether a path is the folder of a Zarr."""
    return path.is_dir() and any((path / name).is_file() for name in _ZARR)


def is_dicom(path: Path, head: bytes) -> bool:
    """Whether a path is a DICOM file, or a folder with some: other images there are previews of them."""
    if not path.is_dir():
        return head[_DICOM_PLACE : _DICOM_PLACE + 4] == b"DICM"
    files = [file for file in path.iterdir() if not file.name.startswith(".") and file.is_file()]
    return any(_says_dicom(file) for file in sorted(files, key=_unlike_dicom)[:_MOST_LOOKED_INTO])


def _unlike_dicom(path: Path) -> tuple[bool, str]:
    suffix = path.suffix.lower()
    return not (suffix in ("", ".dcm", ".dicom") or suffix[1:].isdigit()), path.name


def _says_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(_DICOM_PLACE)
        return file.read(4) == b"DICM"


def _is_folder(path: Path, head: bytes) -> bool:
    return path.is_dir()


def _is_npy(path: Path, head: bytes) -> bool:
    return head.startswith(b"\x93NUMPY")


def _is_czi(path: Path, head: bytes) -> bool:
    return head.startswith(b"ZISRAWFILE")


def _is_vsi(path: Path, head: bytes) -> bool:
    # The .vsi is a small TIFF; its planes lie in .ets files in a folder beside it.
    return path.suffix.lower() == ".vsi" and head.startswith(TIFF_MAGIC)


def _is_tiff(path: Path, head: bytes) -> bool:
    if not head.startswith(TIFF_MAGIC):
        return False
    from planish.slide.opentiff import is_vendors

    return not is_vendors(path)


def _is_openslide(path: Path, head: bytes) -> bool:
    import openslide

    return is_text(path) and openslide.OpenSlide.detect_format(path) is not None


def _is_picture(path: Path, head: bytes) -> bool:
    import pyvips

    if not is_text(path):
        return False
    try:
        loader = pyvips.Image.new_from_file(str(path)).get("vips-loader")
    except pyvips.Error:
        return False
    # libvips guesses at raw text and vectors too; those are no micrographs.
    return not str(loader).startswith(("csv", "matrix", "svg", "pdf", "raw"))


def is_text(path: Path) -> bool:
    """Whether a path is valid Unicode: OpenSlide and libvips take no other."""
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return False
    return True


_TIFFS = (
    Format("Hamamatsu NDPI", "`.ndpi`", "tag 65424, nm", "tiles, and JPEG restart intervals", "yes"),
    Format("Aperio SVS", "`.svs`", "`OffsetZ` in the description, µm", "JPEG tiles", "yes"),
    Format("OME-TIFF", "`.ome.tif`, sets of files", "OME-XML", "JPEG tiles", "where planes are compressed alike"),
    Format("Leica SCN", "`.scn`", "`sizeZ` in the XML", "JPEG tiles", "where planes are compressed alike"),
    Format("other TIFF", "`.tif`, `.btf`", "pages of full size; ImageJ's slices", "JPEG tiles",
           "where planes are compressed alike"),
)  # fmt: skip

READERS: tuple[Reader, ...] = (
    Reader(
        "zarr", "planish.slide.omezarr:OmeZarrSlide", is_zarr, "zarr",
        (Format("OME-Zarr", "`.zarr` folders, 0.4 and 0.5", "axis `z`"),), "zarr",
    ),
    Reader(
        "dicom", "planish.slide.dicom:DicomSlide", is_dicom, "wsidicom",
        (Format("DICOM", "`.dcm`, or a folder with a series", "focal planes", "JPEG frames",
                "where planes are compressed alike"),), "dicom",
    ),
    Reader(
        "images", "planish.slide.images:ImagesSlide", _is_folder, "as its files",
        (Format("one file per plane", "a folder, or several paths", "z in the names, or their order", "as its files",
                "as its files"),),
    ),
    Reader("npy", "planish.slide.picture:ArrayFileSlide", _is_npy, "NumPy",
           (Format("NumPy array", "`.npy`", "first axis"),)),
    Reader("czi", "planish.slide.czi:CziSlide", _is_czi, "pylibCZIrw",
           (Format("Zeiss CZI", "`.czi`", "dimension `Z`"),), "czi"),
    Reader("vsi", "planish.slide.vsi:VsiSlide", _is_vsi, "slideio",
           (Format("Olympus VSI", "`.vsi` with its folder of `.ets`", "z axis of the ETS file"),), "vsi"),
    Reader("tiff", "planish.slide.tiff:TiffSlide", _is_tiff, "tifffile, imagecodecs", _TIFFS),
    Reader(
        "openslide", "planish.slide.openslide:OpenSlideSlide", _is_openslide, "OpenSlide",
        (Format("MIRAX, Philips, Trestle, Sakura, Ventana …", "`.mrxs`, `.tiff`, `.svslide`, `.bif` …",
                "one plane; MIRAX focus levels are noted, others refused"),),
    ),
    Reader("picture", "planish.slide.picture:PictureSlide", _is_picture, "libvips",
           (Format("common images", "JPEG, PNG, WebP …", "one plane"),)),
)  # fmt: skip
"""Asked in this order; the first that accepts opens."""
