"""Copied tiles: byte for byte the source's, at every level, and whatever cannot be copied is composed alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from arrays import ArraySlide
from makers import container, make_stack, tiled_page
from planish.convert import ConvertOptions, convert
from planish.errors import OptionError, PlanishError, WriteError
from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.flat import flatten
from planish.fuse.options import FuseOptions
from planish.model import EncodedTile
from planish.phantom.containers import ContainerOptions, write_container
from planish.planemap import How, PlaneMap
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.slide.page import as_pages
from planish.verification import verify_file
from planish.write import tiff as writer
from planish.write import verify
from planish.write.assembler import Ifd, Tag, TiffAssembler, short
from planish.write.options import WriteOptions
from planish.write.output import write
from planish.write.tiff import tile_source

SELECT = FuseOptions("select")

FORMS: dict[str, dict[str, Any]] = {
    "svs-rgb": {"kind": "svs", "color": "rgb"},
    "svs-420": {"kind": "svs", "subsampling": (2, 2)},
    "ome-rgb": {"kind": "ome-tiff", "color": "rgb"},
    "ome-444": {"kind": "ome-tiff", "subsampling": (1, 1)},
    "ome-422": {"kind": "ome-tiff", "subsampling": (2, 1)},
}


def some_map(slide: Slide, seed: int = 0) -> PlaneMap:
    """Return a map of random planes, larger patches and smaller, so that tiles agree at some upper levels."""
    full = slide.levels[0]
    cell = (full.tile_width, full.tile_height)
    cell = cell if all(128 <= side <= 512 for side in cell) else (256, 256)
    rows, columns = -(-full.height // cell[1]), -(-full.width // cell[0])
    plane = np.random.default_rng(seed).integers(0, len(slide.planes), (rows, columns))
    plane[: max(1, rows - 1)] = 1
    unknown = np.full(plane.shape, np.nan, np.float32)
    how, z_um = np.full(plane.shape, How.DENSE, np.uint8), tuple(plane.z_um for plane in slide.planes)
    return PlaneMap(plane.astype(np.int16), unknown, how, unknown, *cell, full.width, full.height, z_um)


def large(planes: int = 4) -> NDArray[Any]:
    """Return a stack of 1040 × 1568 px: 5 × 7 cells of 256 px, the last ones cropped."""
    return np.tile(make_stack(planes), (1, 4, 2, 1))


def tiles_of(slide: Slide, level: int) -> dict[tuple[int, int], EncodedTile]:
    size = slide.levels[level]
    found = {(c, r): slide.encoded_tile(level, 0, c, r) for r in range(size.rows) for c in range(size.columns)}
    return {place: tile for place, tile in found.items() if tile is not None}


def wholes(slide: Slide, level: int) -> set[bytes]:
    return {tile.whole for tile in tiles_of(slide, level).values()}


@pytest.mark.parametrize("form", FORMS)
def test_level_0_is_byte_identical_tables_included(form: str, tmp_path: Path) -> None:
    source = container(tmp_path, large(), **FORMS[form])
    with open_slide(source) as slide:
        flat = flatten(slide, some_map(slide), SELECT)
        written = write(flat, tmp_path / "flat.tif")
        count = slide.levels[0].columns * slide.levels[0].rows
        with open_slide(tmp_path / "flat.tif") as result:
            for (column, row), tile in tiles_of(result, 0).items():
                wanted = flat.encoded_tile(0, 0, column, row)
                assert wanted is not None
                assert (tile.data, tile.tables) == (wanted.data, wanted.tables)
                assert np.array_equal(result.read_tile(0, 0, column, row), flat.read_tile(0, 0, column, row))
            assert len(tiles_of(result, 0)) == count
            # Upper tiles whose cells agree are copies, too.
            copied = wholes(result, 2) & wholes(flat, 1)
            assert copied
    assert written.tiles_copied >= count + len(copied)
    assert written.tiles_copied + written.tiles_encoded == sum(level.columns * level.rows for level in written.levels)


def test_one_tile_alone_and_the_whole_row_are_the_same_copies(tmp_path: Path) -> None:
    with open_slide(container(tmp_path, large(), kind="svs")) as slide:
        source = tile_source(flatten(slide, some_map(slide), SELECT), WriteOptions())
        for segment in source.plan.segments:
            level = source.plan.levels[segment.first]
            for row in range(level.rows):
                alone = [source.copy(segment.first, column, row) for column in range(level.columns)]
                assert alone == source.copies(segment, row)


def test_copying_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "SAMPLE", 0)
    source = container(tmp_path, large(), kind="svs", downsamples=(1, 2, 4, 8))
    with open_slide(source) as slide:
        focus = some_map(slide)
        uniform = replace(focus, plane=np.full_like(focus.plane, 2))
        written = write(flatten(slide, uniform, SELECT), tmp_path / "flat.tif")
        assert slide.decoded.total() == 0
        assert written.tiles_encoded == 0
        assert written.bytes_copied > 0


@pytest.mark.parametrize(("subsampling", "chunk"), [((1, 1), None), ((1, 1), 104), ((2, 2), None), ((2, 1), 336)])
def test_ndpi_strips_are_copied_where_they_agree(subsampling: Any, chunk: int | None, tmp_path: Path) -> None:
    stack = np.tile(make_stack(), (1, 2, 2, 1))[:, :768, : 1008 if chunk == 336 else 1040]
    source = container(tmp_path, stack, kind="ndpi", subsampling=subsampling, chunk_width=chunk, quality=90)
    with open_slide(source) as slide, tifffile.TiffFile(source) as reference:
        focus = some_map(slide)
        flat = flatten(slide, focus, SELECT)
        write(flat, tmp_path / "flat.tif")
        wanted = flat.read_region(0, 0, 0, 0, slide.levels[0].width, slide.levels[0].height)
        with open_slide(tmp_path / "flat.tif") as result:
            found = result.read_region(0, 0, 0, 0, slide.levels[0].width, slide.levels[0].height)
            if slide.levels[0].tile_width % 16 == 0:
                assert wholes(result, 0) & wholes(flat, 0)
        rows = slide.levels[0].tile_height
        # The uppermost strip is of plane 1 alone, and is the scanner's picture.
        fulls = [page for page in as_pages(reference.pages) if page.imagewidth == stack.shape[2]]
        scanned = sorted(fulls, key=lambda page: page.tags.valueof(65424))[1].asarray()[:rows].astype(int)
        difference = np.abs(found[:rows] - scanned)
        if subsampling == (1, 1):
            assert not difference.any()
        else:
            # Chroma beside a tile's border is interpolated without the neighbour; these planes are gaudy.
            assert difference.max() <= 48
            assert (difference > 0).any(axis=2).mean() < 0.005
        assert np.abs(found.astype(int) - wanted).mean() < 1


def test_planes_of_different_quality_are_copied_whole_and_bytes_refused(tmp_path: Path) -> None:
    folder = tmp_path / "planes"
    folder.mkdir()
    for index, plane in enumerate(make_stack()):
        options = ContainerOptions("svs", quality=60 + 10 * index)
        write_container(ArraySlide(plane[None]), folder / f"{index}.svs", options)
    with open_slide(folder) as slide:
        assert slide.encoded_sizes(0) is None
        assert "differently" in (slide.sizes_refusal(0) or "")
        record = survey(slide).record
        assert record is not None
        assert record.scorer == "blur-difference"
        assert "byte counts not used" in record.scorer_why
        with pytest.raises(OptionError, match="differently"):
            survey(slide, SurveyOptions(scorer="encoded-size"))
        flat = flatten(slide, some_map(slide), SELECT)
        write(flat, tmp_path / "flat.tif")
        with open_slide(tmp_path / "flat.tif") as result:
            for (column, row), tile in tiles_of(result, 0).items():
                wanted = flat.encoded_tile(0, 0, column, row)
                assert wanted is not None
                assert tile.whole == wanted.whole
                assert np.array_equal(result.read_tile(0, 0, column, row), flat.read_tile(0, 0, column, row))


@pytest.mark.parametrize("color", ["rgb", "ycbcr"])
def test_one_tile_sent_alone_shows_the_right_colours(color: str, tmp_path: Path) -> None:
    with open_slide(container(tmp_path, make_stack(), kind="svs", color=color, quality=95)) as slide:
        tile = slide.encoded_tile(0, 2, 0, 0)
        assert tile is not None
        alone = imagecodecs.jpeg8_decode(tile.whole)
        assert np.abs(alone[:256, :256].astype(int) - make_stack()[2, :256, :256]).mean() < 3


def test_upper_levels_differ_from_the_shrunk_level_0_by_no_more_than_jpeg_does(tmp_path: Path) -> None:
    source = container(tmp_path, large(), kind="svs", quality=80, subsampling=(1, 1))
    with open_slide(source) as slide:
        flat = flatten(slide, some_map(slide, 3), SELECT)
        write(flat, tmp_path / "flat.tif")
        full = slide.levels[0]
        meant = np.asarray(flat.read_region(0, 0, 0, 0, full.width, full.height))
    with open_slide(tmp_path / "flat.tif") as result:
        level = result.levels[2]
        found = result.read_region(2, 0, 0, 0, level.width, level.height).astype(float)
        height, width = meant.shape[0] // 4, meant.shape[1] // 4
        shrunk = meant[: height * 4, : width * 4].reshape(height, 4, width, 4, 3).mean((1, 3))
        shrunk_jpeg = imagecodecs.jpeg8_decode(imagecodecs.jpeg8_encode(shrunk.astype(np.uint8), 80, subsampling="444"))
        ours = np.sqrt(np.mean((found[:height, :width] - shrunk) ** 2))
        jpeg = np.sqrt(np.mean((shrunk_jpeg - shrunk) ** 2))
        # The scanner's own level is a JPEG already: all of the difference is its error, and none is ours.
        assert ours < 1.1 * jpeg


def flat_file(tmp_path: Path) -> tuple[Path, Path]:
    """Return a flat slide and its source, with planes so unlike that a wrong one shows."""
    source = container(tmp_path, large(), kind="svs", quality=85)
    with open_slide(source) as slide:
        focus = some_map(slide)
    focus.save(tmp_path / "map.json")
    convert(source, tmp_path / "flat.tif", ConvertOptions(fuse=SELECT, map_path=tmp_path / "map.json"))
    return tmp_path / "flat.tif", source


def test_verify_finds_nothing_wrong_with_what_was_written(tmp_path: Path) -> None:
    flat, source = flat_file(tmp_path)
    report = verify_file(flat, source, every_tile=True)
    assert report.tiles_checked > report.tiles_identical > 35
    for name, options in (
        ("encoded", WriteOptions(mode="encode")), ("quality", WriteOptions(quality=60)),
        ("source", WriteOptions(levels="source")), ("aperio", WriteOptions(layout="aperio")),
    ):  # fmt: skip
        path = tmp_path / f"{name}.tif"
        convert(source, path, ConvertOptions(fuse=SELECT, map_path=tmp_path / "map.json", write=options))
        verify_file(path, source, every_tile=True)


@pytest.mark.parametrize("options", [{"mode": "encode"}, {"quality": 60}, {"lossless": True}, {}])
def test_verify_knows_how_a_file_was_written_with_its_record_and_mostly_without(
    options: dict[str, Any], tmp_path: Path
) -> None:
    source = container(tmp_path, large(), kind="svs", quality=85)
    convert(source, tmp_path / "flat.tif", ConvertOptions(fuse=SELECT, write=WriteOptions(**options)))
    copied = verify_file(tmp_path / "flat.tif", source, every_tile=True).tiles_identical
    assert (copied > 0) == (not options)
    (tmp_path / "flat.record.json").unlink()
    if not options.get("lossless"):
        assert verify_file(tmp_path / "flat.tif", source, every_tile=True).tiles_identical == copied


def test_other_libraries_may_round_otherwise_but_no_block_may_be_another(tmp_path: Path) -> None:
    wanted = large()[0, :256, :256]
    fresh = jpeg8(wanted)
    rounded = wanted.copy()
    rounded[100, 100] += 1
    assert verify._near(jpeg8(rounded), fresh, wanted)
    wrong = fresh.copy()
    wrong[8:16, 8:16] = np.clip(wrong[8:16, 8:16].astype(int) + 12, 0, 255)
    assert not verify._near(wrong, fresh, wanted)


def jpeg8(pixels: NDArray[Any]) -> NDArray[Any]:
    coded = imagecodecs.jpeg8_encode(np.ascontiguousarray(pixels), 85, subsampling="444")
    return np.asarray(imagecodecs.jpeg8_decode(coded))


def places(path: Path) -> tuple[int, int, NDArray[np.int64], NDArray[np.int64]]:
    """Return where the offsets and counts of level 0 stand in the file, and their values."""
    with tifffile.TiffFile(path) as tif:
        tags = tif.pages.first.tags
        offsets, counts = tags["TileOffsets"], tags["TileByteCounts"]
        return offsets.valueoffset, counts.valueoffset, np.array(offsets.value), np.array(counts.value)


def swap_tiles(path: Path) -> None:
    offset_at, count_at, offsets, counts = places(path)
    for at, values in ((offset_at, offsets), (count_at, counts)):
        values[[3, 8]] = values[[8, 3]]
        with path.open("rb+") as file:
            file.seek(at)
            file.write(values.astype("<u4").tobytes())


def zero_tile(path: Path) -> None:
    _, _, offsets, counts = places(path)
    with path.open("rb+") as file:
        file.seek(int(offsets[5]))
        file.write(bytes(int(counts[5])))


def other_tables(path: Path) -> None:
    with tifffile.TiffFile(path) as tif:
        tag = tif.pages.first.tags["JPEGTables"]
        tables, at = bytearray(tag.value), tag.valueoffset
    place = bytes(tables).index(b"\xff\xdb") + 5
    tables[place : place + 64] = bytes(min(255, 3 * value) for value in tables[place : place + 64])
    with path.open("rb+") as file:
        file.seek(at)
        file.write(tables)


def dropped_level(path: Path) -> None:
    """Cut the page chain and the SubIFDs after the second level."""
    with tifffile.TiffFile(path, mode="r+") as tif:
        page = tif.pages[1]
        with path.open("rb+") as file:
            file.seek(page.offset)
            count = int.from_bytes(file.read(2), "little")
            file.seek(page.offset + 2 + 12 * count)
            file.write(bytes(4))
        subifds = tif.pages.first.tags["SubIFDs"]
        with path.open("rb+") as file:
            file.seek(subifds.offset + 4)
            file.write((1).to_bytes(4, "little"))
            file.write(int(page.offset).to_bytes(4, "little"))


@pytest.mark.parametrize("harm", [swap_tiles, zero_tile, other_tables, dropped_level])
def test_verify_catches(harm: Callable[[Path], None], tmp_path: Path) -> None:
    flat, source = flat_file(tmp_path)
    harm(flat)
    with pytest.raises(PlanishError):
        verify_file(flat, source, every_tile=True)


def test_verify_catches_a_tile_from_the_wrong_plane(tmp_path: Path) -> None:
    flat, source = flat_file(tmp_path)
    focus = PlaneMap.load(tmp_path / "map.json")
    plane = focus.plane.copy()
    plane[-1, -1] = (plane[-1, -1] + 1) % 4
    replace(focus, plane=plane).save(tmp_path / "wrong.json")
    with pytest.raises(WriteError, match="not what was meant"):
        verify_file(flat, source, tmp_path / "wrong.json", every_tile=True)


def test_the_same_map_gives_the_identical_file(tmp_path: Path) -> None:
    flat, source = flat_file(tmp_path)
    for jobs in (1, 3):
        options = ConvertOptions(
            fuse=SELECT, map_path=tmp_path / "flat.map.json", write=WriteOptions(jobs=jobs, overwrite=True)
        )
        convert(source, tmp_path / "again.tif", options)
        assert (tmp_path / "again.tif").read_bytes() == flat.read_bytes()


def test_blank_tiles_are_stored_once(tmp_path: Path) -> None:
    stack = np.full((2, 1024, 1024, 3), 240, np.uint8)
    write_container(ArraySlide(stack, z_um=[0, 1]), tmp_path / "blank.svs", ContainerOptions("svs"))
    convert(tmp_path / "blank.svs", tmp_path / "flat.tif")
    _, _, offsets, _ = places(tmp_path / "flat.tif")
    assert len(set(offsets.tolist())) == 1


def sparse_file(path: Path, *, tables: bool = True, overlap: bool = False, beyond: bool = False) -> Path:
    """Write two planes of 2 × 1 JPEG tiles with a fault, or with a tile that was not written."""
    pixels = make_stack(1)[0, :128, :128]
    with path.open("xb") as file:
        assembler, ifds = TiffAssembler(file), []
        for _ in range(2):
            jpeg = bytes(imagecodecs.jpeg8_encode(pixels, level=80))
            if not tables:
                start = jpeg.index(b"\xff\xdb")
                jpeg = jpeg[:start] + jpeg[jpeg.index(b"\xff\xc0") :]
            place = assembler.append(jpeg)
            sizes = [len(jpeg), 10**9 if beyond else len(jpeg) if overlap else 0]
            places = [place, place + 5 if overlap else place]
            jpeg_tags = {
                Tag.COMPRESSION: short(7),
                Tag.PHOTOMETRIC: short(6),
                Tag.YCBCR_SUBSAMPLING: short([2, 2]),
            }
            ifds.append(Ifd({**tiled_page(assembler, (256, 128), 128, places, sizes), **jpeg_tags}))
        assembler.finish(ifds)
    return path


def test_a_tile_that_was_not_written_is_composed_as_glass(tmp_path: Path) -> None:
    with open_slide(sparse_file(tmp_path / "sparse.tif")) as slide:
        assert slide.encoded_tile(0, 0, 1, 0) is None
        assert slide.encoded_tile(0, 0, 0, 0) is not None
        write(flatten(slide, some_map(slide), SELECT), tmp_path / "flat.tif")
    with open_slide(tmp_path / "flat.tif") as flat:
        assert (flat.read_tile(0, 0, 1, 0) > 253).all()


@pytest.mark.parametrize(
    ("fault", "reason"),
    [({"tables": False}, "tables"), ({"overlap": True}, "overlap"), ({"beyond": True}, "past the end")],
)
def test_faulty_indices_are_refused_with_the_reason(fault: dict[str, bool], reason: str, tmp_path: Path) -> None:
    with open_slide(sparse_file(tmp_path / "faulty.tif", **fault)) as slide:
        assert slide.encoded_sizes(0) is None
        assert reason in (slide.sizes_refusal(0) or "")
        assert slide.encoded_tile(0, 0, 0, 0) is None
    with pytest.raises(PlanishError):
        convert(tmp_path / "faulty.tif", tmp_path / "flat.tif")
    assert not (tmp_path / "flat.tif").exists()


def test_restart_markers_out_of_order_are_an_error(tmp_path: Path) -> None:
    source = container(tmp_path, make_stack(), kind="ndpi", downsamples=(1,))
    with tifffile.TiffFile(source) as tif:
        page = tif.pages.first
        place = page.dataoffsets[3] + page.databytecounts[3] - 1
    with source.open("rb+") as file:
        file.seek(place)
        file.write(b"\xd6")
    with pytest.raises(PlanishError, match="restart interval 3"), open_slide(source) as slide:
        for plane in range(4):
            slide.read_tile(0, plane, 0, 0)


def test_a_plane_that_lacks_a_level_is_an_error(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "lacking.tif") as writer:
        for index, plane in enumerate(make_stack()):
            writer.write(plane, tile=(128, 128), photometric="rgb", metadata=None)
            if index != 2:
                writer.write(plane[::4, ::4], tile=(128, 128), photometric="rgb", subfiletype=1, metadata=None)
    with pytest.raises(PlanishError, match="plane 2"):
        open_slide(tmp_path / "lacking.tif")


def test_copy_can_be_insisted_on(tmp_path: Path) -> None:
    lossless = container(tmp_path, make_stack(), codec="lzw")
    with pytest.raises(OptionError, match="cannot be copied"):
        convert(lossless, tmp_path / "flat.tif", ConvertOptions(fuse=SELECT, write=WriteOptions(mode="copy")))
