"""One small z-stack in every form that planish reads, for the contract test of the readers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import tifffile
from numpy.typing import NDArray

from arrays import ArraySlide
from made_czi import Mosaic, state_z, write_czi
from made_dicom import DicomOptions, write_dicom_stack
from made_scn import Scan
from made_zarr import RGB, ZarrForm, make_zarr
from planish.phantom.containers import ContainerOptions, write_container
from planish.write.assembler import Tag, TiffAssembler, Value, long, short

Z_UM = (-1.5, 0.0, 1.5, 3.25)
HEIGHT, WIDTH = 392, 520
Made = Path | Sequence[Path]


def make_stack(planes: int = 4, channels: int = 3, dtype: Any = np.uint8) -> NDArray[Any]:
    """Return smooth planes of strong and different colours, so that a wrong plane or colour is far off."""
    random = np.random.default_rng(planes + channels)
    coarse = random.integers(0, 255, (planes, HEIGHT // 40 + 1, WIDTH // 40 + 1, channels), np.uint8)
    stack = [cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) for plane in coarse]
    shaped = np.stack(stack).reshape(planes, HEIGHT, WIDTH, channels)
    return (shaped.astype(np.int64) * (1 if np.dtype(dtype).itemsize == 1 else 257)).astype(dtype)


def container(folder: Path, stack: NDArray[Any], **options: Any) -> Path:
    """Write the stack with planish's own containers, planes shuffled."""
    chosen = ContainerOptions(**options)
    path = folder / {"ome-tiff": "stack.ome.tif", "svs": "stack.svs", "ndpi": "stack.ndpi"}[chosen.kind]
    write_container(ArraySlide(stack, z_um=Z_UM[: len(stack)]), path, chosen)
    return path


