"""`planish fuse` and `planish flatten --fuse` used wrongly, and what `planish verify` makes of fused slides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

from makers import container, images, make_stack, npy
from planish.cli import main
from planish.fuse.methods import PIXEL_METHODS
from planish.fuse.stack import fuse_stack
from planish.slide.open import open_slide

Say = pytest.CaptureFixture[str]


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


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["{stack}"], 2, "usage"),
        (["{stack}", "{out}.png"], 2, ".tif"),
        (["{stack}", "{out}.tif", "--depth-map", "{out}.png"], 2, ".tif"),
        (["{stack}", "{out}.tif", "--depth-map", "{out}.tif"], 2, "names of their own"),
        (["{stack}", "{out}.tif", "--method", "magic"], 2, "choose from"),
        (["{stack}", "{out}.tif", "--method", "select"], 2, "choose from"),
        (["{stack}", "{out}.tif", "--param", "taste=1"], 2, "taste: soft has no such parameter"),
        (["{stack}", "{out}.tif", "--param", "sigma"], 2, "NAME=VALUE"),
        (["{stack}", "{out}.tif", "--param", "sigma=wide"], 2, "sigma='wide'"),
        (["{stack}", "{out}.tif", "--param", "sigma=-1"], 2, "sigma=-1"),
        (["{stack}", "{out}.tif", "--param", "sigma=1e999"], 2, "sigma=inf"),
        (["{stack}", "{out}.tif", "--param", "sigma=[1,"], 2, "sigma='[1,'"),
        (["{stack}", "{out}.tif", "--param", "prior=map"], 2, "flatten a slide"),
        (["{stack}", "{out}.tif", "--param", "prior=3"], 2, "prior=3"),
        (["{stack}", "{out}.tif", "--method", "clij2", "--param", "radius=(1, 2, 3)"], 2, "rx, ry"),
        (["{stack}", "{out}.tif", "--method", "clij2", "--param", "radius=900"], 2, "larger than the image"),
        (["{stack}", "{out}.tif", "--tile-size", "0"], 2, "tile_size"),
        (["{stack}", "{out}.tif", "--planes", "4:"], 2, "planes 0 to 3"),
        (["{stack}", "{out}.tif", "--jobs", "0"], 2, "jobs"),
        (["{stack}", "{out}.tif", "--backend", "abacus"], 2, "choose from"),
        (["{stack}", "{out}.tif", "--quality", "90"], 2, "lossless"),
        (["{stack}", "{out}.tif", "--map", "{stack}", "--method", "pick"], 2, "--map"),
        (["{stack}", "{out}.tif", "--map", "{stack}", "--param", "sigma=2"], 2, "--map"),
        (["{stack}", "{out}.tif", "--map", "{stack}", "--tile-size", "64"], 2, "leave out --tile-size, or the map"),
        (["{stack}", "{out}.tif", "--map", "{stack}", "--backend", "numpy"], 2, "leave out --backend, or the map"),
        (["{stack}", "{out}.tif", "--map", "{stack}", "--depth-map", "{out}2.tif"], 2, "--depth-map"),
        (["{stack}", "{out}.tif", "--map", "{out}.json"], 1, "no such file"),
        (["{stack}", "{out}/x/out.tif"], 1, "no such folder"),
        (["{stack}", "{out}-gone.npy", "{out}.tif"], 1, "no such file"),
        (["{out}-gone", "{out}.tif"], 1, "no such file"),
    ],
)
def test_wrong_usage_is_told_in_a_line_and_leaves_nothing(
    arguments: list[str], code: int, said: str, deep: Path, tmp_path: Path, capsys: Say
) -> None:
    before = set(tmp_path.rglob("*"))
    filled = [argument.format(stack=deep, out=tmp_path / "out") for argument in arguments]
    assert run("fuse", *filled, "--quiet") == code
    errors = capsys.readouterr().err
    assert said in errors
    assert "Traceback" not in errors
    if "usage" not in errors:
        assert len(errors.splitlines()) == 1
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("method", sorted(PIXEL_METHODS))
def test_methods_have_a_depth_where_it_is_said(method: str) -> None:
    parameters: dict[str, Any] = {"depth": True} if method == "soft" else {}
    fused = fuse_stack(make_stack(channels=1)[:, :100, :100], method, **parameters)
    assert (fused.plane_index is not None or fused.depth is not None) == PIXEL_METHODS[method].has_depth


@pytest.mark.parametrize("method", sorted(name for name, kind in PIXEL_METHODS.items() if not kind.has_depth))
def test_methods_without_a_depth_say_which_have_one(method: str, deep: Path, tmp_path: Path, capsys: Say) -> None:
    assert run("fuse", deep, tmp_path / "out.tif", "--method", method, "--depth-map", tmp_path / "depth.tif") == 2
    assert "soft, pick, clij2" in capsys.readouterr().err


def test_images_that_are_unlike_or_damaged_are_refused(tmp_path: Path, capsys: Say) -> None:
    files = sorted(images(tmp_path, make_stack()).iterdir())
    small, broken = tmp_path / "small.png", tmp_path / "broken.png"
    small.write_bytes(bytes(imagecodecs.png_encode(np.zeros((30, 40, 3), np.uint8))))
    broken.write_bytes(files[0].read_bytes()[:2000])
    for odd, said in ((small, "40 × 30"), (broken, "broken.png")):
        assert run("fuse", files[0], odd, tmp_path / "out.tif", "--quiet") == 1
        assert said in capsys.readouterr().err
    assert not list(tmp_path.glob("*.tif"))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(value: float, tmp_path: Path, capsys: Say) -> None:
    stack = np.ones((3, 64, 64), np.float32)
    stack[1, 5, 5] = value
    np.save(tmp_path / "stack.npy", stack)
    assert run("fuse", tmp_path / "stack.npy", tmp_path / "out.tif", "--quiet") == 2
    errors = capsys.readouterr().err
    assert "stack.npy: plane 1 holds NaN or infinite" in errors
    assert [path.name for path in tmp_path.iterdir()] == ["stack.npy"]


def test_no_output_lands_on_a_source_or_a_file_that_is_there(deep: Path, tmp_path: Path, capsys: Say) -> None:
    folder = images(tmp_path, make_stack())
    first, *_, last = sorted(folder.iterdir())
    tiff, held = tmp_path / "one.tif", folder / "out.tif"
    assert run("fuse", first, last, tiff, "--quiet") == 0
    made = tiff.read_bytes()
    for arguments in (
        [tiff, first, tiff, "--overwrite"],
        [tiff, tmp_path / "out.tif", "--depth-map", tiff, "--overwrite"],
        [deep, tiff, "--map", tiff, "--overwrite"],
        [folder, held],
    ):
        assert run("fuse", *arguments) == 1
        assert "source" in capsys.readouterr().err
    assert run("fuse", folder, tiff) == 1
    assert "already exists" in capsys.readouterr().err
    assert tiff.read_bytes() == made
    assert not (tmp_path / "out.tif").exists()


def test_too_small_a_disk_is_told_before_it_is_filled(
    deep: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000}))
    assert run("fuse", deep, tmp_path / "out.tif", "--quiet") == 1
    assert "make room" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_more_pixels_than_memory_are_refused(
    deep: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.fuse.budget.available_memory", lambda: 1 << 20)
    assert run("fuse", deep, tmp_path / "out.tif", "--quiet") == 2
    assert "tile_size" in capsys.readouterr().err
    assert run("fuse", deep, tmp_path / "out.tif", "--quiet", "--tile-size", "16", "--jobs", "1") == 0


def test_flatten_fuses_with_parameters_and_verify_checks_it(tmp_path: Path, capsys: Say) -> None:
    slide = container(tmp_path, make_stack(), codec="deflate")
    flat = tmp_path / "flat.tif"
    parameters = ["--param", "sigma=3", "--param", "prior=map", "--backend", "numpy"]
    assert run("flatten", slide, flat, "--fuse", "soft", *parameters) == 0
    assert "soft(sigma=3, fine_sigma=1.0, decimation=1, power=4.0, prior=map" in capsys.readouterr().out
    assert run("verify", flat, slide, "--all") == 0
    record_file = tmp_path / "flat.record.json"
    record = json.loads(record_file.read_text())
    fuse = record["arguments"]["fuse"]
    assert (fuse["method"], fuse["backend"]) == ("soft", "numpy")
    assert fuse["parameters"]["sigma"] == 3
    # With other parameters it is another image.
    fuse["parameters"]["sigma"] = 40
    record_file.write_text(json.dumps(record))
    assert run("verify", flat, slide, "--all") == 1
    assert "not what was meant" in capsys.readouterr().err
    # Without a record, cells were selected.
    record_file.unlink()
    assert run("verify", flat, slide, "--all") == 1
    for text in ("[]", "{}", '{"arguments": {"fuse": {"method": "magic"}}}', "\xff", "[" * 100_000):
        record_file.write_text(text, encoding="latin-1")
        assert run("verify", flat, slide) == 1
        assert "how the slide was fused" in capsys.readouterr().err


def test_tuples_survive_the_record(tmp_path: Path) -> None:
    slide = container(tmp_path, make_stack(channels=1, dtype=np.uint16), codec="deflate")
    flat = tmp_path / "flat.tif"
    assert run("flatten", slide, flat, "--fuse", "clij2", "--param", "radius=(3, 2)", "--quiet") == 0
    assert run("verify", flat, slide, "--all") == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--fuse", "soft", "--write", "copy"], "no tile can be copied"),
        (["--fuse", "select", "--param", "sigma=3"], "takes no parameters"),
        (["--param", "window=3"], "hybrid has no such parameter"),
        (["--fuse", "feather", "--param", "ramp=0"], "ramp=0"),
        (["--fuse", "pick", "--param", "prior=map"], "no such parameter"),
        (["--fuse", "soft", "--param", "prior=3"], "prior=3"),
        (["--fuse", "clij2", "--param", "radius=0.5"], "radius=0.5"),
        (["--fuse", "clij2", "--param", "radius=900"], "larger than the image"),
    ],
)
def test_flatten_refuses_before_any_work(arguments: list[str], said: str, tmp_path: Path, capsys: Say) -> None:
    slide = container(tmp_path, make_stack(), kind="svs")
    assert run("flatten", slide, tmp_path / "flat.tif", *arguments) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert len(errors.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == [slide.name]


def test_a_slide_of_signed_pixels_is_refused_before_the_survey(tmp_path: Path, capsys: Say) -> None:
    np.save(tmp_path / "stack.npy", np.zeros((2, 64, 64), np.int16))
    assert run("flatten", tmp_path / "stack.npy", tmp_path / "flat.tif", "--fuse", "soft") == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_an_image_of_another_format_reads_back(tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", np.random.default_rng(0).random((3, 70, 90), np.float32))
    assert run("fuse", tmp_path / "stack.npy", tmp_path / "out.tif", "--depth-map", tmp_path / "d.tif", "--quiet") == 0
    with open_slide(tmp_path / "out.tif") as slide:
        assert slide.dtype == np.float32
