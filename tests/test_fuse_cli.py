"""`planish fuse`: stacks of images to one image and depth map, maps applied again, `--fuse` with parameters."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from arrays import ArraySlide
from makers import Z_UM, container, image_list, images, make_stack, multi_page, npy, ome_by_tifffile
from planish.cli import main
from planish.errors import Cancelled, OptionError
from planish.fuse.stack import fuse_stack
from planish.fuse.take import TakenSlide, take_planes
from planish.imagestack import fuse_images
from planish.slide.open import open_slide
from planish.stackoptions import StackOptions

Say = pytest.CaptureFixture[str]
README = Path(__file__).parents[1] / "README.md"
PCB, RADIOLARIAN = "focal-stacks/pcb", "focal-stacks/radiolarian.tif"


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


def pixels(path: Path, plane: int = 0) -> NDArray[Any]:
    with open_slide(path) as slide:
        return slide.read_region(0, plane, 0, 0, slide.levels[0].width, slide.levels[0].height)


def planes_of(path: Path) -> NDArray[Any]:
    with open_slide(path) as slide:
        count = len(slide.planes)
    return np.stack([pixels(path, plane) for plane in range(count)])


def near(found: NDArray[Any], meant: NDArray[Any], mean: float = 2) -> bool:
    """Whether pixels are the same but for JPEG."""
    return found.shape == meant.shape and bool(np.abs(found.astype(int) - meant).mean() < mean)


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Write a 16-bit stack of 4 planes."""
    (tmp_path / "in").mkdir()
    return npy(tmp_path / "in", make_stack(channels=1, dtype=np.uint16))


@pytest.mark.parametrize("method", ["soft", "pick", "clij2"])
def test_16_bit_pixels_and_depth_are_those_of_fuse_stack(method: str, deep: Path, tmp_path: Path) -> None:
    out, depth = tmp_path / "out.tif", tmp_path / "depth.tif"
    extra = ["--param", "sigma=3"]
    assert run("fuse", deep, out, "--method", method, "--depth-map", depth, *extra, "--quiet") == 0
    options: dict[str, Any] = {"sigma": 3, **({"depth": True} if method == "soft" else {})}
    meant = fuse_stack(np.load(deep), method, **options)
    assert np.array_equal(pixels(out)[..., 0], meant.image)
    wanted = meant.depth if meant.plane_index is None else meant.plane_index.astype(np.uint16)
    found = tifffile.imread(depth)
    assert wanted is not None
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted)


