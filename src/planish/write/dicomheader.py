"""What a DICOM output says of itself. Nothing of patient, specimen or study is carried over."""

from __future__ import annotations

from functools import cache
from typing import Any

from PIL import ImageCms
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, VLWholeSlideMicroscopyImageStorage

from planish._version import __version__
from planish.encoding import Encoding
from planish.errors import OptionError
from planish.model import Level
from planish.slide.base import Slide
from planish.slide.dicom import BURNED_IN
from planish.write.dicomgeometry import mean_distance, measures, source_notes, source_planes, volume
from planish.write.dicomnames import ImageNames, SeriesNames

MODEL = "planish"
"""By which files that planish wrote are known."""
_METHODS = {"jpeg": "ISO_10918_1", "jpeg2000": "ISO_15444_1"}


def describe_image(
    slide: Slide, level: Level, encoding: Encoding, names: tuple[SeriesNames, ImageNames], pixel_bytes: int
) -> Dataset:
    """Return the attributes of one image of an output, of one length whatever `pixel_bytes`.

    Parameters
    ----------
    slide : Slide
        What is written; of an associated image, the slide that it belongs to.
    level : Level
        Size and tiles of the image.
    encoding : Encoding
        Of its frames.
    names : (SeriesNames, ImageNames)
        UIDs and kind.
    pixel_bytes : int
        Of all frames.
    """
    series, image = names
    data = Dataset()
    for part in (_study(names), _equipment(), _specimen(series), _pixels(slide, level, encoding), _tiling(level)):
        data.update(part)
    data.SOPClassUID, data.SOPInstanceUID = VLWholeSlideMicroscopyImageStorage, image.instance
    data.InstanceNumber, data.ImageType = image.number, image.image_type
    data.SpecimenLabelInImage = "NO" if image.kind == "VOLUME" else "YES"
    # Labels and overviews show what was written on the glass; of the specimen, only the source can know.
    data.BurnedInAnnotation = "YES" if image.kind != "VOLUME" or BURNED_IN in source_notes(slide) else "NO"
    data.update(_focus(slide if image.kind == "VOLUME" else None))
    data.update(_loss(slide, level, encoding, pixel_bytes))
    data.update(_groups(slide, level, names))
    if image.kind == "LABEL":
        data.LabelText, data.BarcodeValue = "", ""
    if image.kind == "VOLUME":
        data.PyramidUID = series.pyramid
    data.OpticalPathSequence = Items([_optical_path(slide)])
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = JPEGBaseline8Bit if encoding.codec == "jpeg" else JPEG2000Lossless
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    return data


def check_describable(slide: Slide) -> None:
    """Raise OptionError where DICOM cannot hold a slide."""
    channels, dtype = len(slide.channels), slide.dtype.name
    if (channels, dtype) not in ((1, "uint8"), (1, "uint16"), (3, "uint8")):
        raise OptionError(
            f"{slide.name}: DICOM slides hold 8-bit RGB, or one channel of 8 or 16 bits, not {channels} channels of "
            f"{dtype}; choose a channel, or write OME-TIFF (name.ome.tif)"
        )
    if not (slide.metadata.mpp_x and slide.metadata.mpp_y):
        raise OptionError(
            f"{slide.name}: DICOM wants the size of a pixel, which is not known; write OME-TIFF (name.ome.tif)"
        )


def _study(names: tuple[SeriesNames, ImageNames]) -> Dataset:
    data, (series, image) = Dataset(), names
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime"):
        setattr(data, name, "")
    for name in ("ReferringPhysicianName", "AccessionNumber", "PositionReferenceIndicator"):
        setattr(data, name, "")
    data.PatientID = "ANONYMOUS"
    if series.texts or image.kind != "VOLUME":
        data.PatientIdentityRemoved = "NO"
    else:
        data.PatientIdentityRemoved = "YES"
        data.DeidentificationMethod = "attributes only: none of patient, study, specimen is kept"
    data.StudyInstanceUID, data.SeriesInstanceUID = series.study, series.series
    data.FrameOfReferenceUID = series.frame_of_reference
    data.PositionReferenceIndicator = "SLIDE_CORNER"
    data.Modality, data.SeriesNumber = "SM", 1
    data.ContentDate, data.ContentTime = series.made.strftime("%Y%m%d"), series.made.strftime("%H%M%S")
    data.AcquisitionDateTime = series.made.strftime("%Y%m%d%H%M%S+0000")
    return data


def _equipment() -> Dataset:
    data = Dataset()
    data.Manufacturer, data.ManufacturerModelName = MODEL, MODEL
    data.DeviceSerialNumber, data.SoftwareVersions = "none", __version__
    return data


def _specimen(series: SeriesNames) -> Dataset:
    data, specimen = Dataset(), Dataset()
    specimen.SpecimenIdentifier, specimen.SpecimenUID = "ANONYMOUS", series.specimen
    specimen.IssuerOfTheSpecimenIdentifierSequence = Items()
    specimen.SpecimenPreparationSequence = Items()
    data.ContainerIdentifier, data.IssuerOfTheContainerIdentifierSequence = "ANONYMOUS", Items()
    data.ContainerTypeCodeSequence = Items([_code("433466003", "SCT", "Microscope slide")])
    data.SpecimenDescriptionSequence = Items([specimen])
    data.AcquisitionContextSequence = Items()
    return data


