"""The assembler's layouts, read by tifffile, OpenSlide and libvips."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import openslide
import pytest
import pyvips
import tifffile
from numpy.typing import NDArray

from planish.errors import WriteError
from planish.write.assembler import (
    Ifd,
    Tag,
    TiffAssembler,
    byte,
    long,
    long8,
    rational,
    short,
    slong,
    text,
    undefined,
)

TILE = 64


def image(seed: int, size: int) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 255, (size, size, 3), np.uint8)


def page(tiff: TiffAssembler, pixels: NDArray[np.uint8], reduced: Sequence[Ifd] = (), description: str = "") -> Ifd:
    """Append an image as uncompressed tiles and return its directory."""
    count = pixels.shape[0] // TILE
    tiles = pixels.reshape(count, TILE, count, TILE, 3).swapaxes(1, 2).reshape(-1, TILE, TILE, 3)
    offsets = [tiff.append(tile.tobytes()) for tile in tiles]
    tags = {
        Tag.SUBFILE_TYPE: long(0 if reduced or description else 1),
        Tag.IMAGE_WIDTH: long(pixels.shape[1]),
        Tag.IMAGE_LENGTH: long(pixels.shape[0]),
        Tag.BITS_PER_SAMPLE: short([8, 8, 8]),
        Tag.COMPRESSION: short(1),
        Tag.PHOTOMETRIC: short(2),
        Tag.SAMPLES_PER_PIXEL: short(3),
        Tag.TILE_WIDTH: short(TILE),
        Tag.TILE_LENGTH: short(TILE),
        Tag.TILE_OFFSETS: tiff.offsets(offsets),
        Tag.TILE_BYTE_COUNTS: long([TILE * TILE * 3] * len(tiles)),
    }
    if description:
        tags[Tag.IMAGE_DESCRIPTION] = text(description)
    return Ifd(tags, tuple(reduced))


@pytest.mark.parametrize("bigtiff", [True, False])
@pytest.mark.parametrize("reduced", [1, 2])
def test_dual_layout_shows_every_level_to_every_reader(tmp_path: Path, bigtiff: bool, reduced: int) -> None:
    path = tmp_path / "dual.tif"
    images = [image(seed, 256 >> seed) for seed in range(reduced + 1)]
    with path.open("wb") as file:
        tiff = TiffAssembler(file, bigtiff=bigtiff)
        levels = [page(tiff, pixels) for pixels in images[1:]]
        tiff.finish([page(tiff, images[0], levels), *levels])
    with tifffile.TiffFile(path) as read:
        assert read.is_bigtiff == bigtiff
        assert len(read.pages) == 1 + reduced
        assert len(read.series[0].levels) == 1 + reduced
        for level, pixels in zip(read.series[0].levels, images, strict=True):
            np.testing.assert_array_equal(level.asarray(), pixels)
        for chained, pixels in zip(read.pages, images, strict=True):
            np.testing.assert_array_equal(chained.asarray(), pixels)
    with openslide.OpenSlide(path) as slide:
        assert [size[0] for size in slide.level_dimensions] == [256 >> seed for seed in range(reduced + 1)]
        np.testing.assert_array_equal(np.asarray(slide.read_region((0, 0), 1, (128, 128)))[..., :3], images[1])
    for number, pixels in enumerate(images):
        np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path), page=number).numpy(), pixels)
    np.testing.assert_array_equal(pyvips.Image.new_from_file(str(path), subifd=0).numpy(), images[1])


def test_several_images_with_subifds_each(tmp_path: Path) -> None:
    path = tmp_path / "stack.tif"
    images = [[image(10 * z + level, 256 >> level) for level in range(3)] for z in range(3)]
    with path.open("wb") as file:
        tiff = TiffAssembler(file)
        pages = [page(tiff, full, [page(tiff, pixels) for pixels in small]) for full, *small in images]
        tiff.finish(pages)
    with tifffile.TiffFile(path) as read:
        assert len(read.pages) == 3
        for main, (full, *small) in zip(read.pages, images, strict=True):
            assert isinstance(main, tifffile.TiffPage)
            assert main.subifds is not None
            np.testing.assert_array_equal(main.asarray(), full)
            for sub, pixels in zip(main.pages or (), small, strict=True):
                np.testing.assert_array_equal(sub.asarray(), pixels)
    for z in range(3):
        read_back = pyvips.Image.new_from_file(str(path), page=z, subifd=1).numpy()
        np.testing.assert_array_equal(read_back, images[z][2])


def test_an_unfinished_file_is_refused_by_every_reader(tmp_path: Path) -> None:
    path = tmp_path / "unfinished.tif"
    with path.open("wb") as file:
        page(TiffAssembler(file), image(0, 128))
    with pytest.raises((tifffile.TiffFileError, IndexError)), tifffile.TiffFile(path) as read:
        read.pages[0].asarray()
    with pytest.raises(openslide.OpenSlideError):
        openslide.OpenSlide(path)
    with pytest.raises(pyvips.Error):
        pyvips.Image.new_from_file(str(path))


class Interrupted(io.BytesIO):
    """A file that fails when the header is touched again."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Fail."""
        raise InterruptedError


