"""A z-stack as DICOM whole-slide images, by pydicom alone: tiled in full or sparsely, in several codecs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended
from pydicom.uid import (
    UID,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    VLWholeSlideMicroscopyImageStorage,
)

TILE = 128
_SYNTAX = {"jpeg": JPEGBaseline8Bit, "jpeg2000": JPEG2000Lossless, "none": ExplicitVRLittleEndian}


@dataclass(frozen=True)
class DicomOptions:
    """How the stack is written.

    Attributes
    ----------
    codec : str
        ``"jpeg"`` (quality 95), ``"jpeg2000"`` (lossless) or ``"none"``.
    layout : str
        ``"full"``: all planes in one TILED_FULL file for each level, evenly spaced; ``"planes"``: a TILED_FULL file for
        each plane; ``"sparse"``: one TILED_SPARSE file for each level; ``"mixed"``: full size sparse, the rest planes.
    table : str
        Of frames: ``"basic"``, ``"extended"`` or ``"none"``.
    color : str
        Inside the JPEG: ``"ycbcr"`` or ``"rgb"``.
    missing : tuple of int
        Frames that a sparse file leaves out.
    series : str
        Frames of another series get other UIDs.
    channels : bool
        Each sample an optical path of its own.
    bits : int
        Of a sample.
    """

    codec: str = "jpeg"
    layout: str = "full"
    table: str = "basic"
    color: str = "ycbcr"
    missing: tuple[int, ...] = ()
    series: str = "a"
    channels: bool = False
    bits: int = 8


@dataclass(frozen=True)
class _Frame:
    """A tile: column and row in its level, z in µm, optical path, pixels."""

    column: int
    row: int
    z: float
    path: int
    pixels: NDArray[Any]


def uid(*words: object) -> UID:
    """Return a UID that the words alone decide."""
    number = int.from_bytes(hashlib.sha256(repr(words).encode()).digest()[:12], "big")
    return UID(f"2.25.{number}")


def write_dicom_stack(
    folder: Path, stack: NDArray[Any], z_um: Sequence[float], options: DicomOptions | None = None
) -> Path:
    """Write the stack with two levels into a folder; the names of its files are in no order."""
    options = options or DicomOptions()
    inside = folder / "series"
    inside.mkdir(parents=True)
    small = np.stack([cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for plane in stack])
    for level, pixels in enumerate([stack, small.reshape(*small.shape[:3], -1)]):
        layout = options.layout if options.layout != "mixed" else ("planes" if level else "sparse")
        numbers = range(len(stack))
        groups = [[number] for number in numbers] if layout == "planes" else [list(numbers)]
        for group in groups:
            frames = list(_frames(pixels, group, z_um, options.channels))
            if layout == "sparse":
                # Out of order, so that only the positions are right.
                frames = [frame for index, frame in enumerate(reversed(frames)) if index not in options.missing]
            header = describe(pixels.shape[1:], [z_um[number] for number in group], options, level)
            if layout == "sparse":
                _position(header, frames)
            name = uid(level, group, options.series)[-6:]
            save(inside / f"{name}.dcm", header, [frame.pixels for frame in frames], options)
    return inside


def _frames(pixels: NDArray[Any], group: Sequence[int], z_um: Sequence[float], channels: bool) -> Any:
    """Yield the tiles path by path, plane by plane, row by row, filled up to full size."""
    _, height, width, samples = pixels.shape
    columns, rows = -(-width // TILE), -(-height // TILE)
    full = np.pad(pixels, ((0, 0), (0, rows * TILE - height), (0, columns * TILE - width), (0, 0)), mode="edge")
    for path in range(samples if channels else 1):
        chosen = full[..., path : path + 1] if channels else full
        for number in group:
            for row in range(rows):
                for column in range(columns):
                    tile = chosen[number, row * TILE : (row + 1) * TILE, column * TILE : (column + 1) * TILE]
                    yield _Frame(column, row, z_um[number], path, tile)


def describe(shape: Sequence[int], z_um: Sequence[float], options: DicomOptions, level: int) -> Dataset:
    """Return the attributes of an image of (height, width, samples)."""
    height, width, samples = shape
    paths, samples = (samples, 1) if options.channels else (1, samples)
    data = Dataset()
    data.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    data.SOPInstanceUID = uid(options, level, tuple(z_um))
    data.StudyInstanceUID, data.SeriesInstanceUID = uid("study", options.series), uid("series", options.series)
    data.FrameOfReferenceUID = uid("frame", options.series)
    data.ImageType = ["DERIVED" if level else "ORIGINAL", "PRIMARY", "VOLUME", "RESAMPLED" if level else "NONE"]
    data.Modality, data.Manufacturer, data.ExtendedDepthOfField = "SM", "Made", "NO"
    data.Rows = data.Columns = TILE
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.TotalPixelMatrixFocalPlanes, data.NumberOfOpticalPaths = len(z_um), paths
    data.SamplesPerPixel, data.PhotometricInterpretation = samples, _photometric(samples, options)
    if samples == 3:
        data.PlanarConfiguration = 0
    bits = options.bits
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits, bits - 1, 0
    data.DimensionOrganizationType = "TILED_FULL"
    measures, shared, position, items = Dataset(), Dataset(), Dataset(), []
    measures.PixelSpacing = [0.00025 * 2**level] * 2
    if len(z_um) > 1:
        measures.SpacingBetweenSlices = (z_um[1] - z_um[0]) / 1000
    position.ZOffsetInSlideCoordinateSystem = z_um[0]
    shared.PixelMeasuresSequence, shared.PlanePositionSlideSequence = [measures], [position]
    data.SharedFunctionalGroupsSequence = [shared]
    for path in range(paths):
        item = Dataset()
        item.OpticalPathIdentifier, item.ObjectiveLensPower = str(path), "40"
        item.OpticalPathDescription = f"channel {'abc'[path]}"
        items.append(item)
    data.OpticalPathSequence = items
    return data


def _photometric(samples: int, options: DicomOptions) -> str:
    if samples == 1:
        return "MONOCHROME2"
    return {"jpeg2000": "YBR_RCT", "jpeg": "YBR_FULL_422" if options.color == "ycbcr" else "RGB"}.get(
        options.codec, "RGB"
    )


def _position(data: Dataset, frames: Sequence[_Frame]) -> None:
    """Say of each frame where it stands."""
    data.DimensionOrganizationType = "TILED_SPARSE"
    del data.SharedFunctionalGroupsSequence[0].PlanePositionSlideSequence
    groups = []
    for frame in frames:
        position, path, group = Dataset(), Dataset(), Dataset()
        position.ColumnPositionInTotalImagePixelMatrix = frame.column * TILE + 1
        position.RowPositionInTotalImagePixelMatrix = frame.row * TILE + 1
        position.XOffsetInSlideCoordinateSystem = position.YOffsetInSlideCoordinateSystem = 0
        position.ZOffsetInSlideCoordinateSystem = frame.z
        path.OpticalPathIdentifier = str(frame.path)
        group.PlanePositionSlideSequence, group.OpticalPathIdentificationSequence = [position], [path]
        groups.append(group)
    data.PerFrameFunctionalGroupsSequence = groups


def save(path: Path, data: Dataset, frames: Sequence[NDArray[Any]], options: DicomOptions) -> None:
    """Write a file of some frames."""
    data.NumberOfFrames = len(frames)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = _SYNTAX[options.codec]
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    encoded = [_encode(frame, options) for frame in frames]
    if options.codec == "none":
        pixels = b"".join(encoded)
        data.PixelData = pixels + bytes(len(pixels) % 2)
    elif options.table == "extended":
        data.PixelData, data.ExtendedOffsetTable, data.ExtendedOffsetTableLengths = encapsulate_extended(encoded)
    else:
        data.PixelData = encapsulate(encoded, has_bot=options.table == "basic")
    data["PixelData"].VR = "OB"
    data.save_as(path, enforce_file_format=True)


def _encode(frame: NDArray[Any], options: DicomOptions) -> bytes:
    frame = np.ascontiguousarray(frame if frame.shape[2] == 3 else frame[..., 0])
    if options.codec == "none":
        return frame.tobytes()
    if options.codec == "jpeg2000":
        return bytes(imagecodecs.jpeg2k_encode(frame, reversible=True, codecformat="J2K", mct=frame.ndim == 3))
    if frame.ndim == 2:
        return bytes(imagecodecs.jpeg8_encode(frame, level=95))
    return bytes(imagecodecs.jpeg8_encode(frame, level=95, outcolorspace=options.color, subsampling="444"))
