"""Where fused stacks are written: what they may replace, whether there is room, how, and under how long a name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

import planish.imagestack
from makers import image_list, images, make_stack, npy
from planish.cli import main
from planish.errors import OptionError, OutputExists
from planish.fuse.options import FuseOptions
from planish.imagestack import fuse_images
from planish.slide.given import open_stack
from planish.slide.open import open_slide
from planish.stackoptions import StackOptions
from planish.write import depthmap
from planish.write.depthmap import write_depth
from planish.write.options import WriteOptions

Say = pytest.CaptureFixture[str]
AGAIN = StackOptions(write=WriteOptions(overwrite=True))


def run(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


@pytest.fixture
def deep(tmp_path: Path) -> Path:
    """Write a 16-bit stack of 4 planes."""
    (tmp_path / "in").mkdir()
    return npy(tmp_path / "in", make_stack(channels=1, dtype=np.uint16))


@pytest.fixture
def planes(tmp_path: Path) -> Sequence[Path]:
    """Write an image per plane."""
    return image_list(tmp_path, make_stack())


@pytest.mark.parametrize("count", [2, 4])
def test_a_forgotten_out_costs_no_image(count: int, planes: Sequence[Path], capsys: Say) -> None:
    last = planes[count - 1].rename(planes[0].with_name("plane.tif"))
    before = last.read_bytes()
    assert run("fuse", *planes[: count - 1], last, "--overwrite") == 1
    assert "may be one of the images" in capsys.readouterr().err
    assert last.read_bytes() == before


def test_an_output_is_replaced_by_the_next_one(deep: Path, planes: Sequence[Path], tmp_path: Path) -> None:
    out = tmp_path / "out.tif"
    fuse_images([deep], out)
    fuse_images(planes, out, AGAIN)
    with open_slide(out) as slide:
        assert slide.channels == ("R", "G", "B")


def test_images_that_were_fused_are_not_taken_for_outputs(deep: Path, tmp_path: Path) -> None:
    fused = [tmp_path / "a.tif", tmp_path / "b.tif"]
    for path in fused:
        fuse_images([deep], path)
    before = fused[1].read_bytes()
    with pytest.raises(OutputExists, match=r"like a\.tif, it was fused before"):
        fuse_images(fused[:1], fused[1], AGAIN)
    assert fused[1].read_bytes() == before


@pytest.mark.parametrize("spoil", ["size", "command", "JSON", "bytes", "none"])
def test_what_its_record_does_not_know_is_not_replaced(spoil: str, deep: Path, tmp_path: Path) -> None:
    out, record_file = tmp_path / "out.tif", tmp_path / "out.record.json"
    fuse_images([deep], out)
    record = json.loads(record_file.read_text(encoding="utf-8"))
    if spoil == "size":
        out.write_bytes(out.read_bytes() + b"\0")
    elif spoil == "command":
        record_file.write_text(json.dumps({**record, "command": "flatten"}))
    elif spoil == "none":
        record_file.unlink()
    else:
        record_file.write_bytes(b"[]" if spoil == "JSON" else b"\xff\xfe")
    before = out.read_bytes()
    with pytest.raises(OutputExists, match="may be one of the images"):
        fuse_images([deep], out, AGAIN)
    assert out.read_bytes() == before


def test_room_for_the_files_is_counted_with_that_for_the_work(
    deep: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open_slide(deep) as slide:
        pixels = slide.levels[0].width * slide.levels[0].height
    work, image, depth = pixels * 2, pixels * 2 * 4 // 3, pixels * 4
    out, given = tmp_path / "out.tif", {"free": 0}
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), given))
    for free, arguments, code in (
        (work + image - 1, [], 1),
        (work + image, [], 0),
        (work + image + 2 * depth - 1, ["--depth-map", tmp_path / "depth.tif"], 1),
        (work + image + 2 * depth, ["--depth-map", tmp_path / "depth.tif"], 0),
    ):
        given["free"] = free
        assert run("fuse", deep, out, *arguments, "--quiet", "--overwrite") == code
        assert ("make room" in capsys.readouterr().err) == bool(code)


@pytest.mark.parametrize(("limit", "big"), [(1 << 20, False), (1000, True)])
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_large_depth_maps_are_big_tiffs(
    limit: int, big: bool, dtype: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depthmap, "_CLASSIC_LIMIT", limit)
    depth = np.random.default_rng(0).integers(0, 7, (300, 280)).astype(dtype)
    write_depth(depth, tmp_path / "depth.tif")
    with tifffile.TiffFile(tmp_path / "depth.tif") as written:
        assert written.is_bigtiff == big
        assert np.array_equal(written.asarray(), depth)


def jpeg(path: Path, pixels: NDArray[np.uint8], subsampling: str) -> Path:
    path.write_bytes(bytes(imagecodecs.jpeg8_encode(pixels, 95, subsampling=subsampling)))
    return path


def tiled(path: Path, pixels: NDArray[np.uint8], tile: int) -> Path:
    tifffile.imwrite(path, pixels, tile=(tile, tile), compression="jpeg", photometric="ycbcr", metadata=None)
    return path


@pytest.mark.parametrize("form", ["subsampling", "tile size", "one without loss"])
def test_of_lossy_planes_that_differ_a_lossy_image_is_made(form: str, tmp_path: Path) -> None:
    low, high = make_stack(2)
    if form == "tile size":
        made = [tiled(tmp_path / "0.tif", low, 128), tiled(tmp_path / "1.tif", high, 256)]
    else:
        made = [jpeg(tmp_path / "0.jpg", low, "420"), jpeg(tmp_path / "1.jpg", high, "444")]
    if form == "one without loss":
        made[1] = made[1].with_suffix(".png")
        made[1].write_bytes(bytes(imagecodecs.png_encode(high)))
    fuse_images(made, tmp_path / "out.tif")
    with open_slide(tmp_path / "out.tif") as slide:
        encoding = slide.encoding(0, 0)
    assert encoding is not None
    assert encoding.codec == "jpeg"


def test_of_planes_without_loss_a_lossless_image_is_made(planes: Sequence[Path], tmp_path: Path) -> None:
    fuse_images(planes, tmp_path / "out.tif")
    with open_slide(tmp_path / "out.tif") as slide:
        encoding = slide.encoding(0, 0)
    assert encoding is not None
    assert encoding.codec == "deflate"


def test_a_quality_that_cannot_be_had_is_told_before_any_work(
    deep: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planish.imagestack, "fuse_planes", lambda *_, **__: pytest.fail("was fused"))
    with pytest.raises(OptionError, match="lossless"):
        fuse_images([deep], tmp_path / "out.tif", StackOptions(write=WriteOptions(quality=90)))


def test_names_may_be_as_long_as_the_disk_allows(deep: Path, tmp_path: Path, capsys: Say) -> None:
    out, depth = tmp_path / f"{'o' * 240}.tif", tmp_path / f"{'d' * 251}.tif"
    assert run("fuse", deep, out, "--depth-map", depth, "--quiet") == 0
    assert out.exists()
    assert depth.exists()
    for name in (f"{'o' * 250}.tif", f"{'o' * 300}.tif"):
        assert run("fuse", deep, tmp_path / name, "--quiet") == 1
        errors = capsys.readouterr().err
        assert "File name too long" in errors
        assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"fuse": FuseOptions("select")}, "fuse"),
        ({"fuse": FuseOptions("hybrid")}, "fuse"),
        ({"fuse": FuseOptions("soft", {"prior": "map"})}, "fuse"),
        ({"map_path": Path("a.tif"), "depth_path": Path("b.tif")}, "map_path"),
        ({"fuse": FuseOptions("laplacian"), "depth_path": Path("b.tif")}, "depth_path"),
        ({"tile_size": 0}, "tile_size"),
    ],
)
def test_wrong_options_are_named_as_fields(options: dict[str, Any], field: str) -> None:
    with pytest.raises(OptionError, match=field) as caught:
        StackOptions(**options)
    assert "--" not in str(caught.value)


def test_select_refuses_parameters_in_words_for_both_who_call_and_who_type() -> None:
    with pytest.raises(OptionError, match=r"^sigma: select takes no parameters$"):
        FuseOptions("select", {"sigma": 3})


def test_a_gpu_that_cannot_be_used_is_a_note(
    deep: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_gpu() -> None:
        raise OptionError("backend='cupy': CuPy is here, but finds no GPU")

    found = planish.fuse.backend.importlib.util.find_spec  # type: ignore[attr-defined]
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *a: object() if name == "cupy" else found(name, *a))
    monkeypatch.setattr("planish.fuse.device.open_device", no_gpu)
    stack = images(tmp_path, make_stack())
    for number, command in enumerate((["fuse", deep], ["flatten", stack, "--fuse", "pick"], ["flatten", stack])):
        command = [*command, tmp_path / f"{number}.tif", "--overwrite"]
        assert run(*command) == 0
        said = capsys.readouterr()
        (note,) = (line for line in said.out.splitlines() if "CuPy" in line)
        assert note.startswith("note      NumPy computes, since CuPy cannot")
        assert "Warning" not in said.err
        assert run(*command, "--quiet") == 0
        assert capsys.readouterr() == ("", "")
        assert run(*command, "--json") == 0
        said = capsys.readouterr()
        assert json.loads(said.out)["arguments"]["fuse"]["backend"] == "numpy"
        assert next(line for line in said.err.splitlines() if "CuPy" in line).startswith("planish: NumPy computes")
    assert run("flatten", stack, tmp_path / "select.tif", "--fuse", "select") == 0
    assert "CuPy" not in capsys.readouterr().out


def test_views_have_the_lowest_plane_first_and_lists_the_order_given(deep: Path, planes: Sequence[Path]) -> None:
    stack = np.load(deep)
    with open_slide(deep) as slide:
        view = slide.view(planes=[2, 0, 2])
        assert len(view.planes) == 2
        assert [int(view.read_tile(0, index, 0, 0)[0, 0, 0]) for index in (0, 1)] == stack[[0, 2], 0, 0].tolist()
    with open_stack(planes) as listed, open_stack(planes[::-1]) as other:
        assert [plane.index for plane in listed.planes] == [0, 1, 2, 3]
        assert [plane.z_um for plane in listed.planes] == [plane.z_um for plane in other.planes][::-1]
        last = listed.view(planes=[3])
        assert np.array_equal(last.read_tile(0, 0, 0, 0), other.read_tile(0, 0, 0, 0))
