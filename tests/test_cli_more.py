"""The command line at its edges: signals, terminals, names, values out of range, and what the summary says."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from makers import container, images, make_stack
from planish.cli import main
from planish.cli.summary import survey_lines
from planish.planemap import Audit, SurveyRecord

Say = pytest.CaptureFixture[str]
RECORD = SurveyRecord("brenner", "as asked", 4.0, 1, 1, "bracket", "neighbours differ", 10, 20, 30, 40, 5, 90)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return container(tmp_path, make_stack(), codec="deflate")


def usage(*arguments: object) -> int:
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as stop:
        return int(stop.code or 0)


SLOW_WORK = """
import sys, time
import planish.convert
from planish.cli import main
def slow(*arguments):
    print("ready", flush=True)
    time.sleep(60)
planish.convert.flatten = slow  # called when all temporary files are there
sys.exit(main(sys.argv[1:]))
"""
SLOW_IMPORT = """
import sys, time
class Slow:
    def find_spec(self, name, path=None, target=None):
        if name == "planish.convert":
            print("ready", flush=True)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from planish.cli import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("script", [SLOW_WORK, SLOW_IMPORT], ids=["work", "import"])
@pytest.mark.parametrize(
    ("number", "code", "said"), [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
)
def test_signals_end_in_one_line_and_leave_nothing(
    script: str, number: int, code: int, said: str, slide: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    arguments = [sys.executable, "-c", script, "flatten", str(slide), str(out / "flat.tif"), "--quiet"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    assert errors.splitlines() == [f"planish: {said}; no output was written"]
    assert not list(out.iterdir())


def test_the_handler_of_the_caller_comes_back_and_other_threads_may_call(slide: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    assert main(["info", str(slide)]) == 0
    assert signal.getsignal(signal.SIGTERM) is before
    codes: list[int] = []
    thread = threading.Thread(target=lambda: codes.append(main(["info", str(slide)])))
    thread.start()
    thread.join()
    assert codes == [0]


@pytest.mark.parametrize("encoding", ["ascii", "ascii:strict", "latin-1"])
def test_a_terminal_without_micrometres_is_no_error(encoding: str, slide: Path, tmp_path: Path) -> None:
    for arguments in (["info", slide], ["flatten", slide, tmp_path / "gone" / "×.tif"], ["info", tmp_path / "µ.svs"]):
        ended = subprocess.run(
            [sys.executable, "-m", "planish.cli", *map(str, arguments)],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "1"},
            check=False,
        )
        assert b"Traceback" not in ended.stderr
        assert ended.returncode == (0 if arguments[1] is slide and len(arguments) == 2 else 1)


def test_a_name_that_is_no_text_can_be_recorded(slide: Path, tmp_path: Path) -> None:
    odd = slide.with_name(os.fsdecode(b"odd\xff.ome.tif"))
    slide.rename(odd)
    assert main(["flatten", str(odd), str(tmp_path / "flat.tif"), "--source-name", "--quiet"]) == 0
    assert "odd?.ome.tif" in (tmp_path / "flat.record.json").read_text(encoding="utf-8")
    assert main(["info", str(odd)]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--quality", "101"], "1 to 100"),
        (["--quality", "0"], "1 to 100"),
        (["--quality=-5"], "1 to 100"),
        (["--quality", "80.5"], "1 to 100"),
        (["--planes", "-2:"], "count from 0"),
        (["--planes=:-1"], "count from 0"),
        (["--planes", "-x:"], "--planes"),
        (["--region", "-5,0,100,100"], "not inside the slide"),
        (["--score-level", "-1"], "count from 0"),
        (["--ties", "guess"], "bytes"),
        (["--layout", "zeiss"], "aperio"),
        (["--levels", "some"], "source"),
    ],
)
def test_values_out_of_range_are_told_before_any_work(
    arguments: list[str], said: str, slide: Path, tmp_path: Path, capsys: Say
) -> None:
    assert usage("flatten", slide, tmp_path / "flat.tif", *arguments) == 2
    errors = capsys.readouterr().err
    assert said in errors
    assert "survey" not in errors.replace("survey this slide", "")
    assert [path.name for path in tmp_path.iterdir()] == [slide.name]


@pytest.mark.parametrize("name", ["out.png", "out.jpg", "out", "out.svs"])
def test_a_flat_slide_has_the_name_of_a_tiff(name: str, slide: Path, tmp_path: Path, capsys: Say) -> None:
    assert main(["flatten", str(slide), str(tmp_path / name)]) == 2
    assert ".tif, .tiff, .btf" in capsys.readouterr().err
    assert not (tmp_path / name).exists()


@pytest.mark.parametrize("command", ["flatten", "heatmap", "focus"])
def test_no_output_lands_on_its_source(command: str, tmp_path: Path, capsys: Say) -> None:
    folder = images(tmp_path, make_stack())
    name = "new.tif" if command == "flatten" else "new.png"
    assert main([command, str(folder), str(folder / name)]) == 1
    assert "source" in capsys.readouterr().err
    assert len(list(folder.iterdir())) == 4


def test_quiet_pictures_say_nothing_and_others_where_they_lie(slide: Path, tmp_path: Path, capsys: Say) -> None:
    for command in ("heatmap", "focus"):
        path = tmp_path / f"{command}.png"
        assert main([command, str(slide), str(path), "--quiet"]) == 0
        assert capsys.readouterr() == ("", "")
        assert main([command, str(slide), str(path), "--overwrite"]) == 0
        said = capsys.readouterr().out
        assert str(path) in said
        assert str(tmp_path / f"{command}.record.json") in said


def test_verify_compares_with_the_map_beside_the_slide(slide: Path, tmp_path: Path, capsys: Say) -> None:
    flat = tmp_path / "flat.tif"
    assert main(["flatten", str(slide), str(flat), "--quiet"]) == 0
    assert main(["verify", str(flat), str(slide)]) == 0
    assert str(flat) in capsys.readouterr().out
    assert main(["verify", str(flat), str(slide), "--all", "--json"]) == 0
    assert '"tiles_checked"' in capsys.readouterr().out
    assert main(["verify", str(flat), str(slide), "--map", str(tmp_path / "none.json")]) == 1
    assert "none.json" in capsys.readouterr().err


def test_the_summary_says_who_chose_and_why_and_what_was_copied(slide: Path, tmp_path: Path, capsys: Say) -> None:
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif")]) == 0
    said = capsys.readouterr().out
    assert "scorer    blur-difference: byte counts not used" in said
    assert "tiles     0 copied" in said
    saved = str(tmp_path / "flat.map.json")
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--map", saved, "--overwrite"]) == 0
    assert "saved map" in capsys.readouterr().out


def test_the_audit_is_of_sampled_cells_too_and_near_ties_are_counted() -> None:
    said = "\n".join(survey_lines(replace(RECORD, tied=7, audit=Audit(500, 3, 0.001, 0.017))))
    assert "inferred cells wrong" not in said
    assert "3 wrong of 500 cells" in said
    assert "7 near ties" in said
    assert "near ties" not in "\n".join(survey_lines(RECORD))
