"""The command line: what it writes, says and returns."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openslide
import pytest

from makers import WIDTH, container, images, make_stack
from planish.cli import main
from planish.planemap import PlaneMap
from planish.slide.open import open_slide

README = Path(__file__).parents[1] / "README.md"
Say = pytest.CaptureFixture[str]


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return container(tmp_path, make_stack(), codec="deflate")


def test_info_tells_planes_and_levels(slide: Path, capsys: Say) -> None:
    assert main(["info", str(slide)]) == 0
    text = capsys.readouterr().out
    assert "OME-TIFF" in text
    assert "520" in text
    assert main(["info", str(slide), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["planes"] == [{"index": index, "z_um": z} for index, z in enumerate((-1.5, 0.0, 1.5, 3.25))]
    assert (told["width"], told["height"], told["format"]) == (520, 392, "OME-TIFF")


def test_flatten_writes_slide_map_and_record_and_sums_up(slide: Path, tmp_path: Path, capsys: Say) -> None:
    output = tmp_path / "flat.tif"
    assert main(["flatten", str(slide), str(output)]) == 0
    said = capsys.readouterr()
    assert str(output) in said.out
    assert "specimen" in said.out
    record = json.loads((tmp_path / "flat.record.json").read_text())
    focus = PlaneMap.load(tmp_path / "flat.map.json")
    assert focus.record is not None
    assert record["survey"]["decoded"] == focus.record.decoded > 0
    assert record["output"]["bytes"] == output.stat().st_size
    assert record["peak_memory_mib"] is None or record["peak_memory_mib"] > 10
    assert {"open", "survey", "write", "total"} <= set(record["seconds"])
    assert slide.name not in json.dumps(record)
    with openslide.OpenSlide(output) as flat:
        assert flat.dimensions == (520, 392)


def test_json_prints_the_record_alone(slide: Path, tmp_path: Path, capsys: Say) -> None:
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--json", "--source-name"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["source"]["name"] == slide.name
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--json", "--overwrite", "--quiet"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["command"] == "flatten"
    assert not said.err


def test_quiet_says_nothing(slide: Path, tmp_path: Path, capsys: Say) -> None:
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--quiet"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_a_saved_map_gives_the_identical_file(slide: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "first.tif", tmp_path / "second.tif"
    assert main(["flatten", str(slide), str(first)]) == 0
    assert main(["flatten", str(slide), str(second), "--map", str(tmp_path / "first.map.json")]) == 0
    assert first.read_bytes() == second.read_bytes()


def test_level_region_and_planes_choose_a_part(slide: Path, tmp_path: Path) -> None:
    output = str(tmp_path / "flat.tif")
    assert main(["flatten", str(slide), output, "--region", "100,50,300,200", "--planes", "1:2"]) == 0
    with open_slide(output) as flat:
        wanted = make_stack()[1, 50:250, 100:400]
        assert np.array_equal(flat.read_region(0, 0, 0, 0, 300, 200), wanted) or (
            np.abs(flat.read_region(0, 0, 0, 0, 300, 200).astype(int) - wanted).mean() < 2
        )
    assert main(["flatten", str(slide), output, "--level", "1", "--overwrite"]) == 0
    with open_slide(output) as flat, open_slide(slide) as source:
        assert (flat.levels[0].width, flat.levels[0].height) == (130, 98)
        assert source.metadata.mpp_x is not None
        assert flat.metadata.mpp_x == pytest.approx(4 * source.metadata.mpp_x)


def test_one_plane_works_and_says_that_there_was_nothing_to_choose(tmp_path: Path, capsys: Say) -> None:
    slide = container(tmp_path, make_stack(1), kind="svs")
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif")]) == 0
    assert "one plane only" in capsys.readouterr().out


def test_folder_and_container_give_one_file(tmp_path: Path) -> None:
    stack = make_stack()
    (tmp_path / "in").mkdir()
    folder = images(tmp_path / "in", stack)
    file = container(tmp_path / "in", stack, codec="lzw", downsamples=(1,))
    for name, source in (("folder", folder), ("file", file)):
        assert main(["flatten", str(source), str(tmp_path / f"{name}.tif")]) == 0
    with open_slide(tmp_path / "folder.tif") as one, open_slide(tmp_path / "file.tif") as other:
        assert np.array_equal(one.read_region(0, 0, 0, 0, WIDTH, 392), other.read_region(0, 0, 0, 0, WIDTH, 392))


def test_heatmap_is_drawn_from_a_survey_or_a_map(slide: Path, tmp_path: Path) -> None:
    assert main(["heatmap", str(slide), str(tmp_path / "a.png")]) == 0
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif")]) == 0
    assert main(["heatmap", str(slide), str(tmp_path / "b.png"), "--map", str(tmp_path / "flat.map.json")]) == 0
    assert (tmp_path / "a.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert (tmp_path / "b.png").stat().st_size > 10_000


def test_focus_image_of_a_picture_is_as_large_as_it(tmp_path: Path, data: Callable[[str], Path]) -> None:
    picture = data("focal-stacks/pcb/pcb_004.jpg")
    assert main(["focus", str(picture), str(tmp_path / "focus.png"), "--sigma", "2"]) == 0
    assert main(["focus", str(picture), str(tmp_path / "mask.png"), "--mask", "--background", "navy"]) == 0
    for name in ("focus.png", "mask.png"):
        with open_slide(tmp_path / name) as image:
            assert (image.levels[0].width, image.levels[0].height) == (2048, 1536)


def test_demo_tells_where_everything_is_and_how_good(tmp_path: Path, capsys: Say) -> None:
    assert main(["demo", str(tmp_path / "demo"), "--size", "1024", "--quiet"]) == 0
    said = capsys.readouterr().out
    named = [tmp_path / "demo" / line.split()[1] for line in said.splitlines()[:5]]
    assert all(path.is_file() for path in named)
    hybrid, select, middle = (float(number) for number in re.findall(r"([\d.]+) dB", said))
    assert hybrid > select > middle + 1.5
    assert "composed  hybrid, 16 cells: " in said
    assert main(["demo", str(tmp_path / "demo"), "--size", "1024", "--quiet"]) == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["flatten"],
        ["flatten", "{slide}", "{out}", "--fuse", "magic"],
        ["flatten", "{slide}", "{out}", "--write", "copy"],
        ["flatten", "{slide}", "{out}", "--scorer", "encoded-size"],
        ["flatten", "{slide}", "{out}", "--scorer", "taste"],
        ["flatten", "{slide}", "{out}", "--quality", "101"],
        ["flatten", "{slide}", "{out}", "--region", "1,2,3"],
        ["flatten", "{slide}", "{out}", "--region", "500,0,100,100"],
        ["flatten", "{slide}", "{out}", "--planes", "3"],
        ["flatten", "{slide}", "{out}", "--planes", "3:3"],
        ["flatten", "{slide}", "{out}", "--level", "9"],
        ["flatten", "{slide}", "{out}", "--score-level", "9"],
        ["flatten", "{slide}", "{out}", "--score-level", "-1"],
        ["flatten", "{slide}", "{out}", "--jobs", "0"],
        ["focus", "{slide}", "{out}.png", "--sigma", "0"],
        ["focus", "{slide}", "{out}.png", "--background", "mud-ish"],
        ["polish"],
    ],
)
def test_wrong_usage_is_two(arguments: list[str], slide: Path, tmp_path: Path, capsys: Say) -> None:
    before = set(tmp_path.rglob("*"))
    filled = [argument.format(slide=slide, out=tmp_path / "out.tif") for argument in arguments]
    try:
        code = main(filled)
    except SystemExit as stop:
        code = int(stop.code or 0)
    assert code == 2
    assert "Traceback" not in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) == before


def commands() -> list[str]:
    """Return the planish commands of the README."""
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.startswith("planish ")]


def test_the_readmes_commands_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scan = container(tmp_path, make_stack(), kind="ndpi").rename("scan.ndpi")
    Path("exports").mkdir()
    shutil.copy(scan, "exports")
    for command in commands():
        if command.startswith("planish serve"):
            continue  # it does not end; test_serve_cli.py runs it
        assert main(shlex.split(command.split("#")[0])[1:]) == 0, command


def test_the_readme_shows_commands() -> None:
    assert len(commands()) >= 4


def test_the_help_is_what_the_docs_say(capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "110")
    page = " ".join((README.parent / "docs" / "cli.md").read_text(encoding="utf-8").split())
    for command in ("info", "flatten", "batch", "batch-status", "serve", "fuse", "heatmap", "focus", "verify", "demo"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        # Pythons break the lines of a help text differently.
        help_text = " ".join(capsys.readouterr().out.split())
        assert help_text in page, f"docs/cli.md lags behind planish {command} --help: run scripts/docs"