def test_the_header_is_touched_last() -> None:
    file = Interrupted()
    tiff = TiffAssembler(file)
    with pytest.raises(InterruptedError):
        tiff.finish([page(tiff, image(0, 128))])
    assert struct.unpack_from("<Q", file.getvalue(), 8) == (0,)


def test_tiles_may_share_an_offset(tmp_path: Path) -> None:
    path = tmp_path / "shared.tif"
    with path.open("wb") as file:
        tiff = TiffAssembler(file)
        whole = page(tiff, image(0, 128))
        blank = tiff.append(bytes([255]) * TILE * TILE * 3)
        tiff.finish([Ifd({**whole.tags, Tag.TILE_OFFSETS: tiff.offsets([blank] * 4)})])
    assert (tifffile.imread(path) == 255).all()
    assert (pyvips.Image.new_from_file(str(path)).numpy() == 255).all()


def test_values_read_back_by_name_and_type(tmp_path: Path) -> None:
    path = tmp_path / "tags.tif"
    profile = bytes(range(256)) * 3
    extra = {
        Tag.IMAGE_DESCRIPTION: text("0.25 µm"),
        Tag.X_RESOLUTION: rational(10000 / 0.2527),
        Tag.Y_RESOLUTION: rational(1 / 3),
        Tag.RESOLUTION_UNIT: short(3),
        Tag.ICC_PROFILE: undefined(profile),
        65000: byte(b"\1\2\3"),
        65001: slong(-5),
        65002: long8(2**40),
    }
    with path.open("wb") as file:
        tiff = TiffAssembler(file)
        tiff.finish([Ifd({**page(tiff, image(0, 64)).tags, **extra})])
    with tifffile.TiffFile(path) as read:
        tags = read.pages.first.tags
        assert [tag.code for tag in tags] == sorted(tag.code for tag in tags)
        numerator, denominator = tags[Tag.X_RESOLUTION].value
        assert numerator / denominator == pytest.approx(10000 / 0.2527, rel=1e-6)
        assert tags[Tag.Y_RESOLUTION].value == (1, 3)
        assert tags[Tag.ICC_PROFILE].value == profile
        assert (tags[65000].value, tags[65001].value, tags[65002].value) == (b"\1\2\3", -5, 2**40)
    assert pyvips.Image.new_from_file(str(path)).get("image-description") == "0.25 µm"


def test_numbers_that_do_not_fit_are_refused() -> None:
    with pytest.raises(WriteError, match="does not fit"):
        short([1, 70000])
    with pytest.raises(WriteError, match="does not fit"):
        long(-1)
    classic = TiffAssembler(io.BytesIO(), bigtiff=False)
    classic.position = 2**32 - 10
    with pytest.raises(WriteError, match="BigTIFF"):
        classic.append(bytes(20))


def test_a_large_index_is_written_as_arrays(tmp_path: Path) -> None:
    path, count = tmp_path / "large.tif", 200_000
    with path.open("wb") as file:
        tiff = TiffAssembler(file)
        tile = tiff.append(bytes(16 * 16 * 3))
        wide = {
            **page(tiff, image(0, 64)).tags,
            Tag.IMAGE_WIDTH: long(16 * count),
            Tag.IMAGE_LENGTH: long(16),
            Tag.TILE_WIDTH: short(16),
            Tag.TILE_LENGTH: short(16),
            Tag.TILE_OFFSETS: tiff.offsets(np.full(count, tile)),
            Tag.TILE_BYTE_COUNTS: long(np.full(count, 768)),
        }
        tiff.finish([Ifd(wide)])
    with tifffile.TiffFile(path) as read:
        assert set(read.pages.first.dataoffsets) == {tile}
        assert len(read.pages.first.dataoffsets) == count