@pytest.mark.parametrize("form", [images, multi_page, ome_by_tifffile, container, npy])
def test_every_form_of_a_stack_is_read(form: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    stack = make_stack()
    source = form(tmp_path / "in", stack, **({"codec": "deflate"} if form is container else {}))
    assert run("fuse", source, tmp_path / "out.tif", "--method", "pick", "--quiet") == 0
    assert np.array_equal(pixels(tmp_path / "out.tif"), fuse_stack(stack, "pick").image)


def test_several_images_are_planes_in_the_order_given(tmp_path: Path, capsys: Say) -> None:
    stack = make_stack()
    by_z = sorted(image_list(tmp_path, stack), key=lambda path: float(path.stem.split("_z")[1][:-2]))
    for order in ([0, 1, 2, 3], [2, 0, 3, 1]):
        given = [by_z[index] for index in order]
        depth = tmp_path / "depth.tif"
        arguments = ["--method", "pick", "--depth-map", depth, "--overwrite", "--json"]
        assert run("fuse", *given, tmp_path / "out.tif", *arguments) == 0
        meant = fuse_stack(stack[order], "pick")
        assert meant.plane_index is not None
        assert np.array_equal(tifffile.imread(depth), meant.plane_index)
        assert np.array_equal(pixels(tmp_path / "out.tif"), meant.image)
        source = json.loads(capsys.readouterr().out)["source"]
        assert [plane["z_um"] for plane in source["planes"]] == [Z_UM[index] for index in order]
        assert bool(source["notes"]) == (order != sorted(order))


def test_radiolarian_and_circuit_board_are_fused(data: Callable[[str], Path], tmp_path: Path, capsys: Say) -> None:
    for name in (RADIOLARIAN, PCB):
        source, out = data(name), tmp_path / "out.tif"
        assert run("fuse", source, out, "--overwrite") == 0
        said = capsys.readouterr()
        assert str(out) in said.out
        assert "soft(sigma=4.0" in said.out
        assert "planish: fuse" in said.err
        stack = planes_of(source)
        meant = fuse_stack(stack).image
        assert near(pixels(out), meant, 3)
        # Sharper than any plane.
        edges = [float(cv2.Laplacian(image.mean(axis=2), cv2.CV_64F).var()) for image in (pixels(out), *stack)]
        assert edges[0] > 1.2 * max(edges[1:])
        with open_slide(out) as slide:
            assert len(slide.levels) == (4 if name == PCB else 1)


def test_a_depth_map_applied_again_gives_the_same_file(data: Callable[[str], Path], tmp_path: Path) -> None:
    source, depth = data(PCB), tmp_path / "depth.tif"
    assert run("fuse", source, tmp_path / "a.tif", "--method", "pick", "--depth-map", depth, "--quiet") == 0
    assert run("fuse", source, tmp_path / "b.tif", "--map", depth, "--quiet") == 0
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    record = json.loads((tmp_path / "b.record.json").read_text())
    assert record["output"]["planes_used"] == record["output"]["planes"] == 7
    assert "fuse" not in record["arguments"]


def test_a_map_made_on_one_channel_serves_another(deep: Path, tmp_path: Path) -> None:
    other, depth = np.load(deep)[::-1] // 3 + 7, tmp_path / "depth.tif"
    np.save(tmp_path / "other.npy", other)
    assert run("fuse", deep, tmp_path / "a.tif", "--method", "clij2", "--depth-map", depth, "--quiet") == 0
    assert run("fuse", tmp_path / "other.npy", tmp_path / "b.tif", "--map", depth, "--quiet") == 0
    index = fuse_stack(np.load(deep), "clij2").plane_index
    assert index is not None
    assert np.array_equal(pixels(tmp_path / "b.tif")[..., 0], np.take_along_axis(other, index[None].astype(int), 0)[0])


def test_a_fractional_map_is_rounded_to_the_nearest_plane(deep: Path, tmp_path: Path) -> None:
    depth = tmp_path / "depth.tif"
    assert run("fuse", deep, tmp_path / "a.tif", "--depth-map", depth, "--quiet") == 0
    assert run("fuse", deep, tmp_path / "b.tif", "--map", depth, "--quiet") == 0
    fractional = tifffile.imread(depth)
    assert np.array_equal(pixels(tmp_path / "b.tif")[..., 0], take_planes(np.load(deep), np.rint(fractional)))


def test_planes_choose_a_part_from_which_maps_count(deep: Path, tmp_path: Path) -> None:
    depth, part = tmp_path / "depth.tif", np.load(deep)[1:3]
    arguments = ["--planes", "1:3", "--quiet"]
    assert run("fuse", deep, tmp_path / "a.tif", "--method", "pick", "--depth-map", depth, *arguments) == 0
    assert np.array_equal(pixels(tmp_path / "a.tif")[..., 0], fuse_stack(part, "pick").image)
    assert tifffile.imread(depth).max() == 1
    assert run("fuse", deep, tmp_path / "b.tif", "--map", depth, *arguments) == 0
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_neither_tile_size_nor_threads_matter(deep: Path, tmp_path: Path) -> None:
    files = []
    for number, arguments in enumerate(
        (["--jobs", "1"], ["--tile-size", "100"], ["--tile-size", "333", "--jobs", "2"])
    ):
        assert run("fuse", deep, tmp_path / f"{number}.tif", "--param", "sigma=2.5", "--quiet", *arguments) == 0
        files.append((tmp_path / f"{number}.tif").read_bytes())
    assert files[0] == files[1] == files[2]


def test_the_record_says_all_and_names_nothing(deep: Path, tmp_path: Path, capsys: Say) -> None:
    out, depth = tmp_path / "out.tif", tmp_path / "depth.tif"
    assert run("fuse", deep, out, "--depth-map", depth, "--param", "power=6", "--json", "--quiet") == 0
    said = capsys.readouterr()
    record = json.loads(said.out)
    assert not said.err
    assert record == json.loads((tmp_path / "out.record.json").read_text())
    assert record["command"] == "fuse"
    assert record["output"]["bytes"] == out.stat().st_size
    assert record["output"]["depth_map_bytes"] == depth.stat().st_size
    assert record["output"]["method"] == "soft"
    wanted = {"sigma": 4.0, "fine_sigma": 1.0, "decimation": 1, "power": 6, "prior": None, "depth": True}
    assert record["output"]["parameters"] == wanted
    assert (record["output"]["planes"], record["output"]["visits_per_plane"]) == (4, 1)
    assert {"open", "fuse", "write", "total"} <= set(record["seconds"])
    assert deep.stem not in json.dumps(record)
    assert run("fuse", deep, out, "--source-name", "--json", "--quiet", "--overwrite") == 0
    assert json.loads(capsys.readouterr().out)["source"]["name"] == deep.name


def test_colours_and_pixel_size_are_kept(tmp_path: Path) -> None:
    source = container(tmp_path, make_stack(), codec="deflate")
    assert run("fuse", source, tmp_path / "out.tif", "--quality", "95", "--quiet") == 0
    with open_slide(tmp_path / "out.tif") as slide:
        assert slide.metadata.mpp_x == pytest.approx(0.25)
        assert slide.channels == ("R", "G", "B")


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_taken_pixels_are_those_of_the_planes_named(draw: st.DataObject) -> None:
    random = np.random.default_rng(draw.draw(st.integers(0, 99)))
    planes, height, width = (draw.draw(st.integers(1, most)) for most in (5, 600, 40))
    stack = random.integers(0, 65536, (planes, height, width, 1), np.uint16)
    depth = random.uniform(-0.49, planes - 0.51, (height, width)).astype(np.float32)
    meant = np.take_along_axis(stack, np.rint(depth).astype(int)[None, ..., None], 0)[0]
    assert np.array_equal(take_planes(stack, depth), meant)
    with TakenSlide(ArraySlide(stack, tile=64), ArraySlide(depth[None, ..., None], tile=128)) as slide:
        assert np.array_equal(slide.read_region(0, 0, 0, 0, width, height), meant)
        assert slide.used == tuple(np.unique(np.rint(depth).astype(int)))


@pytest.mark.parametrize(
    ("depth", "said"),
    [
        (np.full((392, 520), 4, np.uint16), "there are 0 to 3"),
        (np.full((392, 520), -0.6, np.float32), "there are 0 to 3"),
        (np.full((392, 520), np.nan, np.float32), "NaN"),
        (np.zeros((392, 519), np.uint16), "519 × 392 px"),
        (np.zeros((392, 520, 3), np.uint8), "1 and 3"),
        (np.zeros((2, 392, 520), np.uint8), "2 and 1"),
    ],
)
def test_maps_that_do_not_fit_are_refused(
    depth: NDArray[Any], said: str, deep: Path, tmp_path: Path, capsys: Say
) -> None:
    tifffile.imwrite(tmp_path / "map.tif", depth, photometric="rgb" if depth.shape[-1] == 3 else "minisblack")
    before = set(tmp_path.rglob("*"))
    assert run("fuse", deep, tmp_path / "out.tif", "--map", tmp_path / "map.tif", "--quiet") == 2
    assert said in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) == before
    with pytest.raises(OptionError, match="depth"):
        take_planes(np.load(deep), depth)


