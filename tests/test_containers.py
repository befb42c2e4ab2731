"""Z-stack containers, compared pixel by pixel with their source through independent readers."""

from __future__ import annotations

import io
import tracemalloc
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import imagecodecs
import numpy as np
import openslide
import pytest
import pyvips
import tifffile
from numpy.typing import NDArray

from arrays import ArraySlide
from planish.errors import OptionError
from planish.jpeg import read_header
from planish.phantom.bigjpeg import BigJpeg
from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.ndpi import NdpiAssembler, mcu_start_tags
from planish.phantom.planes import file_order
from planish.write.assembler import Ifd, Tag, Value, long
from planish.write.jpeg import standard_encoding

WIDTH, HEIGHT = 520, 392
Z_UM = [-1.5, 0.0, 1.5, 3.25]
SUFFIX = {"ome-tiff": ".ome.tif", "svs": ".svs", "ndpi": ".ndpi"}


def pixels(planes: int = 4, channels: int = 3, dtype: Any = np.uint8) -> NDArray[Any]:
    """Return smooth planes of strong and different colours, so that a wrong plane or colour is far off."""
    random = np.random.default_rng(planes)
    coarse = random.integers(0, 255, (planes, 4, 5, channels), np.uint8)
    stack = [cv2.resize(plane, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR) for plane in coarse]
    scale = 1 if dtype == np.uint8 else 257
    scaled: NDArray[Any] = np.stack(stack).reshape(planes, HEIGHT, WIDTH, channels).astype(dtype) * dtype(scale)
    return scaled


STACK = pixels()


def written(tmp_path: Path, options: ContainerOptions, stack: NDArray[Any] = STACK) -> Path:
    """Write a stack; no two tests share a name, as libvips caches by name."""
    path = tmp_path / f"stack{SUFFIX[options.kind]}"
    write_container(ArraySlide(stack, z_um=Z_UM[: len(stack)]), path, options)
    return path


def difference(first: NDArray[Any], second: NDArray[Any]) -> float:
    assert first.size == second.size
    return float(np.abs(first.reshape(second.shape).astype(float) - second).mean())


def shrunk(image: NDArray[Any], downsample: int) -> NDArray[Any]:
    """Average areas in one step, by other means than the writer's."""
    height, width = image.shape[0] // downsample, image.shape[1] // downsample
    areas = image[: height * downsample, : width * downsample].reshape(height, downsample, width, downsample, -1)
    averaged: NDArray[Any] = areas.mean(axis=(1, 3))
    return averaged


def pages_by_z(tif: tifffile.TiffFile, kind: str) -> dict[float, list[Any]]:
    """Return the pages of each plane, largest first, by the z that the file states."""
    pages: list[Any] = list(tif.pages)
    if kind == "ome-tiff":
        root = ElementTree.fromstring(tif.pages.first.description)
        planes, data = ([e.attrib for e in root.iter() if e.tag.endswith(t)] for t in ("}Plane", "}TiffData"))
        ifds = {entry["FirstZ"]: int(entry["IFD"]) for entry in data}
        found = {float(p["PositionZ"]): pages[ifds[p["TheZ"]]] for p in planes}
        return {z: [page, *(page.pages or ())] for z, page in found.items()}
    by_z: dict[float, list[Any]] = {}
    for page in pages:
        if kind == "svs" and page.is_tiled:
            by_z.setdefault(float(page.description.split("OffsetZ = ")[1].split("|")[0]), []).append(page)
        elif kind == "ndpi" and page.tags[65421].value > 0:
            by_z.setdefault(page.tags[65424].value / 1000, []).append(page)
    return by_z


LOSSY = [
    *(ContainerOptions(kind=kind, subsampling=s) for kind in ("ome-tiff", "svs") for s in ((1, 1), (2, 1), (2, 2))),
    *(ContainerOptions(kind=kind, color="rgb") for kind in ("ome-tiff", "svs")),
    *(ContainerOptions(kind=kind, codec="jpeg2000") for kind in ("ome-tiff", "svs")),
    *(
        ContainerOptions(kind="ndpi", subsampling=s, chunk_width=w)
        for s in ((1, 1), (2, 1), (2, 2))
        for w in (None, 128)
    ),
    ContainerOptions(tiled=False),
    ContainerOptions(tile=64, downsamples=(1, 2, 8)),
]
LOSSLESS = [
    *(ContainerOptions(kind=k, codec=c) for k, c in product(("ome-tiff", "svs"), ("lzw", "deflate", "none"))),
    ContainerOptions(codec="lzw", tiled=False),
]