def ome_by_tifffile(folder: Path, stack: NDArray[Any]) -> Path:
    """Write an OME-TIFF with the library that most people use for it."""
    path = folder / "tifffile.ome.tif"
    z = list(Z_UM[: len(stack)])
    metadata = {"axes": "ZYXS", "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "Plane": {"PositionZ": z}}
    tifffile.imwrite(path, stack, tile=(128, 128), photometric="rgb", metadata=metadata)
    return path


def multi_page(folder: Path, stack: NDArray[Any]) -> Path:
    """Write a page per plane, in strips, nothing said about z."""
    path = folder / "pages.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in stack:
            writer.write(plane, photometric="rgb", rowsperstrip=16, metadata=None)
    return path


def planar(folder: Path, stack: NDArray[Any]) -> Path:
    """Write a page per plane with each colour in strips of its own, big-endian, LZW."""
    path = folder / "planar.tif"
    with tifffile.TiffWriter(path, byteorder=">") as writer:
        for plane in stack:
            colours = np.moveaxis(plane, 2, 0)
            writer.write(colours, photometric="rgb", planarconfig="separate", compression="lzw", metadata=None)
    return path


def plain_pyramid(folder: Path, stack: NDArray[Any]) -> Path:
    """Write each plane followed by its smaller versions, as in a plain pyramidal TIFF of several images."""
    path = folder / "pyramid.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in stack:
            writer.write(plane, tile=(128, 128), photometric="rgb", metadata=None)
            small = cv2.resize(plane, (WIDTH // 4, HEIGHT // 4), interpolation=cv2.INTER_AREA)
            writer.write(small, tile=(128, 128), photometric="rgb", subfiletype=1, metadata=None)
    return path


def npy(folder: Path, stack: NDArray[Any]) -> Path:
    """Write a NumPy file."""
    path = folder / "stack.npy"
    np.save(path, stack if stack.shape[3] > 1 else stack[..., 0])
    return path


def images(folder: Path, stack: NDArray[Any], names: str = "plane{}.png") -> Path:
    """Write a folder of PNGs; numbers without leading zeros start at 9, so that only natural order is right."""
    inside = folder / "planes"
    inside.mkdir()
    for index, plane in enumerate(stack):
        z = "m" + str(-Z_UM[index]) if Z_UM[index] < 0 else str(Z_UM[index])
        name = names.format(index + 9) if "{}" in names else names.format(z=z.replace("m", "-"))
        (inside / name).write_bytes(bytes(imagecodecs.png_encode(plane)))
    return inside


def image_list(folder: Path, stack: NDArray[Any]) -> Sequence[Path]:
    """Return the files of a folder as a list in disorder; the z in their names has a unit."""
    return sorted(images(folder, stack, "a_z{z}um.png").iterdir(), reverse=True)


def slides_in_folder(folder: Path, stack: NDArray[Any]) -> Path:
    """Write a folder with a one-plane SVS for each plane."""
    inside = folder / "slides"
    inside.mkdir()
    for index, plane in enumerate(stack):
        write_container(ArraySlide(plane[None]), inside / f"z{index}.svs", ContainerOptions("svs", codec="deflate"))
    return inside


def dicom(folder: Path, stack: NDArray[Any], z_um: Sequence[float] = Z_UM, **options: Any) -> Path:
    """Write a folder with a DICOM series."""
    return write_dicom_stack(folder, stack, z_um, DicomOptions(**options))


def zeiss(folder: Path, stack: NDArray[Any]) -> Path:
    """Write a CZI whose planes are numbered in disorder; the file tells their z."""
    path = write_czi(folder / "stack.czi", stack[[2, 0, 3, 1]], Mosaic(origin=(-40, 9)))
    state_z(path, [Z_UM[index] for index in (2, 0, 3, 1)])
    return path


def leica(folder: Path, stack: NDArray[Any], **options: Any) -> Path:
    """Write an SCN whose planes have no known distance."""
    return Scan(options=tuple({"photometric": "rgb", **options}.items())).write(folder / "stack.scn", [stack])


def tiled_page(
    assembler: TiffAssembler, size: tuple[int, int], tile: int, offsets: list[int], counts: list[int]
) -> dict[int, Value]:
    """Return the tags of an uncompressed RGB page, to be spoilt by tests of damaged files."""
    return {
        Tag.IMAGE_WIDTH: long(size[0]),
        Tag.IMAGE_LENGTH: long(size[1]),
        Tag.BITS_PER_SAMPLE: short([8] * 3),
        Tag.COMPRESSION: short(1),
        Tag.PHOTOMETRIC: short(2),
        Tag.SAMPLES_PER_PIXEL: short(3),
        Tag.TILE_WIDTH: long(tile),
        Tag.TILE_LENGTH: long(tile),
        Tag.TILE_OFFSETS: assembler.offsets(offsets),
        Tag.TILE_BYTE_COUNTS: long(counts),
    }


@dataclass(frozen=True)
class Maker:
    """A form of the stack.

    Attributes
    ----------
    make : callable
        (folder, stack) -> what `open_slide` takes.
    exact : bool
        Whether pixels come back as they went in; otherwise to within 3 grey levels on average.
    z : bool
        Whether the form tells z in µm.
    stack : ndarray
        What goes in.
    z_um : tuple of float
        Where its planes lie, for forms that only hold even spacing.
    """

    make: Callable[[Path, NDArray[Any]], Made]
    exact: bool = True
    z: bool = True
    stack: NDArray[Any] = field(default_factory=make_stack)
    z_um: tuple[float, ...] = Z_UM


def ome_zarr(folder: Path, stack: NDArray[Any], **form: Any) -> Path:
    """Write an OME-Zarr."""
    return make_zarr(folder, stack, ZarrForm(**form))


_LOSSY: dict[str, Any] = {"quality": 95}
_EVEN = (-1.5, 0.0, 1.5, 3.0)
MAKERS: dict[str, Maker] = {
    "ome-none": Maker(partial(container, codec="none")),
    "ome-lzw": Maker(partial(container, codec="lzw")),
    "ome-deflate-strips": Maker(partial(container, codec="deflate", tiled=False)),
    "ome-uint16": Maker(partial(container, codec="deflate"), stack=make_stack(channels=1, dtype=np.uint16)),
    "ome-jpeg-rgb": Maker(partial(container, color="rgb", **_LOSSY), exact=False),
    "ome-jpeg-420": Maker(partial(container, subsampling=(2, 2), **_LOSSY), exact=False),
    "ome-jpeg2000": Maker(partial(container, codec="jpeg2000", quality=100), exact=False),
    "ome-tifffile": Maker(ome_by_tifffile),
    "svs-rgb": Maker(partial(container, kind="svs", color="rgb", **_LOSSY), exact=False),
    "svs-444": Maker(partial(container, kind="svs", subsampling=(1, 1), **_LOSSY), exact=False),
    "svs-jpeg2000": Maker(partial(container, kind="svs", codec="jpeg2000", quality=100), exact=False),
    "svs-lzw": Maker(partial(container, kind="svs", codec="lzw")),
    "ndpi": Maker(partial(container, kind="ndpi", subsampling=(1, 1), **_LOSSY), exact=False),
    "ndpi-chunks": Maker(partial(container, kind="ndpi", chunk_width=104, **_LOSSY), exact=False),
    "tiff-pages": Maker(multi_page, z=False),
    "tiff-planar": Maker(planar, z=False),
    "tiff-pyramid": Maker(plain_pyramid, z=False),
    "npy": Maker(npy, z=False),
    "npy-int32": Maker(npy, z=False, stack=make_stack(channels=1, dtype=np.int32)),
    "folder": Maker(images, z=False),
    "list": Maker(image_list),
    "folder-of-svs": Maker(slides_in_folder, z=False),
    "czi": Maker(zeiss),
    "scn": Maker(partial(leica, compression="lzw"), z=False),
    "scn-jpeg": Maker(partial(leica, compression="jpeg", compressionargs={"level": 95}), exact=False, z=False),
    "czi-uint16": Maker(zeiss, stack=make_stack(channels=2, dtype=np.uint16)),
    "dicom-full-jpeg": Maker(partial(dicom, z_um=_EVEN), exact=False, z_um=_EVEN),
    "dicom-planes": Maker(partial(dicom, layout="planes", codec="none")),
    "dicom-sparse": Maker(partial(dicom, layout="sparse", codec="jpeg2000", table="none")),
    "dicom-mixed": Maker(partial(dicom, layout="mixed", color="rgb", table="extended"), exact=False),
    "dicom-paths": Maker(partial(dicom, layout="planes", codec="none", channels=True)),
    "zarr-0.4-tczyx": Maker(partial(ome_zarr, version="0.4", omero=RGB), z_um=_EVEN),
    "zarr-0.4-zyx": Maker(
        partial(ome_zarr, version="0.4", axes="zyx", dtype=">u2"),
        stack=make_stack(channels=1, dtype=np.uint16),
        z_um=_EVEN,
    ),
    "zarr-0.5-czyx": Maker(partial(ome_zarr, axes="czyx", down=True), z_um=_EVEN),
    "zarr-0.5-shards": Maker(partial(ome_zarr, shards=(256, 256), omero=RGB), z_um=_EVEN),
    "zarr-0.5-deep-shards": Maker(partial(ome_zarr, axes="zyxc", deep=True, shards=(256, 384)), z_um=_EVEN),
    "zarr-0.5-odd": Maker(
        partial(ome_zarr, axes="xycz", chunk=(50, 1500), deep=True),
        stack=make_stack(channels=2, dtype=np.float32),
        z_um=_EVEN,
    ),
}