def test_cancelled_work_leaves_nothing(deep: Path, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    for stop in ("fuse", "writing"):

        def cancel(stage: str, done: int, total: int, stop: str = stop) -> None:
            if stage == stop:
                raise Cancelled("enough")

        options = StackOptions(depth_path=tmp_path / "depth.tif", tile_size=100)
        with pytest.raises(Cancelled):
            fuse_images([deep], tmp_path / "out.tif", options, cancel)
        assert set(tmp_path.rglob("*")) == before


SLOW = """
import sys, time
import planish.imagestack
from planish.cli import main
def slow(*arguments):
    print("ready", flush=True)
    time.sleep(60)
planish.imagestack.write_file = slow  # called when all temporary files are there
sys.exit(main(sys.argv[1:]))
"""


def test_terminated_work_leaves_nothing(deep: Path, tmp_path: Path) -> None:
    before = set(tmp_path.rglob("*"))
    arguments = ["fuse", deep, tmp_path / "out.tif", "--depth-map", tmp_path / "depth.tif", "--quiet"]
    command = [sys.executable, "-c", SLOW, *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert set(tmp_path.rglob("*")) > before
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 143
    assert errors.splitlines() == ["planish: terminated; no output was written"]
    assert set(tmp_path.rglob("*")) == before


def test_the_help_is_what_the_docs_say(capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    page = " ".join((README.parent / "docs" / "cli.md").read_text(encoding="utf-8").split())
    assert run("fuse", "--help") == 0
    assert " ".join(capsys.readouterr().out.split()) in page, "docs/cli.md lags behind: run scripts/docs"
