"""KLB: against the reference implementation's files, round trips, boxes, and what damaged files say."""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from planish.errors import Cancelled, OptionError, OutputExists, SlideError, SlideNotFound
from planish.lightsheet import klb
from planish.lightsheet.klb import KlbFile, KlbOptions

GOLDEN = Path(__file__).with_name("golden") / "pyklb.npz"
DTYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float32", "float64")
CODECS = ("none", "bzip2", "zlib")
OFFSETS = 319
"""Bytes before the list of the blocks' ends."""


def volume(shape: tuple[int, ...] = (5, 20, 30), dtype: str = "uint16") -> NDArray[Any]:
    values = np.random.default_rng(3).integers(0, 2**63, shape, np.uint64)
    if dtype.startswith("float"):
        return (values.astype(np.float64) / 2**62 - 1).astype(dtype)
    return values.astype(dtype)


def made(folder: Path, codec: str = "zlib", pixels: NDArray[Any] | None = None) -> Path:
    options = KlbOptions(codec, block=(2, 8, 12), overwrite=True)
    return klb.write(folder / "made.klb", volume() if pixels is None else pixels, options)


@pytest.fixture(scope="module")
def reference() -> dict[str, NDArray[Any]]:
    with np.load(GOLDEN) as archive:
        return dict(archive)


def test_the_real_file_equals_its_tiff(data: Callable[[str], Path]) -> None:
    found = klb.read(data("lightsheet/img.klb"))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, tifffile.imread(data("lightsheet/img.tif")))


def test_the_real_files_metadata_ends_at_the_first_nul(data: Callable[[str], Path]) -> None:
    with KlbFile(data("lightsheet/img.klb")) as file:
        assert file.metadata == "Testing metadata"
        assert file.voxel_um is None


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_files_of_the_reference_implementation_are_read(
    tmp_path: Path, reference: dict[str, NDArray[Any]], dtype: str, codec: str
) -> None:
    path = tmp_path / "golden.klb"
    path.write_bytes(reference[f"zyx_{dtype}_{codec}"].tobytes())
    with KlbFile(path) as file:
        assert (file.shape, file.dtype, file.ndim) == ((3, 7, 9), np.dtype(dtype), 3)
        assert file.voxel_um == (2.5, 0.5, 0.25)
        np.testing.assert_array_equal(file[...], reference["zyx"].astype(dtype))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_files_are_those_of_the_reference_implementation(
    tmp_path: Path, reference: dict[str, NDArray[Any]], dtype: str, codec: str
) -> None:
    options = KlbOptions(codec, block=(2, 5, 4), pixel_um=(2.5, 0.5, 0.25))
    path = klb.write(tmp_path / "ours.klb", reference["zyx"].astype(dtype), options)
    if codec == "zlib":  # another zlib may compress otherwise
        np.testing.assert_array_equal(klb.read(path), reference["zyx"].astype(dtype))
        assert path.read_bytes()[:OFFSETS] == reference[f"zyx_{dtype}_{codec}"].tobytes()[:OFFSETS]
    else:
        assert path.read_bytes() == reference[f"zyx_{dtype}_{codec}"].tobytes()


def test_channels_and_times_are_five_axes(tmp_path: Path, reference: dict[str, NDArray[Any]]) -> None:
    path = tmp_path / "golden.klb"
    path.write_bytes(reference["tczyx_uint16_zlib"].tobytes())
    with KlbFile(path) as file:
        assert file.shape == (2, 2, 3, 5, 6)
        np.testing.assert_array_equal(file, reference["tczyx"])
        np.testing.assert_array_equal(file[1, 0, :, 2], reference["tczyx"][1, 0, :, 2])


@pytest.mark.parametrize("shape", [(5, 20, 30), (1, 1, 1), (2, 3, 4, 9, 10), (1, 1, 3, 4, 5)])
@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_round_trips_are_exact(tmp_path: Path, dtype: str, codec: str, shape: tuple[int, ...]) -> None:
    pixels = volume(shape, dtype)
    found = klb.read(made(tmp_path, codec, pixels))
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels.reshape(found.shape))


def test_big_endian_and_strided_volumes_are_stored_as_they_look(tmp_path: Path) -> None:
    pixels = volume((9, 40, 30)).astype(">u2")[::2, ::-1]
    np.testing.assert_array_equal(klb.read(made(tmp_path, pixels=pixels)), pixels)


def test_options_are_read_back(tmp_path: Path) -> None:
    options = KlbOptions("none", (4, 4, 4), (2.0, 0.40625, 0.5), "fish 3, µm")
    with KlbFile(klb.write(tmp_path / "a.klb", volume(), options)) as file:
        assert file.voxel_um == (2.0, 0.40625, 0.5)
        assert file.metadata == "fish 3, µm"
        assert file.header.block == (1, 1, 4, 4, 4)


