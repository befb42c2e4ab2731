"""Tiles, regions and focus maps as pictures: what is copied, what is made, and that both are what `flatten` writes."""

from __future__ import annotations

import io
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from planish.convert import ConvertOptions, convert, side_file
from planish.fuse.options import FuseOptions
from planish.jpeg import read_header
from planish.model import Box
from planish.planemap import How, PlaneMap
from planish.serve.answers import Answers, without_paths
from planish.serve.geometry import Grid
from planish.serve.overlay import LAYERS, Overlay
from planish.serve.pixels import Look, ServedPlane
from planish.serve.seal import seal
from planish.serve.shelf import OpenSlide, Shelf
from planish.serve.signature import signature
from planish.serve.wanted import Kind, Refused, Reply, Subject, Want
from planish.slide.base import Slide
from planish.slide.open import open_slide
from planish.write.encode import choose_encoder
from planish.write.pyramid import halve
from stacks import HEIGHT, WIDTH, focus_stack, write_stack

KINDS: dict[str, dict[str, Any]] = {
    "rgb.svs": {"kind": "svs", "color": "rgb", "tile": 128},
    "ycbcr.svs": {"kind": "svs", "tile": 256},
    "jpeg.ome.tif": {"tile": 128, "downsamples": (1, 2, 4), "subsampling": (1, 1)},
    "lossless.ome.tif": {"codec": "deflate", "downsamples": (1,)},
    "chunks.ndpi": {"kind": "ndpi", "chunk_width": 128, "stack": focus_stack(1024)},
    "long.ndpi": {"kind": "ndpi", "stack": focus_stack(1000)},
}
NOT_COPIED = ("lossless.ome.tif", "long.ndpi")