@pytest.mark.parametrize("options", LOSSY, ids=lambda o: f"{o.kind}-{o.codec}-{o.color}-{o.chroma}-{o.chunk_width}")
def test_every_plane_and_level_is_the_source_within_what_the_codec_loses(
    tmp_path: Path, options: ContainerOptions, caplog: pytest.LogCaptureFixture
) -> None:
    options = replace(options, quality=100 if options.codec == "jpeg2000" else 90)
    with tifffile.TiffFile(written(tmp_path, options)) as tif:
        by_z = pages_by_z(tif, options.kind)
        assert sorted(by_z) == Z_UM
        assert list(by_z) != Z_UM
        for z, plane in zip(Z_UM, STACK, strict=True):
            levels = [d for d in options.downsamples if min(WIDTH, HEIGHT) // d >= 32]
            for page, downsample in zip(by_z[z], levels, strict=True):
                assert difference(page.asarray(), shrunk(plane, downsample)) < 2.0
    assert not caplog.records


@pytest.mark.parametrize("options", LOSSLESS, ids=lambda o: f"{o.kind}-{o.codec}-{o.tiled}")
@pytest.mark.parametrize(("channels", "dtype"), [(3, np.uint8), (1, np.uint16), (3, np.uint16), (1, np.uint8)])
def test_lossless_codecs_keep_every_pixel(tmp_path: Path, options: ContainerOptions, channels: int, dtype: Any) -> None:
    stack = pixels(3, channels, dtype)
    with tifffile.TiffFile(written(tmp_path, options, stack)) as tif:
        for z, pages in pages_by_z(tif, options.kind).items():
            full = pages[0].asarray()
            assert full.dtype == dtype
            np.testing.assert_array_equal(full.reshape(stack.shape[1:]), stack[Z_UM.index(z)])
            assert difference(pages[1].asarray(), shrunk(stack[Z_UM.index(z)], 4)) <= 0.51


def test_gray_jpeg(tmp_path: Path) -> None:
    stack = pixels(3, 1)
    with tifffile.TiffFile(written(tmp_path, ContainerOptions(quality=90), stack)) as tif:
        for z, pages in pages_by_z(tif, "ome-tiff").items():
            assert difference(pages[0].asarray(), stack[Z_UM.index(z)]) < 1.5


@pytest.mark.parametrize("color", ["ycbcr", "rgb"])
def test_ome_tiff_in_tifffile_libvips_and_openslide(tmp_path: Path, color: str) -> None:
    path = written(tmp_path, ContainerOptions(color=color, quality=90))
    order = [Z_UM.index(plane.z_um or 0.0) for plane in file_order(ArraySlide(STACK, z_um=Z_UM), 0)]
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert [level.axes for level in tif.series[0].levels] == ["ZYXS"] * 2
        assert difference(tif.series[0].asarray(), STACK[order]) < 2
    for number, index in enumerate(order):
        assert difference(pyvips.Image.new_from_file(str(path), page=number).numpy(), STACK[index]) < 2
        small = pyvips.Image.new_from_file(str(path), page=number, subifd=0).numpy()
        assert difference(small, shrunk(STACK[index], 4)) < 2
    with openslide.OpenSlide(path) as slide:
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert difference(np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3], STACK[order[0]]) < 2


@pytest.mark.parametrize(
    "options", [o for o in [*LOSSY, *LOSSLESS] if o.kind == "svs"], ids=lambda o: f"{o.codec}-{o.color}"
)
def test_svs_of_one_plane_in_openslide(tmp_path: Path, options: ContainerOptions) -> None:
    label, macro = STACK[1, :90, :80], STACK[2, :100, :200]
    quality = 100 if options.codec == "jpeg2000" else 90
    path = written(tmp_path, replace(options, quality=quality, label=label, macro=macro), STACK[:1])
    with openslide.OpenSlide(path) as slide:
        assert slide.properties["openslide.vendor"] == "aperio"
        assert slide.properties["openslide.objective-power"] == "40"
        assert slide.properties["openslide.mpp-x"] == "0.25"
        assert slide.level_dimensions == ((520, 392), (130, 98))
        assert difference(np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3], STACK[0]) < 2
        small = np.asarray(slide.read_region((0, 0), 1, slide.level_dimensions[1]))[..., :3]
        assert difference(small, shrunk(STACK[0], 4)) < 2
        np.testing.assert_array_equal(np.asarray(slide.associated_images["label"])[..., :3], label)
        assert difference(np.asarray(slide.associated_images["macro"])[..., :3], macro) < 2
        assert difference(np.asarray(slide.associated_images["thumbnail"])[..., :3], shrunk(STACK[0], 4)) < 2


