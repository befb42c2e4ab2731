"""`Profile`: how a focus measure runs over the planes at every pixel, and how far that is from a Gaussian."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.fuse.backend import Array

STEP = 2
"""Planes from the middle sample to the outer ones."""
_TINY = np.float32(np.finfo(np.float32).tiny)
_LARGEST_LOG = np.float32(80)
"""e to this is inside float32, however many are added up."""
_NO_FIT = np.float32(1e30)
"""The error where there is no curve."""

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The Gaussian through three samples of a profile F, for each plane 0 … P − 1 that F may be largest in.

    ln(F(x) / max F) = a + b t + c t² with t = x − x_middle. Two samples have to be kept; a, b and c add up their
    ln(F / max F), each times a number that depends on the planes only.

    Attributes
    ----------
    positions : ndarray of float64, (P,)
        x of each plane.
    samples : ndarray of int, (2, P)
        Planes of the samples to keep.
    middle : ndarray of int, (P,)
        Plane of the middle sample.
    linear, square : ndarray of float64, (2, P)
        What b and c take of the two logarithms.
    reference : bool
        Where True, the second sample is the middle one, and its logarithm is a; there is no curve where the two are
        equal or one is 0. Where False, the middle sample is max F, and a is 0.
    """

    positions: Floats
    samples: NDArray[np.intp]
    middle: NDArray[np.intp]
    linear: Floats
    square: Floats
    reference: bool


def sound_curve(positions: Floats) -> Curve:
    """Return the curve with its middle where F is largest; symmetric where that is the first or the last plane."""
    middle = np.arange(len(positions))
    samples = np.stack([np.maximum(middle - STEP, 0), np.minimum(middle + STEP, middle[-1])])
    linear, square = _coefficients(*(positions[samples] - positions))
    return Curve(positions=positions, samples=samples, middle=middle, linear=linear, square=square, reference=False)


def reference_curve(positions: Floats) -> Curve:
    """Return what coppafish's ``gauss3p`` computes: as F of the third sample it takes that of the first again."""
    planes = np.arange(len(positions))
    middle = planes.clip(STEP, planes[-1] - STEP)
    outer = np.where(planes < STEP, middle + STEP, middle - STEP)
    x = positions[middle]
    both = (table.sum(axis=0) for table in _coefficients(positions[middle - STEP] - x, positions[middle + STEP] - x))
    linear, square = (np.stack([outwards, -outwards]) for outwards in both)
    samples = np.stack([outer, middle])
    return Curve(positions=positions, samples=samples, middle=middle, linear=linear, square=square, reference=True)


def _coefficients(before: Floats, after: Floats) -> tuple[Floats, Floats]:
    """Return what b and c take of ln(F / F_middle) at two distances; where one is 0, the other counts for both."""
    linear, square = np.zeros((2, len(before))), np.zeros((2, len(before)))
    for plane, (low, high) in enumerate(zip(before, after, strict=True)):
        if low and high:
            square[:, plane] = np.array([1 / low, -1 / high]) / (low - high)
            linear[:, plane] = np.array([1 / low, 0]) - square[:, plane] * low
        elif low:
            square[0, plane] = 1 / low**2
        elif high:
            square[1, plane] = 1 / high**2
    return linear, square


class Profile:
    """Takes the measure of one plane after the other, twice: to `add`, then, after `fit`, to `compare`.

    Parameters
    ----------
    curve : Curve
        What is fitted.
    xp : module
        Of the measures: NumPy or CuPy.
    """

    top: Array
    """(height, width) float32: max F."""
    error: Array
    """(height, width) float32: Σ |F − Gaussian| / max F over the planes compared so far."""

    def __init__(self, curve: Curve, xp: Any) -> None:
        self._curve, self._xp = curve, xp
        self._low: Array = None
        self._peak: Array = None
        self._samples: list[Array] = []
        self._recent: dict[int, Array] = {}

    def add(self, plane: int, measure: Array) -> None:
        """Take the measure of a plane of the curve, (height, width) float32, which is not to be changed afterwards."""
        xp = self._xp
        self._recent[plane] = measure
        if plane == 0:
            self.top, self._low, *self._samples = (measure.copy() for _ in range(4))
            self._peak = xp.zeros(measure.shape, np.int16)
        else:
            higher = measure > self.top
            xp.maximum(self.top, measure, out=self.top)
            xp.minimum(self._low, measure, out=self._low)
            xp.copyto(self._peak, np.int16(plane), where=higher)
            for sample, planes in zip(self._samples, self._curve.samples, strict=True):
                if planes[plane] <= plane:
                    xp.copyto(sample, self._recent[planes[plane]], where=higher)
                waiting = np.flatnonzero(planes[:plane] == plane)
                if len(waiting):
                    late = (self._peak >= np.int16(waiting[0])) & (self._peak <= np.int16(waiting[-1]))
                    xp.copyto(sample, measure, where=late)
        needed = self._curve.samples[:, plane + 1 :]
        self._recent = {index: past for index, past in self._recent.items() if index in needed}

    def fit(self) -> None:
        """Lay the curves through the samples."""
        xp, curve = self._xp, self._curve
        outer, middle = self._samples
        self._recent.clear()
        nothing = (outer == middle) | (outer <= 0) | (middle <= 0) if curve.reference else None
        xp.maximum(self.top, _TINY, out=self.top)
        for sample in self._samples:
            sample /= self.top
            xp.maximum(sample, _TINY, out=sample)
            xp.log(sample, out=sample)
        self._linear, self._square = self._combined(curve.linear), self._combined(curve.square)
        self._offset = middle if curve.reference else None
        self._samples.clear()
        self._centre = xp.asarray(curve.positions[curve.middle], np.float32)[self._peak]
        self._peak = None
        self.error = xp.zeros(self.top.shape, np.float32)
        if nothing is not None:
            self.error[nothing] = _NO_FIT

    def _combined(self, table: Floats) -> Array:
        total, other = (self._xp.asarray(row, np.float32)[self._peak] for row in table)
        total *= self._samples[0]
        other *= self._samples[1]
        total += other
        return total

    def compare(self, plane: int, measure: Array) -> None:
        """Add how far a plane's measure, which is used up, is from the curve."""
        xp = self._xp
        distance = np.float32(self._curve.positions[plane]) - self._centre
        model = distance * self._square
        model += self._linear
        model *= distance
        if self._offset is not None:
            model += self._offset
        xp.minimum(model, _LARGEST_LOG, out=model)
        xp.exp(model, out=model)
        measure /= self.top
        model -= measure
        xp.abs(model, out=model)
        self.error += model

    def contrast(self) -> Array:
        """Return 1 − min F / max F, (height, width) float32; to be asked for once."""
        self._low /= self.top
        return self._xp.subtract(np.float32(1), self._low, out=self._low)