@pytest.fixture(scope="module", params=KINDS)
def path(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stack(tmp_path_factory.mktemp("stack") / request.param, **KINDS[request.param])


@pytest.fixture(scope="module")
def svs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stack(tmp_path_factory.mktemp("svs") / "rgb.svs", **KINDS["rgb.svs"])


def decoded(data: bytes) -> NDArray[Any]:
    pixels = np.asarray(Image.open(io.BytesIO(data)))
    return pixels if pixels.ndim == 3 else pixels[..., None]


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def subject(path: Path, plane: int = 0, focus: Path | None = None) -> Subject:
    return Subject(str(path), signature(str(path)), plane, str(focus) if focus else "")


def ask(kind: Kind, about: Subject, **fields: Any) -> Reply:
    answers = Answers()
    try:
        return answers.answer(Want(kind, about, **fields))
    finally:
        answers.close()


def reference(slide: Slide, plane: int) -> list[NDArray[Any]]:
    """Return a plane at every step: the slide's own level where `flatten` takes one, else halves of the one before."""
    full = slide.levels[0]
    grid, side = Grid(full.width, full.height, 256), min(full.tile_width, 256)
    found: list[NDArray[Any]] = []
    for step in range(grid.levels):
        size = grid.size(grid.last - step)
        near = [
            index
            for index, level in enumerate(slide.levels)
            if abs(level.width - size[0]) <= 1
            and abs(level.height - size[1]) <= 1
            and abs(max(level.downsample_x, level.downsample_y) / 2**step - 1) < 0.01
            and (not found or max(found[-1].shape[:2]) > side)
        ]
        if near:
            level = slide.levels[near[0]]
            found.append(slide.read_region(near[0], plane, 0, 0, level.width, level.height))
        else:
            found.append(halve(found[-1]))
    return found


def filled(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    missing = (max(0, size[1] - pixels.shape[0]), max(0, size[0] - pixels.shape[1]))
    return np.pad(pixels, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")[: size[1], : size[0]]


def test_every_tile_of_every_plane_shows_what_is_there(path: Path) -> None:
    with open_slide(path) as slide:
        for plane in range(len(slide.planes)):
            served, encoder = ServedPlane(slide.view(planes=[plane])), choose_encoder(slide, None)
            steps, ways = reference(slide, plane), Counter[str]()
            for level in range(served.grid.levels):
                whole = filled(steps[served.grid.last - level], served.grid.size(level))
                columns, rows = served.grid.tiles(level)
                for column in range(columns):
                    for row in range(rows):
                        made = served.tile(level, column, row)
                        x, y, width, height = served.grid.tile_box(level, column, row)
                        crop, shown = whole[y : y + height, x : x + width], decoded(made.body)
                        if made.how == "copied":
                            # Two decoders may differ by a few grey levels where colours change fast.
                            assert np.abs(shown.astype(int) - crop).max() <= 4, (level, column, row)
                        else:
                            assert made.body == encoder.encode(crop, b""), (level, column, row)
                        assert shown.shape == crop.shape
                        ways[made.how] += 1
                for column, row in ((-1, 0), (0, -1), (columns, 0), (0, rows)):
                    with pytest.raises(Refused, match="not there"):
                        served.tile(level, column, row)
            for level in (-1, served.grid.levels):
                with pytest.raises(Refused, match="not there"):
                    served.tile(level, 0, 0)
            assert set(ways) == ({"decoded"} if path.name in NOT_COPIED else {"copied", "decoded"})


def test_pixels_below_a_tile_are_exact(path: Path) -> None:
    with open_slide(path) as slide:
        served, steps = ServedPlane(slide.view(planes=[1])), reference(slide, 1)
        for level in range(served.grid.levels):
            size = served.grid.size(level)
            box = Box(0, 0, served.grid.width, served.grid.height)
            shown = decoded(served.region(box, Look(*size, png=True)).body)
            assert np.array_equal(shown, filled(steps[served.grid.last - level], size)), level


@pytest.mark.parametrize("method", ["hybrid", "select"])
def test_the_best_is_what_flatten_writes(path: Path, tmp_path: Path, method: str) -> None:
    flat = tmp_path / "flat.tif"
    convert(path, flat, ConvertOptions(fuse=FuseOptions(method)))
    ways = equal_tiles(path, flat)
    assert ways["composed"]
    assert bool(ways["copied"]) == (path.name not in NOT_COPIED)


def equal_tiles(path: Path, flat: Path) -> Counter[str]:
    """Compare all inner tiles with those of the file, byte for byte; return how they were made."""
    opened, ways = OpenSlide(str(path)), Counter[str]()
    with open_slide(flat) as written:
        place = side_file(flat, "map")
        seal(place, place)
        served, _ = opened.best(str(place))
        grid = served.grid
        assert (written.levels[0].width, written.levels[0].height) == (grid.width, grid.height)
        square, compared = written.levels[0].tile_width == grid.tile == written.levels[0].tile_height, 0
        for step, level in enumerate(written.levels):
            columns, rows = grid.tiles(grid.last - step)
            for column in range(columns):
                for row in range(rows):
                    made = served.tile(grid.last - step, column, row)
                    box = grid.tile_box(grid.last - step, column, row)
                    ways[made.how] += 1
                    same_grid = (level.tile_width, level.tile_height) == (grid.tile, grid.tile)
                    fits = box.x + box.width <= level.width and box.y + box.height <= level.height
                    if same_grid and fits and box.width == box.height == grid.tile:
                        stored = written.encoded_tile(step, 0, column, row)
                        assert stored and made.body == stored.whole, (step, column, row)
                        compared += 1
                    elif fits:
                        pixels = written.read_region(step, 0, *box)
                        assert np.abs(decoded(made.body).astype(int) - pixels).mean() < 4, (step, column, row)
        assert bool(compared) == square
    opened.slide.close()
    return ways


def test_the_best_of_a_folder_of_real_images_is_what_flatten_writes(
    data: Callable[[str], Path], tmp_path: Path
) -> None:
    source, flat = data("focal-stacks/pcb"), tmp_path / "flat.tif"
    convert(source, flat)
    assert equal_tiles(source, flat)["composed"]


def test_a_real_slide_is_copied_tile_by_tile(data: Callable[[str], Path]) -> None:
    path = data("slides/CMU-1-Small-Region.svs")
    with open_slide(path) as slide:
        served = ServedPlane(slide.view(planes=[0]))
        assert served.grid.tile == 240
        for column in range(served.grid.tiles(served.grid.last)[0] - 1):
            made = served.tile(served.grid.last, column, 3)
            stored = slide.encoded_tile(0, 0, column, 3)
            assert stored and (made.how, made.body) == ("copied", stored.whole)
            assert np.abs(decoded(made.body).astype(int) - slide.read_tile(0, 0, column, 3)).max() <= 1


def test_rgb_jpegs_show_the_right_colours_on_their_own(svs: Path) -> None:
    made = ask("tile", subject(svs), level=10, column=1, row=1)
    assert made.how == "copied"
    assert b"Adobe" in made.body[:32]
    with open_slide(svs) as slide:
        assert np.array_equal(decoded(made.body), slide.read_tile(0, 0, 1, 1))
    blue_first: Any = cv2.imdecode(np.frombuffer(made.body, np.uint8), cv2.IMREAD_COLOR)
    assert np.array_equal(blue_first[:, :, ::-1], decoded(made.body))


def test_edge_tiles_have_the_slides_tables(svs: Path) -> None:
    made = ask("tile", subject(svs), level=10, column=WIDTH // 128, row=0)
    copied = ask("tile", subject(svs), level=10, column=0, row=0)
    assert decoded(made.body).shape == (128, WIDTH % 128, 3)
    assert read_header(made.body).tables == read_header(copied.body).tables


@pytest.mark.parametrize("kind", [np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("channels", [1, 3])
def test_other_pixels_are_stretched_alike_everywhere(tmp_path: Path, kind: Any, channels: int) -> None:
    stack = focus_stack()[..., :channels].astype(np.float32) * 37 - (1000 if kind is not np.uint16 else 0)
    path = write_stack(tmp_path / "wide.ome.tif", stack.astype(kind), codec="none", tile=256)
    opened = OpenSlide(str(path))
    served = opened.plane(1)
    assert opened.stretch
    meant = opened.stretch.apply(opened.slide.read_region(0, 1, 0, 0, WIDTH, HEIGHT))
    assert meant.std() > 20
    for column, row in ((0, 0), (3, 2)):
        made = served.tile(10, column, row)
        shown = decoded(made.body)
        crop = meant[row * 256 : row * 256 + 256, column * 256 : column * 256 + 256]
        assert made.how == "decoded"
        assert np.abs(shown.astype(int) - crop).mean() < 5
    assert served.region(Box(0, 0, 100, 100), Look(100, 100)).body[:2] == b"\xff\xd8"
    opened.slide.close()


def test_regions_are_mirrored_then_turned(svs: Path) -> None:
    box = {"x": 100, "y": 60, "width": 200, "height": 120, "out_width": 200, "out_height": 120, "format": "png"}
    plain = decoded(ask("region", subject(svs), **box).body)
    with open_slide(svs) as slide:
        assert np.array_equal(plain, slide.read_region(0, 0, 100, 60, 200, 120))
    turned = decoded(ask("region", subject(svs), rotation=90, mirror=True, **box).body)
    assert np.array_equal(turned, np.rot90(plain[:, ::-1], -1))
    grey = ask("region", subject(svs), quality="gray", **box)
    assert (decoded(grey.body).shape, grey.type) == ((120, 200, 1), "image/png")
    two = decoded(ask("region", subject(svs), quality="bitonal", **box).body)
    assert np.array_equal(two, np.where(decoded(grey.body) < 128, 0, 255))


@pytest.mark.parametrize("scale", [0.37, 1.0, 1.9, 3.3, 17.0])
def test_regions_of_any_scale_show_the_same(svs: Path, scale: float) -> None:
    width, height = round(800 / scale), round(600 / scale)
    made = ask("region", subject(svs), x=101, y=51, width=800, height=600, out_width=width, out_height=height)
    shown = decoded(made.body)
    assert shown.shape == (height, width, 3)
    with open_slide(svs) as slide:
        crop = slide.read_region(0, 0, 101, 51, 800, 600)
    meant = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if scale > 1 else cv2.INTER_LINEAR)
    coarse = [cv2.blur(each, (5, 5)).astype(int) for each in (shown, meant)]
    assert np.abs(coarse[0] - coarse[1]).mean() < 6


def test_a_region_that_is_a_tile_is_copied(svs: Path) -> None:
    made = ask("region", subject(svs), x=128, y=256, width=128, height=128, out_width=128, out_height=128)
    assert made.how == "copied"
    assert made.body == ask("tile", subject(svs), level=10, column=1, row=2).body


@pytest.mark.parametrize(("kind", "fields", "refusal"), [
    ("region", {"width": 9, "height": 9, "out_width": 4097, "out_height": 9}, "too large"),
    ("region", {"width": 9, "height": 9}, "range"),
    ("region", {"width": WIDTH + 1, "height": 9, "out_width": 9, "out_height": 9}, "range"),
    ("region", {"width": 9, "height": 9, "out_width": 9, "out_height": 9, "rotation": 45}, "unsupported"),
    ("region", {"width": 9, "height": 9, "out_width": 9, "out_height": 9, "format": "tif"}, "unsupported"),
    ("associated", {"name": "nothing"}, "range"),
    ("cells", {}, "range"),
    ("cell_tile", {"name": "plane"}, "range"),
    ("nonsense", {}, "unsupported"),
])  # fmt: skip
def test_what_cannot_be_shown_is_refused(svs: Path, kind: Kind, fields: dict[str, Any], refusal: str) -> None:
    with pytest.raises(Refused) as caught:
        ask(kind, subject(svs), **fields)
    assert caught.value.kind == refusal


@pytest.mark.parametrize("plane", [3, 99, -1, -7])
def test_planes_that_are_not_there_are_refused(svs: Path, plane: int) -> None:
    with pytest.raises(Refused) as caught:
        ask("tile", subject(svs, plane))
    assert caught.value.kind == "range"


def test_facts_name_no_file(svs: Path) -> None:
    reply = ask("facts", subject(svs))
    facts = json.loads(reply.body)
    assert facts["dzi"] == {"tile": 128, "levels": 11, "width": WIDTH, "height": HEIGHT}
    assert [plane["z_um"] for plane in facts["planes"]] == [-2.0, 0.0, 2.0]
    assert svs.name not in str(facts) and str(svs.parent) not in str(facts)


def test_associated_images_are_jpegs(tmp_path: Path) -> None:
    label = np.full((40, 60, 3), (250, 30, 30), np.uint8)
    path = write_stack(tmp_path / "label.svs", kind="svs", label=label)
    assert np.abs(decoded(ask("associated", subject(path), name="label").body).astype(int) - label).max() < 12


@pytest.fixture(scope="module")
def mapped(svs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    flat = tmp_path_factory.mktemp("flat") / "flat.tif"
    convert(svs, flat)
    focus = PlaneMap.load(side_file(flat, "map"))
    how, sharpness = focus.how.copy(), focus.sharpness.copy()
    how[0, 0], sharpness[2, 2] = How.GLASS, np.nan
    place = side_file(flat, "map")
    replace(focus, how=how, sharpness=sharpness).save(place)
    seal(place, place)
    return place


def test_cells_as_json(svs: Path, mapped: Path) -> None:
    cells = json.loads(ask("cells", subject(svs, -1, mapped)).body)
    focus = PlaneMap.load(mapped)
    assert cells["plane"] == focus.plane.tolist()
    assert cells["sharpness"][2][2] is None
    assert (cells["cell_width"], cells["z_um"]) == (128, [-2.0, 0.0, 2.0])
    assert len(cells["legend"]["plane"]["colours"]) == 3


def test_cell_tiles_have_the_colours_of_the_heatmap(svs: Path, mapped: Path) -> None:
    focus = PlaneMap.load(mapped)
    made = ask("cell_tile", subject(svs, -1, mapped), level=10, column=3, row=2, name="plane")
    shown = decoded(made.body)
    wanted = matplotlib.colormaps["viridis"].resampled(3)(int(focus.plane[2, 3]))[:3]
    assert np.abs(shown[5, 5, :3] / 255 - wanted).max() < 0.02
    assert shown[5, 5, 3] == 255


def test_glass_is_clear_and_what_was_not_scored_is_pale(svs: Path, mapped: Path) -> None:
    for layer in LAYERS:
        tile = ask("cell_tile", subject(svs, -1, mapped), level=10, column=0, row=0, name=layer)
        assert not decoded(tile.body)[..., 3].any()
    pale = ask("cell_tile", subject(svs, -1, mapped), level=10, column=2, row=2, name="sharpness")
    assert 0 < decoded(pale.body)[0, 0, 3] < 255


def test_cell_tiles_lie_over_their_cells_at_every_level(svs: Path, mapped: Path) -> None:
    focus = PlaneMap.load(mapped)
    grid = Grid(focus.width, focus.height, 128)
    overlay = Overlay(focus, grid)
    for level in range(grid.levels):
        width, height = grid.size(level)
        whole = np.zeros((height, width, 4), np.uint8)
        for column in range(grid.tiles(level)[0]):
            for row in range(grid.tiles(level)[1]):
                x, y, across, down = grid.tile_box(level, column, row)
                whole[y : y + down, x : x + across] = decoded(overlay.tile("plane", level, column, row))
        scale = 1 << grid.step(level)
        rows = np.minimum(np.arange(height) * scale + scale // 2, HEIGHT - 1) // 128
        columns = np.minimum(np.arange(width) * scale + scale // 2, WIDTH - 1) // 128
        assert np.array_equal(whole[..., 3] > 0, focus.specimen[rows[:, None], columns])


def test_a_slide_that_is_replaced_is_refused_and_closed(svs: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(svs, tmp_path / "a.svs"))
    answers, before = Answers(), subject(path)
    answers.answer(Want("tile", before, level=10))
    descriptors = open_files()
    write_stack(tmp_path / "b.svs", **KINDS["rgb.svs"]).replace(path)
    with pytest.raises(Refused) as caught:
        answers.answer(Want("tile", before, level=10))
    assert caught.value.kind == "changed"
    assert open_files() < descriptors
    assert answers.answer(Want("tile", subject(path), level=10)).how == "copied"
    answers.close()


def test_a_slide_that_is_deleted_is_gone(svs: Path, tmp_path: Path) -> None:
    path = Path(shutil.copyfile(svs, tmp_path / "a.svs"))
    answers, before = Answers(), subject(path)
    answers.answer(Want("tile", before, level=10))
    path.unlink()
    with pytest.raises(Refused) as caught:
        answers.answer(Want("tile", before, level=10))
    assert caught.value.kind == "gone"
    answers.close()


def test_few_slides_are_open_at_once(svs: Path, tmp_path: Path) -> None:
    shelf = Shelf(2)
    before = open_files()
    for name in "abcdef":
        path = Path(shutil.copyfile(svs, tmp_path / f"{name}.svs"))
        shelf.take(subject(path)).plane(0).tile(10, 0, 0)
        assert open_files() <= before + 2 * 2
    shelf.close()
    assert open_files() == before


@pytest.mark.parametrize(("content", "refusal"), [
    (b"no slide at all", "unsupported"), (b"II*\0" + bytes(100), "unreadable"), (b"", "unreadable"),
])  # fmt: skip
def test_damaged_slides_are_refused_without_their_names(tmp_path: Path, content: bytes, refusal: str) -> None:
    path = tmp_path / "Doe, John 1950.svs"
    path.write_bytes(content)
    with pytest.raises(Refused) as caught:
        ask("facts", subject(path))
    assert caught.value.kind == refusal
    assert "Doe" not in caught.value.detail and str(tmp_path) not in caught.value.detail


def test_no_path_is_left_in_words(tmp_path: Path) -> None:
    (tmp_path / "Doe.png").touch()
    text = f"{tmp_path}/Doe.png: is odd, but Doe.png is not; see /etc/passwd and 3/4"
    told = without_paths(text, Subject(str(tmp_path), ""))
    assert told == "the slide: is odd, but the slide is not; see … and 3/4"
