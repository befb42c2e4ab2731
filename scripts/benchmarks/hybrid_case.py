"""Phantoms for `bench_hybrid`: the file, its truth and specimen, drawn once; and what is measured on flat slides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from phantoms import KEPT, phantom_file

from planish.focus.measures import luma
from planish.model import Encoding
from planish.phantom.specimen import Kind, PhantomOptions
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.threads import in_threads
from planish.write.jpeg import encode

KINDS: tuple[Kind, ...] = ("cytology-sparse", "cytology-dense", "tissue")
TILE, PLANES, JOBS = 256, 9, 2
BLOCK, HALO = 8, (8, 40)
"""Pixels: side of the blocks of glass that are compared, and how far from the specimen they lie."""
STRETCH, CUT = 16, 8.0
"""Pixels of a border, and grey levels: what is a cut."""


@dataclass(frozen=True, eq=False)
class Case:
    """A phantom that is kept on disk.

    Attributes
    ----------
    kind, seed : str, int
        Which phantom.
    path : Path
        The SVS that holds it.
    truth : ndarray of uint8, (height, width, 3)
        All of it in focus, without noise, uncompressed.
    specimen : ndarray of bool, (height, width)
        Where the phantom has any object, by its own depth map.
    """

    kind: Kind
    seed: int
    path: Path
    truth: NDArray[np.uint8]
    specimen: NDArray[np.bool_]

    @classmethod
    def of(cls, kind: Kind, seed: int, size: int) -> Case:
        """Draw it, or take what was drawn before."""
        phantom, path = phantom_file(PhantomOptions(kind, size, size, PLANES, tile=TILE, seed=seed))
        kept = KEPT / f"{path.stem}.truth.npz"
        if not kept.exists():
            truth = phantom.truth_region(0, 0, size, size)
            np.savez(kept, truth=truth, specimen=np.isfinite(phantom.depth_region(0, 0, size, size)))
        with np.load(kept) as arrays:
            return cls(kind, seed, path, arrays["truth"], arrays["specimen"])

    @cached_property
    def truth_written(self) -> NDArray[np.uint8]:
        """The truth in tiles of the source's JPEG, whose block edges lie on the borders of cells, too."""
        with open_slide(self.path) as slide:
            encoding = slide.encoding(0, 0)
        assert encoding is not None
        image = np.empty_like(self.truth)
        for y in range(0, image.shape[0], TILE):
            for x in range(0, image.shape[1], TILE):
                here = np.s_[y : y + TILE, x : x + TILE]
                image[here] = through_jpeg(np.ascontiguousarray(self.truth[here]), encoding)
        return image

    @cached_property
    def halo(self) -> NDArray[np.bool_]:
        """Blocks of glass, `BLOCK` px wide, beside the specimen, where blurred cells reach."""
        distance = cv2.distanceTransform((~self.specimen).astype(np.uint8), cv2.DIST_L2, 3)
        near, far = HALO
        return np.asarray(_blocks(distance, np.min) > near) & (_blocks(distance, np.max) < far)

    @property
    def cells(self) -> NDArray[np.bool_]:
        """Where cells have any specimen, (rows, columns): nobody's mask, but the phantom's own."""
        height, width = self.specimen.shape
        found = self.specimen.reshape(height // TILE, TILE, width // TILE, TILE).any(axis=(1, 3))
        return np.asarray(found)

    def error(self, image: NDArray[np.uint8]) -> float:
        """Return the mean squared error on the specimen."""
        rows = range(0, len(image), TILE)
        total = sum(
            float(np.square(image[y : y + TILE].astype(np.float32) - self.truth[y : y + TILE]).mean(axis=2)[
                self.specimen[y : y + TILE]
            ].sum(dtype=np.float64))
            for y in rows
        )  # fmt: skip
        return total / int(self.specimen.sum())


@dataclass(frozen=True, eq=False)
class Flat:
    """Level 0 of a flat slide.

    Attributes
    ----------
    pixels : ndarray of uint8, (height, width, 3)
        As composed.
    written : ndarray of uint8, (height, width, 3)
        As a file holds it: copied tiles as they are, composed ones through the source's JPEG once more.
    """

    pixels: NDArray[np.uint8]
    written: NDArray[np.uint8]

    @classmethod
    def of(cls, flat: Slide) -> Flat:
        """Read it, in threads."""
        encoding, level = flat.encoding(0, 0), flat.levels[0]
        assert encoding is not None
        pixels, written = (np.empty((level.height, level.width, 3), np.uint8) for _ in range(2))

        def fill(row: int) -> None:
            for column in range(level.columns):
                x, y, width, height = level.tile_box(column, row)
                here = np.s_[y : y + height, x : x + width]
                tile = pixels[here] = flat.read_tile(0, 0, column, row)
                copied = flat.encoded_tile(0, 0, column, row) is not None
                written[here] = tile if copied else through_jpeg(tile, encoding)

        with in_threads(fill, ((row,) for row in range(level.rows)), JOBS) as rows:
            for _ in rows:
                pass
        return cls(pixels, written)


def through_jpeg(tile: NDArray[Any], encoding: Encoding) -> NDArray[np.uint8]:
    """Encode and decode."""
    return np.asarray(imagecodecs.jpeg8_decode(encode(tile, encoding)), np.uint8)


def seam_excess(image: NDArray[np.uint8], length: int = TILE) -> NDArray[np.float32]:
    """Return the excess of each stretch of so many pixels of the borders between cells, in grey levels.

    Mean over the stretch of the gradient across it, less the mean of the gradients a pixel inside on either side.
    """
    grey = luma(np.ascontiguousarray(image))
    return np.concatenate([_upright(grey, length), _upright(np.ascontiguousarray(grey.T), length)])


def _upright(grey: NDArray[np.float32], length: int) -> NDArray[np.float32]:
    gradient = np.abs(np.diff(grey, axis=1))
    border = np.arange(TILE, grey.shape[1], TILE)
    excess = gradient[:, border - 1] - (gradient[:, border - 2] + gradient[:, border]) / 2
    return np.asarray(excess.reshape(-1, length, len(border)).mean(axis=1).ravel(), np.float32)


def seam(image: NDArray[np.uint8]) -> float:
    """Return the 99th percentile of the excess over all borders."""
    return float(np.percentile(seam_excess(image), 99))


def cuts(case: Case, image: NDArray[np.uint8]) -> int:
    """Return how many stretches of `STRETCH` px are cuts: their excess is `CUT` beyond the truth's."""
    beyond = seam_excess(image, STRETCH) - seam_excess(case.truth_written, STRETCH)
    return int((beyond > CUT).sum())


def ghosts(case: Case, image: NDArray[np.uint8]) -> float:
    """Return by how much blocks of glass beside the specimen differ from the truth, 99.9th percentile."""
    if not case.halo.any():
        return float("nan")
    difference = np.abs(_blocks(image, np.mean) - _blocks(case.truth, np.mean)).mean(axis=2)
    return float(np.percentile(difference[case.halo], 99.9))


def _blocks(values: NDArray[Any], reduce: Callable[..., NDArray[Any]]) -> NDArray[np.float32]:
    rows, columns = (length // BLOCK for length in values.shape[:2])
    blocks = values.reshape(rows, BLOCK, columns, BLOCK, *values.shape[2:])
    return np.asarray(reduce(blocks, axis=(1, 3)), np.float32)
