"""JPEG tiles: the same tables in, the same tables out; colours right with every way of storing them."""

from __future__ import annotations

import io

import imagecodecs
import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from PIL import Image

from planish.errors import OptionError, SlideError, WriteError
from planish.jpeg import join, read_header, split
from planish.model import Encoding
from planish.write.jpeg import encode, quality_of, standard_encoding

ENCODINGS = [("rgb", (1, 1)), ("ycbcr", (1, 1)), ("ycbcr", (2, 1)), ("ycbcr", (2, 2)), ("gray", (1, 1))]


def picture(color: str = "rgb", size: int = 96) -> NDArray[np.uint8]:
    """Return smooth, strongly coloured pixels, so that a colour mistake is far off and subsampling is not."""
    y, x = np.mgrid[:size, :size] / size
    pixels = np.stack([220 * x + 20, 30 + 60 * y, 200 - 160 * x * y], axis=-1).astype(np.uint8)
    return pixels[..., :1] if color == "gray" else pixels


def odd_tables(encoding: Encoding) -> Encoding:
    """Return the encoding with tables that belong to no standard quality, each value of them different in place."""
    tables = tuple(bytes((v + i % 7) or 1 for i, v in enumerate(table)) for table in encoding.tables)
    return Encoding("jpeg", encoding.color, encoding.subsampling, tables)


def difference(jpeg: bytes, pixels: NDArray[np.uint8]) -> float:
    decoded = imagecodecs.jpeg8_decode(jpeg).reshape(pixels.shape)
    return float(np.abs(decoded.astype(int) - pixels).mean())


@pytest.mark.parametrize(("color", "subsampling"), ENCODINGS)
@pytest.mark.parametrize("quality", [7, 30, 90, 100])
def test_standard_encoding_reads_back_as_itself(color: str, subsampling: tuple[int, int], quality: int) -> None:
    encoding = standard_encoding(quality, color, subsampling)
    jpeg = encode(picture(color), encoding)
    assert read_header(jpeg).encoding() == encoding
    assert quality_of(encoding) == quality
    assert difference(jpeg, picture(color)) < (1.5 if quality >= 90 else 15)


def test_all_hundred_qualities_have_tables_of_their_own() -> None:
    for color in ("gray", "ycbcr"):
        assert [quality_of(standard_encoding(q, color)) for q in range(1, 101)] == list(range(1, 101))


@pytest.mark.parametrize(("color", "subsampling"), ENCODINGS)
def test_other_tables_are_written_in_their_own_order(color: str, subsampling: tuple[int, int]) -> None:
    encoding = odd_tables(standard_encoding(90, color, subsampling))
    assert quality_of(encoding) is None
    jpeg = encode(picture(color), encoding)
    assert read_header(jpeg).encoding() == encoding
    assert difference(jpeg, picture(color)) < 2.5


def test_rgb_with_two_tables_is_kept() -> None:
    encoding = Encoding("jpeg", "rgb", (1, 1), standard_encoding(80, "ycbcr").tables)
    assert read_header(encode(picture(), encoding)).encoding() == encoding


@pytest.mark.parametrize("other", [False, True])
@pytest.mark.parametrize(("color", "subsampling"), ENCODINGS)
def test_split_tiles_share_tables_and_join_to_a_whole_jpeg(
    color: str, subsampling: tuple[int, int], other: bool
) -> None:
    encoding = standard_encoding(85, color, subsampling)
    encoding = odd_tables(encoding) if other else encoding
    first, second = (encode(pixels, encoding) for pixels in (picture(color), picture(color, 64)[::-1]))
    (tables, tile), (again, _) = split(first), split(second)
    assert tables == again
    assert b"\xff\xdb" not in tile[:64]
    assert b"Adobe" not in tile
    whole = join(tile, tables, color)
    np.testing.assert_array_equal(imagecodecs.jpeg8_decode(whole), imagecodecs.jpeg8_decode(first))
    assert read_header(tile, tables).encoding(color) == encoding == read_header(whole).encoding()


def test_a_whole_tile_is_joined_without_a_second_marker() -> None:
    jpeg = encode(picture(), standard_encoding(85, "rgb"))
    assert join(jpeg, b"", "rgb") == jpeg


