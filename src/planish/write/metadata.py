"""What an output says of itself: OME-XML, resolution tags, ICC profile. No text of the scanner is carried over."""

from __future__ import annotations

from collections.abc import Mapping
from xml.etree import ElementTree

from planish.model import Level
from planish.slide.base import Slide
from planish.write.assembler import Tag, Value, rational, short, undefined

_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_TYPES = {"float32": "float", "float64": "double"}
_UM_PER_CM = 10_000.0


def ome_xml(slide: Slide, creator: str) -> str:
    """Return the OME-XML of a flat slide: size, pixel size, channels, and who wrote it."""
    full, metadata = slide.levels[0], slide.metadata
    root = ElementTree.Element("OME", xmlns=_OME, Creator=creator)
    if metadata.objective_power:
        instrument = ElementTree.SubElement(root, "Instrument", ID="Instrument:0")
        power = f"{metadata.objective_power:g}"
        ElementTree.SubElement(instrument, "Objective", ID="Objective:0", NominalMagnification=power)
    image = ElementTree.SubElement(root, "Image", ID="Image:0", Name="flat")
    if metadata.objective_power:
        ElementTree.SubElement(image, "ObjectiveSettings", ID="Objective:0")
    count = len(slide.channels)
    pixels = ElementTree.SubElement(
        image,
        "Pixels",
        ID="Pixels:0",
        DimensionOrder="XYCZT",
        Type=_TYPES.get(slide.dtype.name, slide.dtype.name),
        SizeX=str(full.width),
        SizeY=str(full.height),
        SizeC=str(count),
        SizeZ="1",
        SizeT="1",
    )
    for axis, mpp in (("X", metadata.mpp_x), ("Y", metadata.mpp_y)):
        if mpp:
            # µm is the default unit; naming it would put a sign beyond ASCII into the tag.
            pixels.set(f"PhysicalSize{axis}", repr(mpp))
    ElementTree.SubElement(pixels, "Channel", ID="Channel:0:0", SamplesPerPixel=str(count))
    ElementTree.SubElement(pixels, "TiffData", IFD="0", PlaneCount="1")
    return '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root, encoding="unicode")


def level_tags(slide: Slide, level: Level) -> Mapping[int, Value]:
    """Return resolution tags of a level, and the ICC profile."""
    metadata = slide.metadata
    tags: dict[int, Value] = {}
    if metadata.mpp_x and metadata.mpp_y:
        tags[Tag.X_RESOLUTION] = rational(_UM_PER_CM / (metadata.mpp_x * level.downsample_x))
        tags[Tag.Y_RESOLUTION] = rational(_UM_PER_CM / (metadata.mpp_y * level.downsample_y))
        tags[Tag.RESOLUTION_UNIT] = short(3)
    if metadata.icc_profile:
        tags[Tag.ICC_PROFILE] = undefined(metadata.icc_profile)
    return tags
