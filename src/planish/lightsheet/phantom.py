"""A made microscope with two opposite cameras whose every parameter is known, to measure registration and fusion on."""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from planish.lightsheet import phantom_files
from planish.lightsheet.phantom_options import PhantomOptions
from planish.lightsheet.phantom_points import Points, make_points
from planish.lightsheet.phantom_view import View, crossover

__all__ = ["CAMERAS", "PhantomOptions", "TwoCameraPhantom"]

CAMERAS = (0, 1)

Number = TypeVar("Number", bound=np.number[Any])


class TwoCameraPhantom:
    """One specimen, seen by two cameras.

    The first camera is sharp at low z, the second at high z; the second's frame is shifted, turned, flipped and dimmer.
    Each is drawn from the points' formula in its own frame, so that no resampling flatters a registration.
    """

    def __init__(self, options: PhantomOptions | None = None) -> None:
        self.options = options or PhantomOptions()

    @cached_property
    def points(self) -> Points:
        """The specimen."""
        return make_points(self.options.shape, np.random.default_rng((self.options.seed, 0)))

    @cached_property
    def truth(self) -> NDArray[np.float32]:
        """The specimen as an ideal first camera sees it: no blur, no loss, no noise, no offset; (Z, Y, X), counts."""
        ideal = replace(self.options, blur=0.0, loss=0.0, second_channel=None)
        return View(ideal, 0).render(self.points)

    @cached_property
    def surface(self) -> NDArray[np.float32]:
        """The true crossover: the z at which both cameras see equally well, in planes; (Y, X), first camera's frame."""
        row = crossover(self.options).astype(np.float32)
        return np.repeat(row[None, :], self.options.shape[1], axis=0)

    def clean(self, camera: int, channel: int = 0) -> NDArray[np.float32]:
        """Return what a camera with a perfect chip sees, not flipped: (Z, Y, X), counts without offset."""
        return View(self.options, camera, channel).render(self.points)

    def view(self, camera: int, channel: int = 0) -> NDArray[np.uint16]:
        """Return what a camera records, with the flip of the second one undone: (Z, Y, X)."""
        return self._flipped(self.camera(camera, channel), camera)

    def camera(self, camera: int, channel: int = 0) -> NDArray[np.uint16]:
        """Return what a camera records: (Z, Y, X), in its own, flipped frame, with offset, noise and hot pixels."""
        light = self._flipped(self.clean(camera, channel), camera) + self._excess(camera)
        # Time points share the specimen and the chip, but no noise.
        generator = np.random.default_rng((self.options.seed, 1, self.options.frame_seed, camera, channel))
        return self._read(light, generator)

    def dark(self, camera: int) -> NDArray[np.uint16]:
        """Return what a camera records with its shutter closed: (Y, X)."""
        return self._read(self._excess(camera), np.random.default_rng((self.options.seed, 2, camera)))

    def bad(self, camera: int) -> NDArray[np.bool_]:
        """Return which pixels of a camera are hot: (Y, X), in its own, flipped frame."""
        return self._excess(camera) > 0

    def write(self, folder: Path | str, *, specimen: int = 0, time: int = 0, xml_depth: int | None = None) -> Path:
        """Write a raw data set: `.stack` files, one XML per channel and a dark frame per camera.

        Parameters
        ----------
        folder : path
            Made if need be; other specimens and time points can lie in it.
        specimen, time : int
            What the files' names say.
        xml_depth : int or None
            The number of planes that the XML claims; None for the true one.
        """
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for channel in self.options.channels:
            for camera in CAMERAS:
                name = phantom_files.stack_name(specimen, time, camera, channel)
                self.camera(camera, channel).astype("<u2").tofile(folder / name)
            phantom_files.write_xml(folder, self.options, channel, xml_depth)
        for camera in CAMERAS:
            phantom_files.write_dark(folder, camera, self.dark(camera))
        return folder

    def _excess(self, camera: int) -> NDArray[np.float32]:
        """Return by how much each pixel of a chip is too bright, in counts."""
        generator = np.random.default_rng((self.options.seed, 3, camera))
        size = self.options.shape[1:]
        hot = generator.random(size) < self.options.sensor.hot
        return np.where(hot, generator.uniform(300, 3000, size), 0).astype(np.float32)

    def _flipped(self, volume: NDArray[Number], camera: int) -> NDArray[Number]:
        axes = [axis for axis, flip in ((1, self.options.flip_y), (2, self.options.flip_x)) if flip and camera]
        return np.ascontiguousarray(np.flip(volume, tuple(axes))) if axes else volume

    def _read(self, light: NDArray[np.float32], generator: np.random.Generator) -> NDArray[np.uint16]:
        sensor = self.options.sensor
        counts = np.empty(light.shape, np.uint16)
        frames, out = (array.reshape(-1, *light.shape[-2:]) for array in (light, counts))
        for frame, target in zip(frames, out, strict=True):
            values = generator.poisson(frame).astype(np.float32) if sensor.shot_noise else frame
            values = values + sensor.offset + sensor.read_noise * generator.standard_normal(frame.shape, np.float32)
            target[:] = np.clip(np.rint(values), 0, 65535)
        return counts
