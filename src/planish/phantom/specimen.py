"""`PhantomSlide`: a synthetic z-stacked slide whose sharp truth and true depth are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, get_args

import cv2
import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.model import Box, Plane, SlideMetadata
from planish.phantom.blocks import BLOCK, BlockSlide, pyramid
from planish.phantom.cache import Cache
from planish.phantom.deposit import Specimen, layered
from planish.phantom.optics import Optics, Spectra
from planish.phantom.sheet import Sheet, SheetOptions
from planish.phantom.smear import Smear, SmearOptions

Kind = Literal["cytology-sparse", "cytology-dense", "tissue", "folded"]

MARGIN = 40
"""Pixels drawn around a block, so that blur reaches in from outside; 336 in all transforms fast."""

SPECTRA_BYTES = 48 << 20
"""Transformed layers kept, so that all planes of a block share one drawing."""


@dataclass(frozen=True, slots=True)
class PhantomOptions:
    """What a phantom shows and how it is recorded.

    Attributes
    ----------
    kind : str
        ``"cytology-sparse"``, ``"cytology-dense"``, ``"tissue"`` (a sheet of smoothly changing depth without glass)
        or ``"folded"`` (the same with strips of a second layer).
    width, height : int
        Size in level-0 pixels.
    planes : int
        Number of focal planes.
    plane_spacing_um : float
        Their distance in µm; the lowest lies at 0.
    tile : int
        Side of the square tiles at every level, in level pixels.
    mpp : float
        µm per level-0 pixel, 0.1 to 2.
    seed : int
        Another seed is another specimen.
    noise : float
        Standard deviation of the camera's noise in grey levels of 255.
    band : float or None
        Tissue only: level-0 pixels along x per plane that the depth changes, on average: level ground and slopes
        by turns; None for 16/3 tiles.
    dtype : str
        ``"uint8"``, or ``"uint16"`` for grey levels of 65535.
    """

    kind: Kind = "cytology-dense"
    width: int = 2048
    height: int = 2048
    planes: int = 9
    plane_spacing_um: float = 1.0
    tile: int = 256
    mpp: float = 0.25
    seed: int = 0
    noise: float = 2.0
    band: float | None = None
    dtype: Literal["uint8", "uint16"] = "uint8"

    def __post_init__(self) -> None:
        for name, allowed in (("kind", get_args(Kind)), ("dtype", ("uint8", "uint16"))):
            if getattr(self, name) not in allowed:
                raise OptionError(f"phantom: {name} must be one of {', '.join(allowed)}, got {getattr(self, name)!r}")
        for name in ("width", "height", "planes", "tile"):
            if getattr(self, name) < 1:
                raise OptionError(f"phantom: {name} must be at least 1, got {getattr(self, name)}")
        if self.plane_spacing_um <= 0 or self.noise < 0 or self.seed < 0 or (self.band is not None and self.band <= 0):
            raise OptionError(f"phantom: plane spacing and band must be positive, noise and seed not negative: {self}")
        if not 0.1 <= self.mpp <= 2:
            raise OptionError(f"phantom: mpp must lie between 0.1 and 2 µm per pixel, got {self.mpp}")


def specimen(options: PhantomOptions) -> Specimen:
    """Return what lies on the glass of a phantom."""
    if options.kind in ("tissue", "folded"):
        return Sheet(
            SheetOptions(
                folded=options.kind == "folded",
                seed=options.seed,
                mpp=options.mpp,
                planes=options.planes,
                spacing_um=options.plane_spacing_um,
                band=options.band or 16 / 3 * options.tile,
            )
        )
    return Smear(
        SmearOptions(
            populated=0.72 if options.kind == "cytology-dense" else 0.1,
            seed=options.seed,
            mpp=options.mpp,
            range_um=(options.planes - 1) * options.plane_spacing_um,
            step_um=options.plane_spacing_um / 4,
        )
    )


class DrawnSlide(BlockSlide):
    """What a phantom and its truth share: a specimen and a microscope."""

    channels = ("R", "G", "B")

    def __init__(self, options: PhantomOptions, name: str) -> None:
        super().__init__(Path(f"{name}-{options.kind}-{options.seed}"))
        self.options = options
        self.levels = pyramid(options.width, options.height, options.tile)
        self.dtype = np.dtype(options.dtype)
        self.metadata = SlideMetadata(name, options.mpp, options.mpp, objective_power=40.0, vendor="planish")
        self._specimen = specimen(options)
        self._optics = Optics(BLOCK + 2 * MARGIN, MARGIN, options.mpp)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.options,)

    def _transformed(self, column: int, row: int) -> Spectra:
        """Draw the specimen of a block, ready to be looked at from any plane."""
        box = Box(column * BLOCK - MARGIN, row * BLOCK - MARGIN, self._optics.side, self._optics.side)
        return self._optics.spectra(layered(self._specimen.deposits(box), box))

    def _digitised(self, grey: NDArray[np.float32]) -> NDArray[Any]:
        """Round grey levels of 255 to the slide's dtype, saturating."""
        gain, depth = (1, cv2.CV_8U) if self.dtype == np.uint8 else (257, cv2.CV_16U)
        return np.asarray(cv2.addWeighted(grey, gain, grey, 0, 0, dtype=depth))


