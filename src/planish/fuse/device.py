"""`DeviceBackend`: the fusion methods' operations with CuPy, on a GPU."""

from __future__ import annotations

from planish.errors import OptionError
from planish.fuse.backend import Backend


def open_device() -> Backend:
    """Return the GPU's backend.

    Raises
    ------
    OptionError
        Where CuPy is missing or finds no GPU.
    """
    raise OptionError("backend='cupy': not there yet")
