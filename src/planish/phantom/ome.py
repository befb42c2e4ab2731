"""OME-TIFF: one page per plane, its pyramid as SubIFDs, z in the XML."""

from __future__ import annotations

from concurrent.futures import Executor
from typing import BinaryIO
from xml.etree import ElementTree

from planish.model import Plane
from planish.phantom.options import ContainerOptions
from planish.phantom.pages import Page, PlaneWriter, resolution_tags
from planish.phantom.planes import file_order, spacing_um
from planish.slide.base import Slide
from planish.write.assembler import Ifd, Tag, TiffAssembler, text, undefined

_NAMESPACE = "http://www.openmicroscopy.org/Schemas/OME/2016-06"


def write_ome(slide: Slide, file: BinaryIO, options: ContainerOptions, pool: Executor) -> None:
    """Write the slide's planes as an OME-TIFF into an open file."""
    tiff = TiffAssembler(file)
    order = file_order(slide, options.shuffle)
    writer = PlaneWriter(slide, options, tiff, pool)
    ifds = [_ifd(slide, pages) for pages in writer.write(order)]
    described = {**ifds[0].tags, Tag.IMAGE_DESCRIPTION: text(ome_xml(slide, order))}
    tiff.finish([Ifd(described, ifds[0].subifds), *ifds[1:]])


def _ifd(slide: Slide, pages: list[Page]) -> Ifd:
    full, *reduced = pages
    metadata = slide.metadata
    tags = {**full.tags(), **resolution_tags(metadata.mpp_x, metadata.mpp_y)}
    if metadata.icc_profile:
        tags[Tag.ICC_PROFILE] = undefined(metadata.icc_profile)
    return Ifd(tags, tuple(Ifd(page.tags(subfile=1)) for page in reduced))


def ome_xml(slide: Slide, order: list[Plane]) -> str:
    """Return the description of planes that stand in the file in the given order; OME counts z in that order too."""
    ElementTree.register_namespace("", _NAMESPACE)
    root = ElementTree.Element(f"{{{_NAMESPACE}}}OME", Creator="planish phantom")
    image = _child(root, "Image", ID="Image:0", Name="phantom")
    pixels = _child(image, "Pixels", **_pixels(slide, len(order)))
    samples = len(slide.channels)
    _child(pixels, "Channel", ID="Channel:0:0", SamplesPerPixel=str(samples))
    for index in range(len(order)):
        _child(pixels, "TiffData", FirstC="0", FirstT="0", FirstZ=str(index), IFD=str(index), PlaneCount="1")
    for index, plane in enumerate(order):
        position = {} if plane.z_um is None else {"PositionZ": repr(plane.z_um), "PositionZUnit": "µm"}
        _child(pixels, "Plane", TheC="0", TheT="0", TheZ=str(index), **position)
    return '<?xml version="1.0" encoding="UTF-8"?>' + ElementTree.tostring(root, encoding="unicode")


def _pixels(slide: Slide, planes: int) -> dict[str, str]:
    full, metadata = slide.levels[0], slide.metadata
    sizes = {"SizeX": full.width, "SizeY": full.height, "SizeC": len(slide.channels), "SizeZ": planes, "SizeT": 1}
    physical = {
        "PhysicalSizeX": metadata.mpp_x,
        "PhysicalSizeY": metadata.mpp_y,
        "PhysicalSizeZ": spacing_um(slide),
    }
    known = {name: repr(um) for name, um in physical.items() if um}
    return {
        "ID": "Pixels:0",
        "DimensionOrder": "XYCZT",
        "Type": str(slide.dtype),
        "Interleaved": "true",
        **{name: str(size) for name, size in sizes.items()},
        **known,
        **{f"{name}Unit": "µm" for name in known},
    }


def _child(parent: ElementTree.Element, tag: str, /, **attributes: str) -> ElementTree.Element:
    return ElementTree.SubElement(parent, f"{{{_NAMESPACE}}}{tag}", attributes)
