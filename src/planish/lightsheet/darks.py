"""Which dark frame belongs to which camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from planish.lightsheet.darkframes import read_backgrounds
from planish.lightsheet.dataset import Dataset


def dark_frames(raw: Dataset) -> Mapping[int, NDArray[Any]]:
    """Return the dark frames of a data set by camera.

    They stand in the order of the cameras: of those that the XML lists, else of those with files. Where they are as
    many as neither, nobody knows whose they are, and there are none.
    """
    frames = read_backgrounds(raw.folder)
    seen = sorted({look.camera for look in raw.looks})
    listed = {camera for look in raw.looks if (told := raw.acquisition(look)) for camera in told.cameras}
    for cameras in (sorted(listed | set(seen)), seen):
        if len(cameras) == len(frames):
            return dict(zip(cameras, frames, strict=True))
    return {}
