"""`check_memory`: whether tiles and the result fit into what memory there is, before any work."""

from __future__ import annotations

from planish.errors import OptionError
from planish.fuse.backend import Backend
from planish.fuse.method import Method
from planish.fuse.planes import Planes
from planish.fuse.tiles import Tiling
from planish.memory import available_memory

_SMALLER = "choose a smaller tile_size"


def check_memory(
    planes: Planes, method: Method, tiling: Tiling, backend: Backend, jobs: int, *, in_files: bool = False
) -> None:
    """Raise OptionError where tiles of this size, or the result, take more memory than there is."""
    _, height, width, channels = planes.shape
    box = next(tiling.boxes(method, width, height, jobs))
    tile = tile_bytes(planes, method, tiling.margin(method), box.width, box.height)
    size = f"{box.width} × {box.height}"
    device, host = backend.free_bytes(), available_memory()
    if device is not None:
        if tile > device:
            raise OptionError(f"tile_size: a tile of {size} px needs {_there(tile, device, 'on the GPU')}; {_SMALLER}")
        jobs, tile = 0, 0
    if host is None:
        return
    result = 0 if in_files else width * height * (channels * planes.dtype.itemsize + method.map_bytes)
    if result > host:
        raise OptionError(
            f"stack: an image of {width} × {height} px needs {_there(result, host, 'in memory')}; "
            "use `planish fuse`, which keeps the result in a file"
        )
    if result + jobs * tile <= host:
        return
    needed = _there(result + jobs * tile, host, "in memory")
    for fewer in range(jobs - 1, 0, -1):
        part = next(tiling.boxes(method, width, height, fewer))
        if result + fewer * tile_bytes(planes, method, tiling.margin(method), part.width, part.height) <= host:
            raise OptionError(f"jobs={jobs}: tiles of {size} px, one for each, need {needed}; jobs={fewer} will do")
    raise OptionError(f"tile_size: tiles of {size} px, {jobs} at once, need {needed}; {_SMALLER}")


def tile_bytes(planes: Planes, method: Method, margin: int, tile_width: int, tile_height: int) -> int:
    """Return the bytes that fusing one tile takes at most."""
    _, height, width, channels = planes.shape
    window = min(tile_width + 2 * margin, width) * min(tile_height + 2 * margin, height)
    floats = method.float_planes + (channels - 1) * method.channel_planes
    return int(window * (4 * floats + 2 * channels * planes.dtype.itemsize + method.map_bytes))


def _there(needed: int, there: int, where: str) -> str:
    return f"{needed / 2**20:,.0f} MiB {where}, where {there / 2**20:,.0f} MiB are free"
