"""`ContainerOptions`: how a z-stack file is to look."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from numpy.typing import NDArray

from planish.errors import OptionError

KINDS = ("ome-tiff", "svs", "ndpi")
CODECS = ("jpeg", "jpeg2000", "lzw", "deflate", "none")


@dataclass(frozen=True, eq=False, slots=True)
class ContainerOptions:
    """How a z-stack file is to look.

    Attributes
    ----------
    kind : str
        ``"ome-tiff"``, ``"svs"`` or ``"ndpi"``.
    codec : str
        ``"jpeg"``, ``"jpeg2000"``, ``"lzw"``, ``"deflate"`` or ``"none"``; NDPI has JPEG only.
    quality : int
        JPEG quality, 1 to 100; of JPEG 2000, it sets the PSNR: 40 dB at 80, 45 dB at 100.
    color : str
        What JPEG holds of colour pixels: ``"ycbcr"``, or ``"rgb"`` as Aperio does.
    subsampling : tuple of int or None
        Horizontal and vertical chroma subsampling of YCbCr; None for what scanners do: (1, 1) in NDPI, else (2, 2).
    tile : int
        Edge of the square tiles, a multiple of 16.
    downsamples : tuple of int
        The levels, 1 first, each a multiple of the one before; those below 32 pixels are left out.
    shuffle : int or None
        Seed of the planes' order in the file, which is never the physical one if there are three planes or more; None
        keeps the physical order. Planes without z keep it too, as nothing else tells it.
    tiled : bool
        False for strips instead of tiles, OME-TIFF only.
    chunk_width : int or None
        NDPI: the width of a restart interval is the widest that divides the image and is not above this; None for the
        whole width.
    label, macro : ndarray or None
        (height, width, 3) uint8; OME-TIFF takes neither, NDPI no label.
    """

    kind: str = "ome-tiff"
    codec: str = "jpeg"
    quality: int = 80
    color: str = "ycbcr"
    subsampling: tuple[int, int] | None = None
    tile: int = 256
    downsamples: tuple[int, ...] = (1, 4, 16)
    shuffle: int | None = 0
    tiled: bool = True
    chunk_width: int | None = None
    label: NDArray[Any] | None = None
    macro: NDArray[Any] | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.codec not in CODECS:
            raise OptionError(f"a container is one of {KINDS} with one of {CODECS}, not {self.kind} with {self.codec}")
        if self.tile < 16 or self.tile % 16:
            raise OptionError(f"the tile size is a multiple of 16, not {self.tile}")
        # Then every band of tiles shrinks to whole rows, and the pyramid can be written in one pass.
        if self.downsamples[:1] != (1,) or any(b % a or self.tile % (b // a) for a, b in pairwise(self.downsamples)):
            raise OptionError(
                f"downsamples start at 1 and grow by factors that divide the tile size, unlike {self.downsamples}"
            )
        if self.kind == "ndpi" and (self.codec != "jpeg" or self.color != "ycbcr" or self.label is not None):
            raise OptionError("an NDPI holds YCbCr JPEG and has no label image of its own")
        if self.kind == "ome-tiff" and (self.label is not None or self.macro is not None):
            raise OptionError("label and macro are written to SVS and NDPI only")
        if self.kind != "ome-tiff" and not self.tiled:
            raise OptionError(f"strips instead of tiles are written to OME-TIFF only, not to {self.kind}")

    @property
    def chroma(self) -> tuple[int, int]:
        """The chroma subsampling that YCbCr gets."""
        return self.subsampling or ((1, 1) if self.kind == "ndpi" else (2, 2))
