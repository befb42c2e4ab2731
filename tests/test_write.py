"""The writer: what goes in comes out, in every reader, whatever the kind of pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openslide
import pytest
import pyvips
import tifffile
from numpy.typing import NDArray

from arrays import ArraySlide
from makers import container, make_stack
from planish.errors import Cancelled, OptionError, OutputExists, WriteError
from planish.jpeg import read_header
from planish.slide.open import open_slide
from planish.write import tiff as writer
from planish.write import verify
from planish.write.jpeg import standard_encoding
from planish.write.levels import plan_levels
from planish.write.options import WriteOptions
from planish.write.output import write
from planish.write.pyramid import Ladder, halve
from planish.write.tiles import Row, TileSource


def one_plane(height: int = 1300, width: int = 1100, channels: int = 3, dtype: Any = np.uint8) -> ArraySlide:
    random = np.random.default_rng(height)
    small = random.integers(0, 255, (height // 20 + 1, width // 20 + 1, channels), np.uint8)
    picture = cv2.resize(small, (width, height)).reshape(1, height, width, channels)
    return ArraySlide((picture.astype(np.int64) * (1 if np.dtype(dtype).itemsize == 1 else 257)).astype(dtype))


def psnr(first: NDArray[Any], second: NDArray[Any]) -> float:
    return float(10 * np.log10(255**2 / max(1e-9, np.mean((first.astype(float) - second) ** 2))))


def test_all_levels_open_in_openslide_tifffile_and_pyvips(tmp_path: Path) -> None:
    slide, path = one_plane(), tmp_path / "flat.tif"
    written = write(slide, path)
    sizes = [(1100, 1300), (550, 650), (275, 325), (138, 163)]
    assert [(level.width, level.height) for level in written.levels] == sizes
    with openslide.OpenSlide(path) as other:
        assert list(other.level_dimensions) == sizes
        assert float(other.properties["openslide.mpp-x"]) == pytest.approx(0.25)
        seen = np.asarray(other.read_region((0, 0), 0, sizes[0]))[..., :3]
        assert psnr(seen, slide.stack[0]) > 38
    with tifffile.TiffFile(path) as other:
        assert [level.shape[1::-1] for level in other.series[0].levels] == sizes
        assert psnr(other.series[0].levels[0].asarray(), slide.stack[0]) > 38
        assert other.series[0].levels[2].keyframe.subfiletype == 1
    for page, (width, height) in enumerate(sizes):
        image = pyvips.Image.new_from_file(str(path), page=page)
        assert (image.width, image.height) == (width, height)
        assert page or psnr(image.numpy(), slide.stack[0]) > 38


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int16])
@pytest.mark.parametrize("channels", [2, 3, 4, 5])
def test_a_channel_is_halved_alike_whatever_stands_beside_it(dtype: Any, channels: int) -> None:
    band = (np.random.default_rng(channels).random((65, 67, channels)) * 200).astype(dtype)
    apart = [halve(band[..., index : index + 1]) for index in range(channels)]
    assert np.array_equal(halve(band), np.concatenate(apart, axis=2))


def test_upper_levels_are_the_mean_of_the_lower(tmp_path: Path) -> None:
    slide = one_plane(dtype=np.uint16, channels=1)
    write(slide, tmp_path / "flat.tif")
    with open_slide(tmp_path / "flat.tif") as flat:
        wanted = slide.stack[0]
        for index, level in enumerate(flat.levels):
            found = flat.read_region(index, 0, 0, 0, level.width, level.height)
            assert np.array_equal(found, wanted)
            wanted = halve(wanted)


@pytest.mark.parametrize(
    ("dtype", "channels"), [("uint16", 1), ("uint16", 3), ("int8", 1), ("uint8", 2), ("int16", 5), ("uint32", 1)]
)
def test_what_jpeg_cannot_hold_stays_lossless(tmp_path: Path, dtype: str, channels: int) -> None:
    slide = one_plane(300, 700, channels, np.dtype(dtype))
    written = write(slide, tmp_path / "flat.tif")
    assert written.encoding.codec == "deflate"
    with open_slide(tmp_path / "flat.tif") as flat:
        assert flat.dtype == slide.dtype
        assert np.array_equal(flat.read_region(0, 0, 0, 0, 700, 300), slide.stack[0])
    found = tifffile.imread(tmp_path / "flat.tif")
    apart = channels not in (1, 3)
    assert np.array_equal(np.moveaxis(found, 0, 2) if apart else found.reshape(300, 700, channels), slide.stack[0])
    with pytest.raises(OptionError, match="lossless"):
        write(slide, tmp_path / "other.tif", WriteOptions(quality=80))


@pytest.mark.parametrize("color", ["rgb", "ycbcr"])
@pytest.mark.parametrize("kind", ["svs", "ome-tiff"])
def test_the_sources_tables_and_subsampling_are_kept(tmp_path: Path, kind: str, color: str) -> None:
    sampling = (1, 1) if color == "rgb" else (2, 2)
    source = container(tmp_path, make_stack(1), kind=kind, quality=63, color=color, subsampling=sampling)
    with open_slide(source) as slide:
        written = write(slide, tmp_path / "flat.tif")
        assert written.encoding == standard_encoding(63, color, sampling)
        with open_slide(tmp_path / "flat.tif") as flat:
            assert psnr(flat.read_tile(0, 0, 0, 0), slide.read_tile(0, 0, 0, 0)) > 36
        again = write(slide, tmp_path / "other.tif", WriteOptions(quality=90))
        assert again.encoding == standard_encoding(90, color, sampling)
    with tifffile.TiffFile(tmp_path / "flat.tif") as other:
        page = other.pages[0]
        assert isinstance(page, tifffile.TiffPage)
        other.filehandle.seek(page.dataoffsets[0])
        header = read_header(other.filehandle.read(page.databytecounts[0]), page.jpegtables or b"")
        assert header.encoding(color) == standard_encoding(63, color, sampling)


def test_a_source_without_encoding_becomes_q90_444(tmp_path: Path) -> None:
    assert write(one_plane(), tmp_path / "flat.tif").encoding == standard_encoding(90, "ycbcr", (1, 1))


def test_icc_profile_and_pixel_size_are_kept(tmp_path: Path) -> None:
    slide = one_plane()
    profile = b"ICC" * 50
    slide.metadata = type(slide.metadata)("array", 0.23, 0.24, 20.0, profile)
    write(slide, tmp_path / "flat.tif")
    with open_slide(tmp_path / "flat.tif") as flat:
        assert (flat.metadata.mpp_x, flat.metadata.mpp_y) == (0.23, 0.24)
        assert flat.metadata.icc_profile == profile
        assert flat.metadata.objective_power == 20


def test_threads_and_order_do_not_change_a_byte(tmp_path: Path) -> None:
    slide = one_plane(3000, 600)
    for jobs in (1, 4):
        write(slide, tmp_path / f"{jobs}.tif", WriteOptions(jobs=jobs))
    assert (tmp_path / "1.tif").read_bytes() == (tmp_path / "4.tif").read_bytes()


def test_one_level_slides_of_any_size_are_written(tmp_path: Path) -> None:
    for size in (1, 15, 256, 257):
        slide = one_plane(size, size)
        assert len(write(slide, tmp_path / f"{size}.tif").levels) == 1 + (size == 257)


def test_each_tile_is_composed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAMPLE", 0)
    monkeypatch.setattr(verify, "_MOST_TILES", 0)
    slide = one_plane(3000, 600)
    write(slide, tmp_path / "flat.tif")
    assert slide.decoded[0] == 12 * 3


def test_an_existing_output_stays_unless_overwriting_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "flat.tif"
    path.write_bytes(b"mine")
    with pytest.raises(OutputExists, match="--overwrite"):
        write(one_plane(), path)
    assert path.read_bytes() == b"mine"
    write(one_plane(), path, WriteOptions(overwrite=True))
    assert path.stat().st_size > 1000


class Failing(ArraySlide):
    """A slide whose lower half cannot be read."""

    def _decode_tile(self, level: int, plane: int, column: int, row: int) -> NDArray[Any]:
        if row > 3:
            raise OSError(28, "No space left on device")
        return super()._decode_tile(level, plane, column, row)


def test_nothing_is_left_where_writing_fails(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No space left"):
        write(Failing(one_plane(3000, 600).stack), tmp_path / "flat.tif")
    assert not list(tmp_path.iterdir())


def test_progress_counts_and_can_cancel(tmp_path: Path) -> None:
    seen: list[tuple[str, int, int]] = []

    def cancel(*progress: Any) -> None:
        seen.append(progress)
        if progress[1] >= 8:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        write(one_plane(3000, 600), tmp_path / "flat.tif", progress=cancel)
    assert seen == [("writing", 4, 12), ("writing", 8, 12)]
    assert not list(tmp_path.iterdir())


def test_several_planes_are_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="4 planes"):
        write(ArraySlide(make_stack()), tmp_path / "flat.tif")


def test_a_file_that_reads_back_wrong_never_gets_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = TileSource.encode_row

    def swap(self: TileSource, level: int, band: NDArray[Any]) -> Row:
        row = whole(self, level, band)
        return row._replace(tiles=row.tiles[::-1])

    monkeypatch.setattr(TileSource, "encode_row", swap)
    with pytest.raises(WriteError, match="level 1 is not what was meant"):
        write(one_plane(768, 768), tmp_path / "flat.tif")
    assert not list(tmp_path.iterdir())


def test_the_ladder_gives_whole_rows_of_every_level() -> None:
    slide = one_plane(1345, 264)
    band, levels = slide.stack[0], plan_levels(slide).levels
    ladder, rows = Ladder(0, [level.tile_height for level in levels]), dict[int, list[NDArray[Any]]]()
    for start in range(0, 1345, 150):
        for level, row in ladder.push(0, band[start : start + 150], end=start + 150 >= 1345):
            rows.setdefault(level, []).append(row)
    wanted = band
    for index, size in enumerate(levels):
        assert len(rows[index]) == size.rows
        assert np.array_equal(np.concatenate(rows[index]), wanted)
        wanted = halve(wanted)


def test_halving_rounds_to_nearest_and_repeats_odd_edges() -> None:
    for dtype in (np.uint8, np.uint16, np.int16, np.uint32):
        band = np.array([[1, 2, 9], [2, 2, 9], [4, 4, 7]], dtype)[..., None]
        assert halve(band)[..., 0].tolist() == [[2, 9], [4, 7]]


@pytest.mark.parametrize("tile", [64, 528, 640])
def test_levels_halved_from_tiles_of_any_height_are_whole(tmp_path: Path, tile: int) -> None:
    stack = np.random.default_rng(0).integers(0, 255, (1, 9 * tile, tile + 40, 1), np.uint8)
    written = write(ArraySlide(stack, tile=tile), tmp_path / "a.tif")
    assert written.tiles_checked > 10
