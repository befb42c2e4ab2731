"""`planish flatten --heatmap`: the picture of the very map that the slide was made by, all outputs or none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from numpy.typing import NDArray

from makers import container, images, make_stack
from planish.cli import main
from planish.convert import ConvertOptions, convert
from planish.errors import OptionError
from planish.focus.survey import survey
from planish.slide.open import open_slide

Say = pytest.CaptureFixture[str]


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return container(tmp_path, make_stack(), codec="deflate")


def flatten(slide: Path, output: Path, heatmap: Path, *options: str) -> int:
    return main(["flatten", str(slide), str(output), "--heatmap", str(heatmap), *options])


def pixels(path: Path) -> NDArray[np.int16]:
    with open_slide(path) as picture:
        full = picture.levels[0]
        return picture.read_region(0, 0, 0, 0, full.width, full.height).astype(np.int16)


def test_it_is_the_heatmap_of_the_map_beside_the_slide(slide: Path, tmp_path: Path, capsys: Say) -> None:
    assert flatten(slide, tmp_path / "flat.tif", tmp_path / "flat.heatmap.png") == 0
    assert f"heatmap   {tmp_path / 'flat.heatmap.png'}\n" in capsys.readouterr().out
    again = tmp_path / "again.png"
    assert main(["heatmap", str(slide), str(again), "--map", str(tmp_path / "flat.map.json")]) == 0
    drawn, redrawn = (pixels(path) for path in (tmp_path / "flat.heatmap.png", again))
    assert np.abs(drawn - redrawn).max() < 10  # a map's file has sharpness with four digits
    record = json.loads((tmp_path / "flat.record.json").read_text(encoding="utf-8"))
    assert record["arguments"]["heatmap"] == "*.png"
    assert "draw" in record["seconds"]
    assert not (tmp_path / "flat.heatmap.record.json").exists()


def test_it_takes_no_second_survey(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []

    def counted(*arguments: Any) -> Any:
        calls.append(arguments)
        return survey(*arguments)

    monkeypatch.setattr("planish.convert.survey", counted)
    assert flatten(slide, tmp_path / "flat.tif", tmp_path / "flat.png", "--quiet") == 0
    assert len(calls) == 1


def test_the_slide_is_the_same_with_and_without_it(slide: Path, tmp_path: Path, capsys: Say) -> None:
    assert flatten(slide, tmp_path / "with.tif", tmp_path / "with.png", "--quiet") == 0
    assert main(["flatten", str(slide), str(tmp_path / "without.tif")]) == 0
    assert "heatmap" not in capsys.readouterr().out
    assert (tmp_path / "with.tif").read_bytes() == (tmp_path / "without.tif").read_bytes()


def test_matplotlib_is_loaded_for_it_only(slide: Path, tmp_path: Path) -> None:
    code = "import sys; from planish.cli import main; main(sys.argv[1:]); print('matplotlib' in sys.modules)"
    for more, loaded in (([], "False"), (["--heatmap", str(tmp_path / "b.png")], "True")):
        arguments = ["flatten", str(slide), str(tmp_path / f"{loaded}.tif"), "--quiet", *more]
        ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
        assert ended.stdout.strip() == loaded


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("flat.jpg", 2, "ends in .png"),
        ("flat.tif", 2, "ends in .png"),
        ("there.png", 1, "--overwrite"),
        ("missing/flat.png", 1, "no such folder"),
        ("folder.png", 1, "folder"),
    ],
)
def test_what_cannot_be_written_is_told_before_the_survey(
    name: str, code: int, said: str, slide: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "there.png").write_text("mine")
    (tmp_path / "folder.png").mkdir()
    monkeypatch.setattr("planish.convert.survey", fail)
    before = set(tmp_path.rglob("*"))
    assert flatten(slide, tmp_path / "flat.tif", tmp_path / name) == code
    assert said in capsys.readouterr().err
    assert set(tmp_path.rglob("*")) == before
    assert (tmp_path / "there.png").read_text() == "mine"


def fail(*arguments: object) -> NoReturn:
    raise OSError(28, "No space left on device")


def test_it_never_lands_on_its_source(tmp_path: Path, capsys: Say) -> None:
    folder = images(tmp_path, make_stack())
    plane = min(folder.iterdir())
    before = plane.read_bytes()
    for source, heatmap in ((plane, plane), (folder, folder / "plane9.png")):
        assert flatten(source, tmp_path / "flat.tif", heatmap, "--overwrite") == 1
        assert "source" in capsys.readouterr().err
    assert plane.read_bytes() == before
    assert len(list(folder.iterdir())) == 4


def test_it_is_no_other_output(slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "flat.record.png"
    same = tmp_path / "." / "sub" / ".." / "flat.record.png"
    (tmp_path / "sub").mkdir()
    monkeypatch.setattr("planish.convert.side_file", lambda output, kind: path)
    with pytest.raises(OptionError, match="name of its own"):
        convert(slide, tmp_path / "flat.tif", ConvertOptions(heatmap=same))
    assert not path.exists()


@pytest.mark.parametrize("broken", ["_drawn", "flatten", "find_warnings"])
def test_all_outputs_or_none(broken: str, slide: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = set(tmp_path.iterdir())
    monkeypatch.setattr(f"planish.convert.{broken}", fail)
    assert flatten(slide, tmp_path / "flat.tif", tmp_path / "flat.png", "--quiet") == 75
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize("method", ["select", "feather", "soft"])
def test_every_method_has_a_heatmap(method: str, slide: Path, tmp_path: Path) -> None:
    assert flatten(slide, tmp_path / "flat.tif", tmp_path / "flat.png", "--quiet", "--fuse", method) == 0
    assert (tmp_path / "flat.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_one_plane_has_a_heatmap(tmp_path: Path) -> None:
    slide = container(tmp_path, make_stack(1), kind="svs")
    assert flatten(slide, tmp_path / "flat.tif", tmp_path / "flat.png", "--quiet") == 0
    assert (tmp_path / "flat.png").stat().st_size > 10_000
