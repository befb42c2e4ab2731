"""`Encoding`: how tiles are compressed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Encoding:
    """How the tiles of a level and plane are compressed.

    Attributes
    ----------
    codec : str
        ``"jpeg"``, ``"jpeg2000"``, ``"lzw"``, ``"deflate"``, ``"none"`` …
    color : str
        What the codec holds: ``"rgb"``, ``"ycbcr"`` or ``"gray"``.
    subsampling : tuple of int
        Horizontal and vertical chroma subsampling, (1, 1) for none, (2, 2) for 4:2:0.
    tables : tuple of bytes
        JPEG quantisation tables, 64 values each in zigzag order, luma first; empty for other codecs.
    """

    codec: str
    color: str
    subsampling: tuple[int, int] = (1, 1)
    tables: tuple[bytes, ...] = ()

    def alike(self, other: Encoding) -> bool:
        """Whether tiles of both may stand in one TIFF image: all but the tables must be the same."""
        return (self.codec, self.color, self.subsampling) == (other.codec, other.color, other.subsampling)

    @property
    def lossy(self) -> bool:
        """Whether fewer bytes mean less detail, which byte counts rest on."""
        return self.codec in ("jpeg", "jpeg2000")