def test_svs_z_stack_in_aperios_order(tmp_path: Path) -> None:
    macro = STACK[2, :100, :200]
    slide = ArraySlide(STACK, z_um=Z_UM)
    slide.metadata = replace(slide.metadata, icc_profile=b"profile" * 20)
    path = tmp_path / "stack.svs"
    write_container(slide, path, ContainerOptions(kind="svs", color="rgb", label=macro, macro=macro))
    with pytest.raises(openslide.OpenSlideError):
        openslide.OpenSlide(path)
    with tifffile.TiffFile(path) as tif:
        assert tif.is_svs
        pages: list[Any] = list(tif.pages)
        assert [page.is_tiled for page in pages] == [True, False] + [True] * 7 + [False, False]
        assert [page.imagewidth for page in pages[:4]] == [520, 130, 130, 520]
        assert [page.subfiletype for page in pages[-2:]] == [1, 9]
        assert pages[0].tags[Tag.ICC_PROFILE].value == b"profile" * 20
        assert tif.series[0].axes == "ZYXS"
        offset, size = pages[0].dataoffsets[0], pages[0].databytecounts[0]
        tif.filehandle.seek(offset)
        header = read_header(tif.filehandle.read(size), pages[0].jpegtables)
    assert [component.identifier for component in header.components] == [0, 1, 2]
    assert header.adobe_transform is None


