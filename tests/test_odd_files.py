"""Files that other software writes: read as they are meant, or refused in one clear line; no plane lost or mixed up."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from arrays import ArraySlide
from makers import HEIGHT, WIDTH, Z_UM, container, make_stack
from planish.cli import main
from planish.errors import SlideError, UnsupportedSlide
from planish.jpeg import read_header
from planish.phantom.containers import ContainerOptions, write_container
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.slide.openslide import hidden_planes

GREY: NDArray[Any] = make_stack(6, 1, np.uint16)[..., 0]
RGB = make_stack(3)


def pixels(slide: Slide) -> NDArray[Any]:
    """Return all planes at full size, (Z, height, width, channels)."""
    full = slide.levels[0]
    return np.stack([slide.read_region(0, plane.index, 0, 0, full.width, full.height) for plane in slide.planes])


def z_um(path: Path) -> list[float | None]:
    with open_slide(path) as slide:
        return [plane.z_um for plane in slide.planes]


def refusal(path: Path) -> str:
    """Return what opening says; the file is named in it."""
    with pytest.raises(SlideError) as caught:
        open_slide(path)
    text = str(caught.value)
    assert path.name in text
    assert "\n" not in text
    return text


def chain(path: Path, pages: Iterable[NDArray[Any]], **options: Any) -> Path:
    """Write a page per image without any description."""
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, metadata=None, **options)
    return path


def shared_ome(folder: Path, planes: NDArray[Any], **options: Any) -> list[Path]:
    """Write an OME-TIFF set with a file for each plane."""
    ids = [f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, str(index))}" for index in range(len(planes))]
    names = [f"set_{index}.ome.tif" for index in range(len(planes))]
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1"><UUID FileName="{names[z]}">{ids[z]}</UUID></TiffData>'
        for z in range(len(planes))
    )
    for index, plane in enumerate(planes):
        xml = (
            f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="{ids[index]}"><Image ID="Image:0">'
            f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{WIDTH}" SizeY="{HEIGHT}" '
            f'SizeZ="{len(planes)}" SizeC="1" SizeT="1" PhysicalSizeZ="2"><Channel ID="Channel:0:0"/>{data}</Pixels>'
            "</Image></OME>"
        )
        tifffile.imwrite(folder / names[index], plane, description=xml, metadata=None, **options)
    return [folder / name for name in names]


# Sets of files


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}], ids=["plain", "zlib"])
def test_each_plane_of_an_ome_set_comes_from_its_own_file(tmp_path: Path, options: dict[str, Any]) -> None:
    for path in shared_ome(tmp_path, GREY[:3], **options):
        with open_slide(path) as slide:
            assert np.array_equal(pixels(slide)[..., 0], GREY[:3])
            assert [plane.z_um for plane in slide.planes] == [0, 2, 4]
        with pytest.raises(SlideError, match="closing"):
            slide.read_tile(0, 2, 0, 0)


def test_an_ome_set_without_one_of_its_files_is_refused_by_name(tmp_path: Path) -> None:
    first, second, _ = shared_ome(tmp_path, GREY[:3])
    second.unlink()
    text = refusal(first)
    assert second.name in text
    assert "one folder" in text


def test_an_ome_set_opens_from_a_file_with_another_name(tmp_path: Path) -> None:
    renamed = shared_ome(tmp_path, GREY[:3])[0].rename(tmp_path / "renamed.ome.tif")
    with open_slide(renamed) as slide:
        assert np.array_equal(pixels(slide)[..., 0], GREY[:3])


# Planes that cannot be told apart


@pytest.mark.parametrize(
    ("kind", "z"), [("svs", [0, 0, 0, 0]), ("svs", None), ("ndpi", [0, 0, 0, 0]), ("svs", [0, 1, 1, 2])]
)
def test_planes_that_share_a_z_are_refused(kind: str, z: list[float] | None, tmp_path: Path) -> None:
    path = tmp_path / f"same.{kind}"
    write_container(ArraySlide(make_stack(), z_um=z), path, ContainerOptions(kind=kind))
    assert "cannot be told apart" in refusal(path)


@pytest.mark.parametrize(
    ("positions", "unit", "expected", "order"),
    [
        ([9.0, 9.0, 1.0, 0.0], "µm", [0, 1, 9, 9], [3, 2, 0, 1]),
        ([9e3, 8e3, 1e3, 0.0], "nm", [0, 1, 8, 9], [3, 2, 1, 0]),
        ([9.0, 8.0, 1.0, 0.0], "pixel", [0, 2, 4, 6], [3, 2, 1, 0]),
        ([9.0, 8.0, 1.0, 0.0], "reference frame", [0, 2, 4, 6], [3, 2, 1, 0]),
        ([5.0, 5.0, 5.0, 5.0], "µm", [0, 2, 4, 6], [0, 1, 2, 3]),
        ([], "µm", [0, 2, 4, 6], [0, 1, 2, 3]),
    ],
)
def test_ome_positions_come_before_spacing(
    positions: list[float], unit: str, expected: list[float | None], order: list[int], tmp_path: Path
) -> None:
    path = tmp_path / "z.ome.tif"
    about: dict[str, Any] = {"axes": "ZYX", "PhysicalSizeZ": 2.0, "PhysicalSizeZUnit": "µm"}
    if positions:
        about["Plane"] = {"PositionZ": positions, "PositionZUnit": [unit] * len(positions)}
    tifffile.imwrite(path, GREY[:4], photometric="minisblack", metadata=about)
    assert z_um(path) == expected
    with open_slide(path) as slide:
        assert np.array_equal(pixels(slide)[..., 0], GREY[order])


def test_positions_of_some_planes_only_tell_nothing(tmp_path: Path) -> None:
    path = container(tmp_path, make_stack(), codec="none", shuffle=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        xml = tif.pages.first.description.replace(' PositionZ="1.5"', "")
        tif.pages.first.tags["ImageDescription"].overwrite(xml.encode())
    assert z_um(path) == [None] * 4


# ImageJ and tifffile


def test_an_imagej_hyperstack_has_planes_and_channels_and_its_spacing(tmp_path: Path) -> None:
    path = tmp_path / "hyper.tif"
    about = {"axes": "ZCYX", "spacing": 1.5, "unit": "micron"}
    tifffile.imwrite(path, GREY.reshape(3, 2, HEIGHT, WIDTH), imagej=True, resolution=(4, 4), metadata=about)
    with open_slide(path) as slide:
        assert [plane.z_um for plane in slide.planes] == [0, 1.5, 3]
        assert (slide.metadata.format, slide.metadata.mpp_x, len(slide.channels)) == ("ImageJ TIFF", 0.25, 2)
        assert np.array_equal(np.moveaxis(pixels(slide), 3, 1).reshape(GREY.shape), GREY)


def test_an_imagej_stack_of_colour_slices(tmp_path: Path) -> None:
    path = tmp_path / "slices.tif"
    tifffile.imwrite(path, RGB, imagej=True, metadata={"axes": "ZYXS", "spacing": 500, "unit": "nm"})
    with open_slide(path) as slide:
        assert [plane.z_um for plane in slide.planes] == [0, 0.5, 1]
        assert np.array_equal(pixels(slide), RGB)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"imagej": True, "metadata": {"axes": "ZYX"}, "truncate": True}, "one page directory"),
        ({"truncate": True}, "one page directory"),
        ({"metadata": {"axes": "RYX"}}, "cannot tell the planes"),
    ],
)
def test_stacks_that_would_lose_planes_are_refused(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    tifffile.imwrite(path, GREY, photometric="minisblack", **options)
    assert said in refusal(path)


def test_a_stack_of_unnamed_axes_is_refused_and_one_with_channels_read(tmp_path: Path) -> None:
    path, stack = tmp_path / "four.tif", GREY.reshape(3, 2, HEIGHT, WIDTH)
    tifffile.imwrite(path, stack, photometric="minisblack")
    assert "cannot tell the planes" in refusal(path)
    tifffile.imwrite(path, stack, photometric="minisblack", metadata={"axes": "ZCYX"})
    with open_slide(path) as slide:
        assert np.array_equal(np.moveaxis(pixels(slide), 3, 1), stack)


def test_a_description_that_claims_more_images_than_there_are_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "cropped.tif"
    about = "ImageJ=1.54f\nimages=6\nslices=6\n"
    tifffile.imwrite(path, GREY[0], description=about, metadata=None, compression="zlib")
    assert "claims Z 6" in refusal(path)


# Animations


@pytest.mark.parametrize("name", ["a.gif", "a.webp"])
def test_an_animation_is_refused(name: str, tmp_path: Path) -> None:
    first, *others = [Image.fromarray(plane) for plane in RGB]
    first.save(tmp_path / name, save_all=True, append_images=others)
    assert "3 images" in refusal(tmp_path / name)
    first.save(tmp_path / name)
    with open_slide(tmp_path / name) as slide:
        assert len(slide.planes) == 1


# Pages that do not belong together


@pytest.mark.parametrize(
    "pages",
    [
        [RGB[0], RGB[1][:300, :333], RGB[2]],
        [RGB[1][:300, :333], RGB[0], RGB[2]],
        [RGB[0], RGB[1].astype(np.uint16), RGB[2]],
        [RGB[0], RGB[1, ..., 0], RGB[2]],
    ],
    ids=["smaller", "larger", "deeper", "grey"],
)
def test_an_odd_page_is_named(pages: list[NDArray[Any]], tmp_path: Path) -> None:
    assert "page 1 is" in refusal(chain(tmp_path / "odd.tif", pages))


@pytest.mark.parametrize(
    ("marked", "names"), [({"subfiletype": 1}, []), ({"description": "Macro image"}, ["macro"])], ids=["flag", "text"]
)
def test_marked_images_are_no_planes(marked: dict[str, Any], names: list[str], tmp_path: Path) -> None:
    path = tmp_path / "marked.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in RGB:
            writer.write(plane, metadata=None)
        writer.write(RGB[0, :100, :333], metadata=None, **marked)
    with open_slide(path) as slide:
        assert np.array_equal(pixels(slide), RGB)
        assert list(slide.associated) == names
        assert len(slide.metadata.notes) == 1 - len(names)


@pytest.mark.parametrize(
    ("pages", "said"),
    [
        ([(0, GREY[0]), (0, GREY[0, ::2, ::2].astype(np.uint8))], "different kinds"),
        ([(0, GREY[0]), (1, GREY[1].astype(np.uint8))], "plane 1 has levels"),
    ],
    ids=["levels", "planes"],
)
def test_mixed_types_are_refused(pages: list[tuple[int, NDArray[Any]]], said: str, tmp_path: Path) -> None:
    path = tmp_path / "mixed.svs"
    with tifffile.TiffWriter(path) as writer:
        for z, page in pages:
            about = f"Aperio Image Library|OffsetZ = {z}"
            writer.write(page, tile=(128, 128), description=about, metadata=None)
    assert said in refusal(path)


# Colours


def test_white_as_zero_is_inverted(tmp_path: Path) -> None:
    for stack in (GREY[:2], RGB[..., 0]):
        path = chain(tmp_path / f"{stack.dtype}.tif", stack, photometric="miniswhite", tile=(128, 128))
        with open_slide(path) as slide:
            assert np.array_equal(pixels(slide)[..., 0], np.iinfo(stack.dtype).max - stack)
            assert "inverted" in slide.metadata.notes[0]
            assert slide.encoded_tile(0, 0, 0, 0) is None


@pytest.mark.parametrize("premultiplied", [False, True])
def test_alpha_is_laid_over_white(premultiplied: bool, tmp_path: Path) -> None:
    alpha = np.full((*RGB.shape[:3], 1), 102, np.uint8)
    stored = (RGB * 0.4).round().astype(np.uint8) if premultiplied else RGB
    kind = "assocalpha" if premultiplied else "unassalpha"
    rgba = np.concatenate([stored, alpha], axis=3)
    path = chain(tmp_path / "rgba.tif", rgba, photometric="rgb", extrasamples=[kind], tile=(128, 128))
    with open_slide(path) as slide:
        assert slide.channels == ("R", "G", "B")
        assert "alpha" in slide.metadata.notes[0]
        assert np.abs(pixels(slide) - (RGB * 0.4 + 153)).max() <= 1
        assert slide.encoded_tile(0, 0, 0, 0) is None
    out = tmp_path / "out.tif"
    assert main(["flatten", str(path), str(out), "--quiet"]) == 0
    with open_slide(out) as flat:
        assert flat.channels == ("R", "G", "B")


def palette(path: Path) -> None:
    Image.fromarray(RGB[0]).quantize(64).save(path)


def cmyk(path: Path) -> None:
    Image.fromarray(RGB[0]).convert("CMYK").save(path)


def cielab(path: Path) -> None:
    tifffile.imwrite(path, RGB[0], photometric="cielab", metadata=None)


def plain_ycbcr(path: Path) -> None:
    tifffile.imwrite(path, RGB[0], photometric="rgb", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as tif:
        tif.pages.first.tags["PhotometricInterpretation"].overwrite(6)


@pytest.mark.parametrize(
    ("make", "said"), [(palette, "colour table"), (cmyk, "CMYK"), (cielab, "CIELAB"), (plain_ycbcr, "YCbCr")]
)
def test_other_colours_are_refused(make: Callable[[Path], None], said: str, tmp_path: Path) -> None:
    make(tmp_path / "colours.tif")
    assert said in refusal(tmp_path / "colours.tif")


def test_a_volume_in_one_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "volume.tif"
    tifffile.imwrite(path, GREY[:4, :256, :256], volumetric=True, tile=(4, 64, 64), photometric="minisblack")
    assert "volume of 4 images" in refusal(path)


def test_a_profile_of_cmyk_is_not_kept_for_the_rgb_made_of_it(tmp_path: Path) -> None:
    profile = bytes(36) + b"acsp" + b"CMYK" * 30
    for mode in ("CMYK", "RGB"):
        path = tmp_path / f"{mode}.jpg"
        Image.fromarray(RGB[0]).convert(mode).save(path, icc_profile=profile)
        with open_slide(path) as slide:
            assert slide.channels == ("R", "G", "B")
            assert slide.metadata.icc_profile == (profile if mode == "RGB" else None)


# JPEG images


@pytest.mark.parametrize("subsampling", ["444", "422", "420", "411", "440"])
def test_every_subsampling_is_read(subsampling: str, tmp_path: Path) -> None:
    factors = {"444": (1, 1), "422": (2, 1), "420": (2, 2), "411": (4, 1), "440": (1, 2)}[subsampling]
    image = tmp_path / "s.jpg"
    image.write_bytes(bytes(imagecodecs.jpeg8_encode(RGB[0], level=90, subsampling=subsampling)))
    sources = [image]
    if subsampling != "440":  # which tifffile does not write
        options = {"compression": "jpeg", "subsampling": factors, "photometric": "rgb"}
        sources.append(chain(tmp_path / "s.tif", RGB, tile=(128, 128), **options))
    for source in sources:
        with open_slide(source) as slide:
            encoding = slide.encoding(0, 0)
            assert encoding is not None
            assert encoding.subsampling == factors
            assert np.abs(pixels(slide)[0].astype(float) - RGB[0]).mean() < 4


def test_a_folder_of_jpegs_keeps_its_quantisation_tables(tmp_path: Path) -> None:
    inside = tmp_path / "stack"
    inside.mkdir()
    for index, plane in enumerate(RGB):
        (inside / f"{index}.jpg").write_bytes(bytes(imagecodecs.jpeg8_encode(plane, level=63, subsampling="420")))
    wanted = read_header((inside / "0.jpg").read_bytes()).encoding()
    with open_slide(inside) as slide:
        assert slide.encoding(0, 1) == wanted
        assert slide.encoded_tile(0, 1, 0, 0) is None
        assert slide.encoded_sizes(0) is None
    out = tmp_path / "out.tif"
    assert main(["flatten", str(inside), str(out), "--quiet"]) == 0
    with open_slide(out) as flat:
        assert flat.encoding(0, 0) == wanted


def test_images_that_are_no_sequential_jpegs_have_no_encoding(tmp_path: Path) -> None:
    picture = Image.fromarray(RGB[0])
    picture.save(tmp_path / "progressive.jpg", progressive=True)
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg")
    picture.save(tmp_path / "plain.png")
    for name in ("progressive.jpg", "cmyk.jpg", "plain.png"):
        with open_slide(tmp_path / name) as slide:
            assert slide.encoding(0, 0) is None


# Through OpenSlide


def test_a_philips_tiff_with_several_full_size_pages_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "philips.tif"
    with tifffile.TiffWriter(path) as writer:
        for index, plane in enumerate(RGB):
            about = None if index else "<DataObject></DataObject>"
            writer.write(plane, tile=(128, 128), metadata=None, software="Philips DP v1.0", description=about)
    with pytest.raises(UnsupportedSlide, match="3 focal planes"):
        hidden_planes(path)
    assert "3 focal planes" in refusal(path)


# Closing


def test_reading_after_closing_is_an_error_of_its_own(tmp_path: Path) -> None:
    array = tmp_path / "stack.npy"
    np.save(array, RGB)
    Image.fromarray(RGB[0]).save(tmp_path / "image.png")
    one = tmp_path / "one.svs"
    label = RGB[0, :60, :60]
    write_container(ArraySlide(RGB, z_um=Z_UM[:3]), one, ContainerOptions(kind="svs", label=label))
    for path in (array, tmp_path / "image.png", one, container(tmp_path, RGB), container(tmp_path, RGB, kind="ndpi")):
        slide = open_slide(path)
        slide.close()
        with pytest.raises(SlideError, match="closing"):
            slide.read_tile(0, 0, 0, 0)
        for name in slide.associated:
            with pytest.raises(SlideError, match="closing"):
                slide.associated[name]


def test_dicom_after_closing_is_the_same_error(data: Callable[[str], Path]) -> None:
    slide = open_slide(data("slides/dicom-cmu/level-0-frames-0-30.dcm"))
    slide.close()
    with pytest.raises(SlideError, match="closing"):
        slide.read_tile(0, 0, 0, 0)


def test_a_name_that_is_no_text_is_refused_where_libraries_need_text(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mrxs")
    path.write_bytes(b"[GENERAL]")
    with pytest.raises(UnsupportedSlide, match="no UTF-8"):
        open_slide(path)


def test_a_label_is_no_thumbnail_wherever_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "scan.svs"
    about = "Aperio Image Library v11\r\n{} |AppMag = 20|MPP = 0.5|Filename = thumbnail"
    with tifffile.TiffWriter(path) as writer:
        for shape, words, tile, kind in (
            ((300, 300, 3), "300x300", (128, 128), 0),
            ((60, 80, 3), "label 80x60", None, 0),
            ((70, 90, 3), "90x70", None, 9),
        ):
            pixels = np.zeros(shape, np.uint8)
            writer.write(pixels, tile=tile, photometric="rgb", description=about.format(words), subfiletype=kind,
                         metadata=None)  # fmt: skip
    with open_slide(path) as slide:
        assert {name: slide.associated[name].shape[:2] for name in slide.associated} == {
            "label": (60, 80), "macro": (70, 90),
        }  # fmt: skip