def _pixels(slide: Slide, level: Level, encoding: Encoding) -> Dataset:
    data, bits = Dataset(), 8 * slide.dtype.itemsize
    data.SamplesPerPixel = len(slide.channels)
    if encoding.codec == "jpeg":
        data.PhotometricInterpretation = {"rgb": "RGB", "ycbcr": "YBR_FULL_422", "gray": "MONOCHROME2"}[encoding.color]
    else:
        data.PhotometricInterpretation = "MONOCHROME2" if encoding.color == "gray" else "YBR_RCT"
    if data.SamplesPerPixel == 1:
        data.PresentationLUTShape, data.RescaleIntercept, data.RescaleSlope = "IDENTITY", 0, 1
    else:
        data.PlanarConfiguration = 0
    data.Rows, data.Columns, data.NumberOfFrames = level.tile_height, level.tile_width, level.columns * level.rows
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = bits, bits, bits - 1, 0
    return data


def _tiling(level: Level) -> Dataset:
    data, origin = Dataset(), Dataset()
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = level.width, level.height
    data.TotalPixelMatrixFocalPlanes = data.NumberOfOpticalPaths = 1
    origin.XOffsetInSlideCoordinateSystem = origin.YOffsetInSlideCoordinateSystem = 0
    data.TotalPixelMatrixOriginSequence = Items([origin])
    data.ImageOrientationSlide = [0, -1, 0, -1, 0, 0]
    data.DimensionOrganizationType = "TILED_FULL"
    data.VolumetricProperties, data.FocusMethod = "VOLUME", "AUTO"
    return data


def _focus(slide: Slide | None) -> Dataset:
    """Return whether a slide was made of several planes, and of which."""
    data = Dataset()
    planes = source_planes(slide)
    data.ExtendedDepthOfField = "YES" if len(planes) > 1 else "NO"
    if len(planes) > 1:
        data.NumberOfFocalPlanes = len(planes)
        data.DistanceBetweenFocalPlanes = mean_distance(planes) or 0.0
        data.DerivationDescription = f"{len(planes)} focal planes flattened by planish {__version__}" + (
            "" if mean_distance(planes) else "; their distance is not known"
        )
    return data


def _loss(slide: Slide, level: Level, encoding: Encoding, pixel_bytes: int) -> Dataset:
    """Return what compression did to the pixels, now or in the source: once lossy, always lossy."""
    data, source = Dataset(), slide.encoding(0, 0)
    codec = next((each.codec for each in (encoding, source) if each and each.codec in _METHODS), None)
    data.LossyImageCompression = "01" if codec else "00"
    if codec:
        raw = level.columns * level.rows * level.tile_width * level.tile_height * len(slide.channels)
        ratio = min(raw / max(pixel_bytes, 1), 99999.0) if encoding.codec in _METHODS else 1.0
        # Always as many characters, so that it can be filled in later.
        data.LossyImageCompressionRatio = f"{ratio:09.3f}"
        data.LossyImageCompressionMethod = _METHODS[codec]
    return data


def _groups(slide: Slide, level: Level, names: tuple[SeriesNames, ImageNames]) -> Dataset:
    series, image = names
    data, shared = Dataset(), Dataset()
    kind, path = Dataset(), Dataset()
    kind.FrameType, path.OpticalPathIdentifier = image.image_type, "0"
    shared.WholeSlideMicroscopyImageFrameTypeSequence = Items([kind])
    shared.OpticalPathIdentificationSequence = Items([path])
    shared.PixelMeasuresSequence = Items([measures(slide, level)])
    if image.kind == "VOLUME":
        data.update(volume(slide, level))
    data.SharedFunctionalGroupsSequence = Items([shared])
    organisation = Dataset()
    organisation.DimensionOrganizationUID = series.dimensions
    data.DimensionOrganizationSequence = Items([organisation])
    return data


def _optical_path(slide: Slide) -> Dataset:
    path, colour = Dataset(), len(slide.channels) == 3
    path.OpticalPathIdentifier = "0"
    kind = ("111744", "Brightfield illumination") if colour else ("111743", "Epifluorescence illumination")
    path.IlluminationTypeCodeSequence = Items([_code(kind[0], "DCM", kind[1])])
    path.IlluminationColorCodeSequence = Items([_code("414298005", "SCT", "Full Spectrum")])
    if slide.metadata.objective_power:
        path.ObjectiveLensPower = f"{slide.metadata.objective_power:g}"
    if colour:
        path.ICCProfile = _even(slide.metadata.icc_profile or _srgb())
    return path


@cache
def _srgb() -> bytes:
    profile: Any = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return bytes(profile.tobytes())


def _even(data: bytes) -> bytes:
    return data + bytes(len(data) % 2)


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, scheme, meaning
    return code