class PhantomSlide(DrawnSlide):
    """A synthetic specimen as a z-stack, drawn tile by tile from a seed.

    The pixels depend on nothing but the options: not on the order of reading, nor on the threads, nor (but for the
    default `band` of tissue) on the tile size. Reading all planes of a tile together is fastest, since they share one
    drawing. Memory: the caches of `BlockSlide`, `SPECTRA_BYTES` and what the specimen keeps, together below 200 MB,
    whatever the size of the slide.

    Parameters
    ----------
    options : PhantomOptions
        What it shows.
    """

    def __init__(self, options: PhantomOptions) -> None:
        super().__init__(options, "phantom")
        self._spectra: Cache[Spectra] = Cache(SPECTRA_BYTES)
        self.planes = tuple(Plane(index, index * options.plane_spacing_um) for index in range(options.planes))

    @cached_property
    def truth(self) -> TruthSlide:
        """The same specimen with every object in focus and without noise, as a slide of one plane."""
        return TruthSlide(self.options)

    def truth_region(self, x: int, y: int, width: int, height: int) -> NDArray[Any]:
        """Return the truth of a rectangle of level-0 pixels, (height, width, 3)."""
        return self.truth.read_region(0, 0, x, y, width, height)

    def depth_region(self, x: int, y: int, width: int, height: int) -> NDArray[np.float32]:
        """Return the true depth in µm of the densest object at every level-0 pixel, NaN on glass, (height, width)."""
        return self._specimen.depth(Box(x, y, width, height))

    def _draw_block(self, plane: int, column: int, row: int) -> NDArray[Any]:
        spectra = self._spectra.get((column, row))
        if spectra is None:
            spectra = self._transformed(column, row)
            self._spectra.put((column, row), spectra, sum(spectrum.nbytes for spectrum in spectra.values()))
        image = self._optics.image(spectra, self._specimen.stains, self.planes[plane].z_um)
        if self.options.noise:
            rng = np.random.Generator(np.random.SFC64([self.options.seed, plane, column, row]))
            image += rng.standard_normal(image.shape, np.float32) * np.float32(self.options.noise)
        return self._digitised(image)


class TruthSlide(DrawnSlide):
    """A phantom's specimen with every object in focus, whatever its depth, and without noise."""

    def __init__(self, options: PhantomOptions) -> None:
        super().__init__(options, "phantom-truth")
        self.planes = (Plane(0),)

    def _draw_block(self, plane: int, column: int, row: int) -> NDArray[Any]:
        return self._digitised(self._optics.image(self._transformed(column, row), self._specimen.stains, None))
