"""Parts of a file: which scene and time point a slide shows, how it is found again; channels that lie apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from planish.model import Missing
from planish.slide.base import Slide, Source


def part_notes(scenes: Sequence[str], times: int, scene: int = 0, time: int = 0) -> tuple[str, ...]:
    """Return what `SlideMetadata.notes` say of a file with several scenes or time points; nothing where it has one.

    What nobody chose is `Missing`: the others may have been forgotten.
    """
    counts = (("scenes", "scene", len(scenes), scene), ("time points", "time", times, time))
    return tuple(_part_note(*each) for each in counts if each[2] > 1)


def _part_note(what: str, option: str, count: int, index: int) -> str:
    if index == 0:
        return Missing(f"holds {count} {what}, of which the first is shown; --{option} chooses another")
    return f"holds {count} {what}, of which number {index}, counted from 0, is shown; --{option} chooses another"


def open_part(kind: type[Slide], source: Source, scene: int, time: int) -> Slide:
    """Open a scene and time point of a file anew; parts pickle by it."""
    return kind(source).view(scene=scene, time=time)


def join_channels(samples: Sequence[int], channels: Sequence[int], read: Callable[[int], NDArray[Any]]) -> NDArray[Any]:
    """Return some channels of a tile whose channels lie in several images, and read no other image.

    Parameters
    ----------
    samples : sequence of int
        Channels of each image.
    channels : sequence of int
        Numbers of those wanted, over all images.
    read : callable
        Number of an image -> its tile, (height, width, samples).
    """
    owners = [(image, sample) for image, count in enumerate(samples) for sample in range(count)]
    wanted = [owners[channel] for channel in channels]
    images = {image: read(image) for image in dict.fromkeys(image for image, _ in wanted)}
    if wanted == [(image, sample) for image in images for sample in range(samples[image])]:
        tiles = [*images.values()]
        return tiles[0] if len(tiles) == 1 else np.concatenate(tiles, axis=2)
    return np.stack([images[image][..., sample] for image, sample in wanted], axis=2)
