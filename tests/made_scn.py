"""Leica SCN files around arrays, with the XML that the scanner writes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import tifffile
from numpy.typing import NDArray

NM_PER_PX, GLASS_PX = 250, 4000
Pixels = NDArray[Any]


@dataclass(frozen=True)
class Scan:
    """How a file is written.

    Attributes
    ----------
    spacing_nm : int or None
        Of planes; not stated where it is None.
    size_on : str
        ``"pixels"`` or ``"image"``: the element that claims the number of planes.
    claimed : int
        Planes more than there are.
    options : dict
        For tifffile: compression and the like.
    """

    spacing_nm: int | None = None
    size_on: str = "pixels"
    claimed: int = 0
    options: tuple[tuple[str, Any], ...] = (("photometric", "rgb"),)

    def write(self, path: Path, areas: Sequence[Pixels]) -> Path:
        """Write scanned areas (Z, Y, X, 3), or (Z, Y, X, C) with a page per channel, each with a level of a quarter.

        A macro comes first, then the planes of each area out of order.
        """
        macro = np.full((160, 160, 3), 200, np.uint8)
        pages, images = [macro], [self._macro()]
        for number, area in enumerate(areas):
            entries = []
            for z in np.random.default_rng(1).permutation(len(area)):
                for level, (channel, page) in _pages(area[z]):
                    entries.append(
                        f'<dimension sizeX="{page.shape[1]}" sizeY="{page.shape[0]}" r="{level}" z="{z}" c="{channel}" '
                        f'ifd="{len(pages)}"/>'
                    )
                    pages.append(page)
            images.append(self._image(number, area, "".join(entries)))
        xml = (
            '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:1">'
            f'<collection name="c" uuid="urn:uuid:2" sizeX="{GLASS_PX * NM_PER_PX}" sizeY="{GLASS_PX * NM_PER_PX}">'
            f"{''.join(images)}</collection></scn>"
        )
        with tifffile.TiffWriter(path, bigtiff=True) as writer:
            for index, page in enumerate(pages):
                options: dict[str, Any] = (
                    dict(self.options) if page.ndim == 3 or index == 0 else {"photometric": "minisblack"}
                )
                options["resolution"] = (
                    (1e7 / NM_PER_PX * 160 / GLASS_PX,) * 2 if index == 0 else (1e7 / NM_PER_PX,) * 2
                )
                options["resolutionunit"] = "CENTIMETER"
                about: Any = xml if index == 0 else None
                writer.write(page, metadata=None, description=about, **{"tile": (128, 128), **options})
        return path

    def _macro(self) -> str:
        size = GLASS_PX * NM_PER_PX
        return (
            '<image name="macro" uuid="urn:uuid:3"><creationDate>2020-01-01T00:00:00Z</creationDate>'
            '<device model="Leica SCN400;Leica SCN" version="1.4"/>'
            '<pixels sizeX="160" sizeY="160"><dimension sizeX="160" sizeY="160" r="0" ifd="0"/></pixels>'
            f'<view sizeX="{size}" sizeY="{size}" offsetX="0" offsetY="0"/>{_settings(0.6)}</image>'
        )

    def _image(self, number: int, area: Pixels, entries: str) -> str:
        planes, height, width, channels = area.shape
        size = f' sizeZ="{planes + self.claimed}"'
        on_image, on_pixels = (size, "") if self.size_on == "image" else ("", size)
        spacing = f' spacingZ="{self.spacing_nm}"' if self.spacing_nm else ""
        names = "".join(f'<channel index="{c}" name="dye {c}"/>' for c in range(channels) if channels != 3)
        return (
            f'<image name="area {number}" uuid="urn:uuid:{number + 4}"{on_image}>'
            "<creationDate>2020-01-01T00:00:00Z</creationDate>"
            '<device model="Leica SCN400;Leica SCN" version="1.4"/>'
            f'<pixels sizeX="{width}" sizeY="{height}"{on_pixels}>{entries}</pixels>'
            f'<view sizeX="{width * NM_PER_PX}" sizeY="{height * NM_PER_PX}" '
            f'offsetX="{1000 * NM_PER_PX * (number + 1)}" offsetY="{500 * NM_PER_PX}"{spacing}/>'
            f"{_settings(40)}<channelSettings>{names}</channelSettings></image>"
        )


def _pages(plane: Pixels) -> Iterator[tuple[int, tuple[int, Pixels]]]:
    """Yield level, channel and pixels of the pages of a plane."""
    height, width, channels = plane.shape
    small = cv2.resize(plane, (width // 4, height // 4), interpolation=cv2.INTER_AREA).reshape(
        height // 4, -1, channels
    )
    for level, image in enumerate((plane, small)):
        parts = [image] if channels == 3 else [image[..., channel] for channel in range(channels)]
        for number, part in enumerate(parts):
            yield level, (number, np.ascontiguousarray(part))


def _settings(objective: float) -> str:
    return (
        f"<scanSettings><objectiveSettings><objective>{objective}</objective></objectiveSettings><illuminationSettings>"
        "<numericalAperture>0.65</numericalAperture><illuminationSource>brightfield</illuminationSource>"
        "</illuminationSettings></scanSettings>"
    )