def test_the_default_block_of_16_bit_is_96_by_96_by_8(tmp_path: Path) -> None:
    with KlbFile(klb.write(tmp_path / "a.klb", np.zeros((9, 97, 98), np.uint16))) as file:
        assert file.header.block == (1, 1, 8, 96, 96)


@pytest.mark.parametrize(
    "index",
    [
        np.s_[2],
        np.s_[-1, 3],
        np.s_[1, 2, 3],
        np.s_[...],
        np.s_[..., 4],
        np.s_[1:4, 5:13, 7:25],
        np.s_[:, 8:16, 12:24],
        np.s_[::-1, ::3, 20:2:-5],
        np.s_[3:2],
        np.s_[-100:100, 19:],
        np.s_[np.int64(2), :, np.uint8(5)],
    ],
)
@pytest.mark.parametrize("codec", CODECS)
def test_boxes_equal_slices(tmp_path: Path, codec: str, index: Any) -> None:
    found = klb.read(made(tmp_path, codec), index)
    np.testing.assert_array_equal(found, volume()[index])
    assert found.shape == volume()[index].shape


@pytest.mark.parametrize("index", [5, (0, 0, 0, 0), (..., ...), [1, 2], True, None, 1.0, (0, -21)])
def test_other_indices_are_refused(tmp_path: Path, index: Any) -> None:
    with KlbFile(made(tmp_path)) as file, pytest.raises(IndexError):
        file[index]


def test_random_boxes_equal_slices(tmp_path: Path) -> None:
    random = np.random.default_rng()
    pixels = volume((9, 33, 41))
    with KlbFile(made(tmp_path, pixels=pixels)) as file:
        for _ in range(100):
            spans = [np.sort(random.integers(0, size + 1, 2)) for size in pixels.shape]
            index = tuple(slice(int(start), int(stop)) for start, stop in spans)
            np.testing.assert_array_equal(file[index], pixels[index], str(index))


def test_planes_in_turn_decode_each_block_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded = []
    real = KlbFile._decoded

    def count(self: KlbFile, *key: Any) -> NDArray[Any]:
        decoded.append(key)
        return real(self, *key)

    monkeypatch.setattr(KlbFile, "_decoded", count)
    with KlbFile(made(tmp_path)) as file:
        np.testing.assert_array_equal(np.stack([file[z] for z in range(5)]), volume())
    assert len(decoded) == len(set(decoded)) == 9