@pytest.mark.parametrize(("subsampling", "chunk_width"), [((1, 1), None), ((1, 1), 128), ((2, 1), None)])
def test_ndpi_in_openslide_which_shows_the_plane_at_zero(
    tmp_path: Path, subsampling: tuple[int, int], chunk_width: int | None
) -> None:
    # OpenSlide leaves chunks black that the image does not fill; scanners write none.
    stack, macro = STACK[:, :384, :512], STACK[2, :100, :200]
    options = ContainerOptions(
        kind="ndpi", quality=90, subsampling=subsampling, chunk_width=chunk_width, macro=macro, downsamples=(1, 2, 4)
    )
    with openslide.OpenSlide(written(tmp_path, options, stack)) as slide:
        assert slide.properties["openslide.vendor"] == "hamamatsu"
        assert float(slide.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        assert slide.level_dimensions[:3] == ((512, 384), (256, 192), (128, 96))
        assert difference(np.asarray(slide.read_region((0, 0), 0, slide.dimensions))[..., :3], stack[1]) < 2
        small = np.asarray(slide.read_region((0, 0), 1, slide.level_dimensions[1]))[..., :3]
        assert difference(small, shrunk(stack[1], 2)) < 2
        assert difference(np.asarray(slide.associated_images["macro"])[..., :3], macro) < 2


@pytest.mark.parametrize("subsampling", [(1, 1), (2, 2)])
def test_ndpi_chunks_are_restart_intervals_that_decode_alone(tmp_path: Path, subsampling: tuple[int, int]) -> None:
    options = ContainerOptions(kind="ndpi", quality=90, subsampling=subsampling, chunk_width=130)
    with tifffile.TiffFile(written(tmp_path, options)) as tif:
        page = pages_by_z(tif, "ndpi")[0.0][0]
        rows, columns = page.chunks[:2]
        across = -(-WIDTH // columns)
        assert rows == 8 * subsampling[1]
        assert 40 < columns <= 144
        assert len(page.dataoffsets) == across * -(-HEIGHT // rows)
        for index in (0, across - 1, across + 1, len(page.dataoffsets) - across):
            tif.filehandle.seek(page.dataoffsets[index])
            decoded = imagecodecs.jpeg8_decode(page.jpegheader + tif.filehandle.read(page.databytecounts[index]))
            y, x = index // across * rows, index % across * columns
            source = STACK[1, y : y + rows, x : x + columns]
            assert difference(decoded[: source.shape[0], : source.shape[1]], source) < 2


def test_ndpi_numbers_beyond_32_bits_keep_their_upper_halves() -> None:
    low, high = mcu_start_tags([600, 2**32 + 5]).values()
    assert np.frombuffer(low.data, "<u4").tolist() == [600, 5]
    assert np.frombuffer(high.data, "<u4").tolist() == [0, 1]
    assert list(mcu_start_tags([600, 700])) == [65426]
    file = io.BytesIO()
    tiff = NdpiAssembler(file, bigtiff=False)
    tags = {
        Tag.IMAGE_WIDTH: long(7),
        Tag.STRIP_OFFSETS: Value(4, 1, (2**33 + 9).to_bytes(8, "little")),
    }
    tiff.finish([Ifd(tags)])
    file.seek(0)
    with tifffile.TiffFile(file, name="large.ndpi", is_ndpi=True) as tif:
        assert tif.pages.first.tags[Tag.STRIP_OFFSETS].value == (2**33 + 9,)


def test_sides_that_jpeg_cannot_state_are_left_to_the_container() -> None:
    sent: list[bytes] = []
    jpeg = BigJpeg(64, 70_000, standard_encoding(80, subsampling=(1, 1)), 64, sent.append)

    class Here:
        """Stands in for a pool of threads."""

        map = map

    jpeg.add(STACK[0, :8, :64], Here())  # type: ignore[arg-type]
    header = read_header(b"".join(sent))
    assert (header.width, header.height, header.restart_interval) == (64, 0, 8)


def test_file_order_is_never_the_physical_one_unless_asked_or_untold() -> None:
    slide = ArraySlide(STACK[:3], z_um=Z_UM[:3])
    orders = {tuple(plane.index for plane in file_order(slide, seed)) for seed in range(30)}
    assert (0, 1, 2) not in orders
    assert len(orders) > 3
    assert [plane.index for plane in file_order(slide, None)] == [0, 1, 2]
    assert [plane.index for plane in file_order(ArraySlide(STACK[:3]), 1)] == [0, 1, 2]


def test_planes_without_z_state_none(tmp_path: Path) -> None:
    paths = {kind: tmp_path / f"stack{suffix}" for kind, suffix in SUFFIX.items()}
    for kind, path in paths.items():
        write_container(ArraySlide(STACK), path, ContainerOptions(kind=kind))
    with tifffile.TiffFile(paths["ome-tiff"]) as ome, tifffile.TiffFile(paths["svs"]) as svs:
        assert "PositionZ" not in ome.pages.first.description
        assert "OffsetZ" not in svs.pages.first.description


@pytest.mark.parametrize("kind", list(SUFFIX))
def test_memory_does_not_grow_with_the_height(tmp_path: Path, kind: str) -> None:
    peaks = []
    for height in (1024, 4096):
        stack = np.broadcast_to(STACK[:, :1, :256], (4, height, 256, 3))
        tracemalloc.start()
        write_container(
            ArraySlide(stack, z_um=Z_UM), tmp_path / f"{height}{SUFFIX[kind]}", ContainerOptions(kind=kind, tile=64)
        )
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 400_000


def test_an_interrupted_file_is_refused(tmp_path: Path) -> None:
    class Broken(ArraySlide):
        """Fails on its last plane."""

        def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
            if plane == len(self.planes) - 1 and row:
                raise InterruptedError
            return super()._decode_tile(level, plane, column, row)

    for kind, suffix in SUFFIX.items():
        path = tmp_path / f"broken{suffix}"
        with pytest.raises(InterruptedError):
            write_container(Broken(STACK, z_um=Z_UM), path, ContainerOptions(kind=kind))
        with pytest.raises((tifffile.TiffFileError, IndexError)), tifffile.TiffFile(path) as tif:
            tif.pages.first.asarray()


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "tiff"},
        {"codec": "webp"},
        {"tile": 100},
        {"downsamples": (2, 4)},
        {"downsamples": (1, 3)},
        {"kind": "ndpi", "codec": "lzw"},
        {"kind": "ndpi", "color": "rgb"},
        {"kind": "ndpi", "label": STACK[0]},
        {"kind": "ome-tiff", "macro": STACK[0]},
        {"kind": "svs", "tiled": False},
    ],
)
def test_options_that_do_not_fit_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        ContainerOptions(**wrong)


@pytest.mark.parametrize(
    ("options", "stack"),
    [
        (ContainerOptions(), pixels(1, 3, np.uint16)),
        (ContainerOptions(kind="ndpi"), pixels(1, 1)),
        (ContainerOptions(codec="lzw"), np.zeros((1, 64, 64, 4), np.uint8)),
    ],
)
def test_pixels_that_do_not_fit_are_refused(tmp_path: Path, options: ContainerOptions, stack: NDArray[Any]) -> None:
    with pytest.raises(OptionError):
        written(tmp_path, options, stack)