def test_nameless_rgb_shows_its_colours_only_when_joined() -> None:
    """Aperio numbers its RGB components 0, 1, 2 and writes no Adobe marker."""
    tables, tile = split(encode(picture(), standard_encoding(90, "rgb")))
    header = read_header(tile, tables)
    for number, name in enumerate(b"RGB"):
        tile = tile[: header.scan].replace(bytes([name, 0x11]), bytes([number, 0x11])) + tile[header.scan :]
        scan = header.scan - 11 + 4 + 2 * number - 2
        assert tile[scan] == name
        tile = tile[:scan] + bytes([number]) + tile[scan + 1 :]
    bare = b"\xff\xd8" + tables[2:-2] + tile[2:]
    assert difference(bare, picture()) > 20
    assert difference(join(tile, tables, "rgb"), picture()) < 1.5


JFIF = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
YCBCR = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00\x01"
COMMENT = b"\xff\xfe\x00\x06kept"


def other_decoders(jpeg: bytes) -> list[NDArray[np.uint8]]:
    vips = pyvips.Image.new_from_buffer(jpeg, "").numpy()
    return [vips, np.asarray(Image.open(io.BytesIO(jpeg)).convert("RGB"))]


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("marks", [JFIF, YCBCR, JFIF + YCBCR, JFIF + COMMENT + YCBCR, COMMENT])
def test_rgb_says_so_and_nothing_else_of_its_colours(marks: bytes, whole: bool) -> None:
    tables, tile = split(encode(picture(), standard_encoding(95, "rgb")))
    if whole:
        tile, tables = tile[:2] + tables[2:-2] + tile[2:], b""
    joined = join(tile[:2] + marks + tile[2:], tables, "rgb")
    assert joined[:20].count(b"Adobe") == joined.count(b"Adobe") == 1
    assert joined[2:4] == b"\xff\xee"
    assert (b"JFIF" in joined, b"kept" in joined) == (False, COMMENT in marks)
    assert difference(joined, picture()) < 1.5
    for decoded in other_decoders(joined):
        assert np.abs(decoded.astype(int) - picture()).mean() < 1.5


def test_jfif_beside_adobe_would_show_wrong_colours() -> None:
    jpeg = encode(picture(), standard_encoding(95, "rgb"))
    marked = jpeg[:2] + JFIF + jpeg[2:]
    assert max(np.abs(decoded.astype(int) - picture()).mean() for decoded in other_decoders(marked)) > 20


def test_header_tells_restart_interval_and_block_size() -> None:
    jpeg = encode(picture(size=64), standard_encoding(80))
    interval = b"\xff\xdd\x00\x04\x00\x04"
    header = read_header(jpeg[:2] + interval + jpeg[2:])
    assert (header.width, header.height, header.mcu, header.restart_interval) == (64, 64, (16, 16), 4)
    assert jpeg[header.scan - len(interval) - 3 :][:3] == b"\x00\x3f\x00"


def test_what_cannot_be_encoded_alike_is_refused() -> None:
    jpeg = encode(picture(), standard_encoding(80))
    tables, tile = split(jpeg)
    with pytest.raises(SlideError, match="lacks its quantisation tables"):
        read_header(tile).encoding()
    with pytest.raises(SlideError, match="16-bit"):
        read_header(jpeg.replace(b"\xff\xdb\x00C\x00", b"\xff\xdb\x00C\x10"))
    with pytest.raises(SlideError, match="sequential"):
        read_header(jpeg.replace(b"\xff\xc0", b"\xff\xc2"))
    with pytest.raises(SlideError, match="damaged"):
        read_header(jpeg[:100])
    with pytest.raises(SlideError, match="ends before"):
        read_header(tables)
    with pytest.raises(SlideError, match="does not start"):
        read_header(b"II*\0")
    with pytest.raises(SlideError, match="components"):
        read_header(jpeg).encoding("gray")
    with pytest.raises(SlideError, match="differ in sampling"):
        read_header(jpeg.replace(b"\x02\x11\x01", b"\x02\x12\x01")).encoding()
    with pytest.raises(WriteError, match="uint16"):
        encode(picture().astype(np.uint16), standard_encoding(80))
    with pytest.raises(WriteError, match="subsampling"):
        encode(picture(), Encoding("jpeg", "ycbcr", (4, 1), standard_encoding(80).tables))


@pytest.mark.parametrize(
    ("quality", "color", "subsampling"), [(0, "rgb", (1, 1)), (90, "cmyk", (1, 1)), (90, "rgb", (3, 1))]
)
def test_bad_options_are_named(quality: int, color: str, subsampling: tuple[int, int]) -> None:
    with pytest.raises(OptionError):
        standard_encoding(quality, color, subsampling)
