"""CZI files around arrays: written by pylibCZIrw, their directory patched for what it does not write."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from pylibCZIrw import czi

Z_STEP_UM, MPP = 1.5, 0.25
_DIRECTORY_POSITION = 32 + 52
"""Of the sub-block directory's place in a file: after its segment's header."""
_ENTRY, _DIMENSION = 32, 20
"""Bytes of a directory entry before its dimensions, and of each of these."""
_PYRAMID_TYPE = 22


@dataclass(frozen=True)
class Mosaic:
    """How a plane is cut into sub-blocks.

    Attributes
    ----------
    tile : int
        Edge of a sub-block.
    origin : tuple of int
        Place of the upper left corner in the file.
    overlap : int
        Pixels that neighbours share.
    compression : str
        As pylibCZIrw calls it.
    """

    tile: int = 128
    origin: tuple[int, int] = (0, 0)
    overlap: int = 0
    compression: str = "uncompressed:"

    def cut(self, image: NDArray[Any]) -> Iterator[tuple[tuple[int, int], NDArray[Any]]]:
        """Yield place in the file and pixels of each sub-block."""
        step = self.tile - self.overlap
        for y in range(0, max(1, image.shape[0] - self.overlap), step):
            for x in range(0, max(1, image.shape[1] - self.overlap), step):
                block = image[y : y + self.tile, x : x + self.tile]
                yield (self.origin[0] + x, self.origin[1] + y), block


def write_czi(path: Path, stack: NDArray[Any], mosaic: Mosaic | None = None, **about: Any) -> Path:
    """Write a stack (Z, Y, X, C), or (S, T, Z, Y, X, C); RGB as one channel, others as one each.

    `about` goes to `write_metadata`; scenes lie beside each other, 1000 px apart.
    """
    mosaic = mosaic or Mosaic()
    shaped = stack.reshape((1,) * (6 - stack.ndim) + stack.shape)
    colours = shaped.shape[5] == 3
    with czi.create_czi(str(path), exist_ok=False, compression_options=mosaic.compression) as file:
        for scene, time, z in np.ndindex(shaped.shape[:3]):
            image = shaped[scene, time, z]
            parts = [image[..., ::-1]] if colours else np.split(image, image.shape[2], axis=2)
            for channel, part in enumerate(parts):
                plane = {"Z": z, "T": time, "C": channel}
                for (x, y), block in mosaic.cut(part):
                    file.write(np.ascontiguousarray(block), (x + 1000 * scene, y), plane, scene=scene)
        file.write_metadata(scale_x=MPP / 1e6, scale_y=MPP / 1e6, scale_z=Z_STEP_UM / 1e6, **about)
    return path


def write_pyramid(path: Path, stack: NDArray[Any], downsample: int = 2) -> Path:
    """Write a stack of RGB planes (Z, Y, X, 3) with a smaller level."""
    with czi.create_czi(str(path), exist_ok=False) as file:
        for z, image in enumerate(stack):
            small = cv2.resize(image, None, fx=1 / downsample, fy=1 / downsample, interpolation=cv2.INTER_AREA)
            file.write(np.ascontiguousarray(image[..., ::-1]), (0, 0), {"Z": z})
            file.write(np.ascontiguousarray(small[..., ::-1]), (0, 0), {"Z": z})
        file.write_metadata(scale_x=MPP / 1e6, scale_y=MPP / 1e6, scale_z=Z_STEP_UM / 1e6)
    height, width = stack.shape[1:3]

    def enlarge(sizes: dict[str, list[int]]) -> None:
        if sizes["X"][2] < width:
            sizes["X"][1], sizes["Y"][1] = width, height

    patch(path, enlarge, pyramid=lambda sizes: sizes["X"][1] > sizes["X"][2])
    return path


def state_z(path: Path, z_um: Sequence[float]) -> None:
    """Say the z of each plane in the order of their numbers, as ZEN does: a start and offsets from it."""
    offsets = " ".join(str(z - z_um[0]) for z in z_um)
    z = (
        f"<Z><StartPosition>{z_um[0]}</StartPosition><Positions><List><Offsets>{offsets}</Offsets></List></Positions>"
        "</Z>"
    )
    with czi.edit_czi(str(path)) as editor:
        xml = editor.read_metadata_xml()
        with editor.edit_session() as builder:
            builder.set_xml(xml.replace("</Dimensions>", f"{z}</Dimensions>"))


def attach(path: Path, name: str, czi_file: bytes) -> Path:
    """Append a CZI as an attachment."""
    data = path.read_bytes()
    entry = struct.pack("<2s10xq20x8s80s", b"A1", len(data), b"CZI", name.encode())
    head = struct.pack("<i12x", len(czi_file)) + entry + bytes(112)
    segment = _segment(b"ZISRAWATTACH", head + czi_file)
    listing = _segment(b"ZISRAWATTDIR", struct.pack("<i252x", 1) + entry)
    path.write_bytes(data[:104] + struct.pack("<q", len(data) + len(segment)) + data[112:] + segment + listing)
    return path


def _segment(name: bytes, data: bytes) -> bytes:
    return struct.pack("<16sqq", name, len(data), len(data)) + data


def patch(
    path: Path,
    change: Callable[[dict[str, list[int]]], None],
    pyramid: Callable[[dict[str, list[int]]], bool] = lambda sizes: False,
) -> None:
    """Change start, size and stored size of the dimensions of each sub-block, where the directory and it state them."""
    data = bytearray(path.read_bytes())
    (directory,) = struct.unpack_from("<q", data, _DIRECTORY_POSITION)
    (count,) = struct.unpack_from("<i", data, directory + 32)
    place = directory + 32 + 128
    for _ in range(count):
        (position,) = struct.unpack_from("<q", data, place + 6)
        for entry in (place, position + 32 + 16):
            length = _change_entry(data, entry, change, pyramid)
        place += length
    path.write_bytes(data)


def _change_entry(data: bytearray, place: int, change: Callable[..., None], pyramid: Callable[..., bool]) -> int:
    """Change one entry; returns its length in bytes."""
    assert data[place : place + 2] == b"DV"
    count = int.from_bytes(data[place + 28 : place + 32], "little")
    places = {}
    sizes: dict[str, list[int]] = {}
    for index in range(count):
        at = place + _ENTRY + index * _DIMENSION
        name = bytes(data[at : at + 4]).rstrip(b"\0").decode()
        start, size, _, stored = struct.unpack_from("<iifi", data, at + 4)
        places[name], sizes[name] = at + 4, [start, size, stored]
    change(sizes)
    for name, (start, size, stored) in sizes.items():
        struct.pack_into("<iifi", data, places[name], start, size, float(start), stored)
    if pyramid(sizes):
        data[place + _PYRAMID_TYPE] = 1
    return _ENTRY + count * _DIMENSION
