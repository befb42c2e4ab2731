"""`KINDS`: what can be written, by the suffix of the output's name; nothing is imported, so that help comes at once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of output before it is asked for: its module holds a `CONTAINER`, and an extra may have to bring more."""

    name: str
    module: str
    extra: str = ""


_TIFF = Kind("TIFF", "planish.write.tiff")
_DICOM = Kind("DICOM", "planish.write.dicom", "dicom")
KINDS: Mapping[str, Kind] = {
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".btf": _TIFF,
    ".dicom": _DICOM,
    ".dcm": _DICOM,
    ".zarr": Kind("OME-Zarr", "planish.write.omezarr", "zarr"),
    ".dzi": Kind("Deep Zoom", "planish.write.dzi"),
}
"""By the suffix of the output's name."""