def test_many_threads_read_one_file(tmp_path: Path) -> None:
    with KlbFile(made(tmp_path)) as file:
        found: dict[int, NDArray[Any]] = {}
        threads = [threading.Thread(target=lambda z: found.update({z: file[z % 5]}), args=(z,)) for z in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    for z, plane in found.items():
        np.testing.assert_array_equal(plane, volume()[z % 5])


def test_writing_reads_a_layer_of_blocks_at_a_time(tmp_path: Path) -> None:
    class Lazy:
        shape, dtype = (20, 30, 40), np.dtype(np.uint16)
        asked: ClassVar[list[tuple[int, int]]] = []

        def __getitem__(self, index: slice) -> NDArray[Any]:
            self.asked.append((index.start, index.stop))
            return volume(self.shape)[index]

    path = klb.write(tmp_path / "a.klb", Lazy())
    assert Lazy.asked == [(0, 8), (8, 16), (16, 20)]
    np.testing.assert_array_equal(klb.read(path), volume(Lazy.shape))


def test_a_volume_that_fails_leaves_nothing(tmp_path: Path) -> None:
    class Broken:
        shape, dtype = (20, 30, 40), np.dtype(np.uint16)

        def __getitem__(self, index: slice) -> NDArray[Any]:
            if index.start:
                raise SlideError("broken.stack: cut short")
            return volume(self.shape)[index]

    with pytest.raises(SlideError, match=r"broken\.stack"):
        klb.write(tmp_path / "a.klb", Broken())
    assert not list(tmp_path.iterdir())


def test_progress_is_told_and_may_cancel(tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    klb.write(tmp_path / "a.klb", volume(), KlbOptions(block=(2, 8, 12)), lambda *now: told.append(now))
    assert told == [("writing", 3 * row, 27) for row in range(1, 10)]

    def cancel(stage: str, done: int, total: int) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        klb.write(tmp_path / "b.klb", volume(), progress=cancel)
    assert [path.name for path in tmp_path.iterdir()] == ["a.klb"]


def test_an_output_is_only_replaced_when_asked(tmp_path: Path) -> None:
    path = made(tmp_path)
    with pytest.raises(OutputExists, match="already exists"):
        klb.write(path, volume())
    np.testing.assert_array_equal(klb.read(path), volume())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"codec": "lzw"}, "no codec 'lzw'"),
        ({"block": (0, 4, 4)}, "blocks are"),
        ({"pixel_um": (1.0, 0.0, 1.0)}, "above 0"),
        ({"metadata": "x" * 257}, "256 bytes"),
        ({"jobs": 0}, "jobs"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        KlbOptions(**options)


@pytest.mark.parametrize("pixels", [np.zeros((2, 3)), np.zeros((0, 3, 3)), np.zeros((2, 2, 2), bool)])
def test_volumes_that_klb_cannot_hold_are_refused(tmp_path: Path, pixels: NDArray[Any]) -> None:
    with pytest.raises(OptionError, match="KLB holds"):
        klb.write(tmp_path / "a.klb", pixels)
    assert not list(tmp_path.iterdir())


def test_blocks_that_no_reader_takes_are_refused(tmp_path: Path) -> None:
    huge = np.broadcast_to(np.uint8(1), (2, 2**15, 2**15))
    with pytest.raises(OptionError, match="2 GiB"):
        klb.write(tmp_path / "a.klb", huge, KlbOptions(block=huge.shape))
    assert not list(tmp_path.iterdir())


def damage(path: Path, at: int, value: bytes) -> None:
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("at", "value", "message"),
    [
        (0, b"\x03", "not a KLB file of version 2"),
        (1, b"\0\0\0\0", "header is damaged"),
        (1, b"\xff\xff\xff\x7f", "cut short or damaged"),
        (41, b"\x0a", "pixel type 10"),
        (42, b"\x07", "codec 7"),
        (299, b"\0\0\0\0", "header is damaged"),
        (299, b"\xff\xff\xff\xff", "damaged|cut short|out of order"),
        (OFFSETS, b"\0" * 8, "no length or out of order"),
        (OFFSETS + 8, b"\x01" + b"\0" * 7, "no length or out of order"),
        (OFFSETS + 26 * 8, struct.pack("<Q", 2**63), "cut short"),
    ],
)
def test_a_damaged_header_is_one_clear_error(tmp_path: Path, at: int, value: bytes, message: str) -> None:
    path = made(tmp_path)
    damage(path, at, value)
    with pytest.raises(SlideError, match=message) as caught:
        klb.read(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("length", [0, 1, 318, 319, 400, 800, -1])
def test_a_file_cut_short_is_one_clear_error(tmp_path: Path, length: int) -> None:
    path = made(tmp_path)
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(SlideError, match="copy"):
        KlbFile(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFound, match="no such file"):
        KlbFile(tmp_path / "none.klb")
    with pytest.raises(SlideError, match="cannot be read"):
        KlbFile(tmp_path)


@pytest.mark.parametrize("codec", CODECS)
def test_a_block_of_another_size_is_named(tmp_path: Path, codec: str) -> None:
    path = made(tmp_path, codec)
    damage(path, 299, struct.pack("<5I", 12, 8, 2, 2, 2))  # blocks as many, as the file has one channel and time
    np.testing.assert_array_equal(klb.read(path), volume())
    damage(path, 1, struct.pack("<5I", 29, 20, 5, 1, 1))  # as many blocks, the last of each row narrower
    with KlbFile(path) as file:
        np.testing.assert_array_equal(file[:, :, :24], volume()[:, :, :24])
        with pytest.raises(SlideError, match=r"made\.klb: KLB block \d+ holds"):
            file[0]


@pytest.mark.parametrize("codec", ["bzip2", "zlib"])
def test_a_block_that_does_not_decompress_is_named(tmp_path: Path, codec: str) -> None:
    path = made(tmp_path, codec)
    damage(path, OFFSETS + 27 * 8, b"\0" * 20)
    with KlbFile(path) as file:
        with pytest.raises(SlideError, match="KLB block 0 does not decompress"):
            file[0]
        np.testing.assert_array_equal(file[2:], volume()[2:])


def test_damage_anywhere_is_an_error_of_ours_or_none(tmp_path: Path) -> None:
    random = np.random.default_rng()
    whole = made(tmp_path, "bzip2").read_bytes()
    path = tmp_path / "fuzz.klb"
    for _ in range(300):
        content = bytearray(whole)
        for at in random.integers(0, random.choice([OFFSETS + 30, len(whole)]), 3).tolist():
            content[at] = int(random.integers(256))
        path.write_bytes(content[: random.integers(len(content)) if random.random() < 0.2 else None])
        try:
            with KlbFile(path) as file:
                file[0, :5, :5]
        except SlideError as error:
            assert str(path) in str(error)
