"""What an output says of itself: OME-XML, resolution tags, ICC profile. No text of the scanner is carried over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree import ElementTree

from planish._version import __version__
from planish.model import Level
from planish.slide.base import Slide
from planish.write.assembler import Tag, Value, rational, short, undefined

_OME = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
_TYPES = {"float32": "float", "float64": "double"}
_UM_PER_CM = 10_000.0


def describe_output(slide: Slide, layout: str, associated: Sequence[str], pages: int) -> str:
    """Return the description of the first page.

    Parameters
    ----------
    slide : Slide
        What is written.
    layout : str
        ``"ome"`` or ``"aperio"``.
    associated : sequence of str
        Names of further images, in the order of their pages.
    pages : int
        Pages before those.
    """
    xml = ome_xml(slide, associated, pages)
    if layout == "ome":
        return '<?xml version="1.0" encoding="UTF-8"?>' + xml
    full, metadata = slide.levels[0], slide.metadata
    known = {"AppMag": metadata.objective_power, "MPP": metadata.mpp_x}
    properties = "".join(f"|{name} = {value:.10g}" for name, value in known.items() if value)
    size = f"{full.width}x{full.height}"
    title = f"Aperio Image Library planish {__version__}\r\n{size} ({full.tile_width}x{full.tile_height})"
    return f"{title}{properties}|OME = {xml}"


def ome_xml(slide: Slide, associated: Sequence[str], pages: int) -> str:
    """Return OME-XML: size, pixel size, channels, and who wrote it."""
    metadata = slide.metadata
    root = ElementTree.Element("OME", xmlns=_OME, Creator=f"planish {__version__}")
    if metadata.objective_power:
        instrument = ElementTree.SubElement(root, "Instrument", ID="Instrument:0")
        power = f"{metadata.objective_power:g}"
        ElementTree.SubElement(instrument, "Objective", ID="Objective:0", NominalMagnification=power)
    image = ElementTree.SubElement(root, "Image", ID="Image:0", Name="flat")
    if metadata.objective_power:
        ElementTree.SubElement(image, "InstrumentRef", ID="Instrument:0")
        ElementTree.SubElement(image, "ObjectiveSettings", ID="Objective:0")
    full = slide.levels[0]
    pixels = _pixels(image, 0, slide.dtype.name, (full.width, full.height, len(slide.channels)), 0)
    _name_channels(pixels, slide)
    for axis, mpp in (("X", metadata.mpp_x), ("Y", metadata.mpp_y)):
        if mpp:
            # µm is the default unit; naming it would put a sign beyond ASCII into the tag.
            pixels.set(f"PhysicalSize{axis}", repr(mpp))
    for index, name in enumerate(associated, 1):
        image = ElementTree.SubElement(root, "Image", ID=f"Image:{index}", Name=name)
        height, width, channels = slide.associated[name].shape
        _pixels(image, index, "uint8", (width, height, channels), pages + index - 1)
    return ElementTree.tostring(root, encoding="unicode")


def is_picture(slide: Slide) -> bool:
    """Whether a slide is grey or RGB, whose samples stand side by side; other channels are images of their own."""
    return len(slide.channels) == 1 or slide.channels == ("R", "G", "B")


def _name_channels(pixels: ElementTree.Element, slide: Slide) -> None:
    """Name the channels, one element and one page each where they are no colours."""
    if slide.channels == ("R", "G", "B"):
        return
    for element in list(pixels):
        pixels.remove(element)
    pixels.set("Interleaved", "false")
    for index, name in enumerate(slide.channels):
        ElementTree.SubElement(pixels, "Channel", ID=f"Channel:0:{index}", Name=name, SamplesPerPixel="1")
    for index in range(len(slide.channels)):
        ElementTree.SubElement(pixels, "TiffData", FirstC=str(index), IFD=str(index), PlaneCount="1")


def _pixels(
    image: ElementTree.Element, index: int, dtype: str, size: tuple[int, int, int], page: int
) -> ElementTree.Element:
    width, height, channels = size
    pixels = ElementTree.SubElement(
        image,
        "Pixels",
        ID=f"Pixels:{index}",
        DimensionOrder="XYCZT",
        Type=_TYPES.get(dtype, dtype),
        SizeX=str(width),
        SizeY=str(height),
        SizeC=str(channels),
        SizeZ="1",
        SizeT="1",
        Interleaved="true",
    )
    ElementTree.SubElement(pixels, "Channel", ID=f"Channel:{index}:0", SamplesPerPixel=str(channels))
    ElementTree.SubElement(pixels, "TiffData", IFD=str(page), PlaneCount="1")
    return pixels


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
