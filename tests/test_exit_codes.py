"""Failures as programs see them: exit code, one JSON object, and what may pass told from what does not."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest

from makers import container, make_stack
from planish.cli import main
from planish.cli.failure import as_json, exit_code
from planish.errors import OptionError, TileError, WriteError
from planish.slide.bytefile import ByteFile
from planish.write import tiff

Say = pytest.CaptureFixture[str]
PASSING = (errno.EIO, errno.ESTALE, errno.ENOSPC, errno.EDQUOT, errno.ETIMEDOUT, errno.EBUSY, errno.ENETUNREACH)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return container(tmp_path, make_stack(), kind="svs")


def raising(error: BaseException) -> Callable[..., NoReturn]:
    def fail(*arguments: object, **options: object) -> NoReturn:
        raise error

    return fail


def caused(error: Exception, cause: BaseException) -> Exception:
    error.__cause__ = cause
    return error


def told(capsys: Say) -> tuple[dict[str, Any], str]:
    """Return the one object on stdout, and stderr."""
    said = capsys.readouterr()
    assert said.out.count("\n") == 1
    return json.loads(said.out)["error"], said.err


@pytest.mark.parametrize("number", PASSING, ids=lambda number: errno.errorcode[number])
def test_what_may_pass_is_75_also_as_a_cause(number: int) -> None:
    error = OSError(number, os.strerror(number))
    assert exit_code(error) == exit_code(caused(WriteError("out.tif: writing failed"), error)) == 75
    assert exit_code(caused(TileError("a"), caused(ValueError("b"), error))) == 75


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOMEM, "no memory"), 1),
        (PermissionError(errno.EACCES, "not yours"), 1),
        (OSError("no number"), 1),
        (MemoryError(), 1),
        (caused(MemoryError(), OSError(errno.EIO, "bad disk")), 1),
        (WriteError("out.tif: differs"), 1),
        (caused(OptionError("--backend cupy"), OSError(errno.EIO, "bad disk")), 2),
    ],
)
def test_what_does_not_pass_is_not_75(error: Exception, code: int) -> None:
    assert exit_code(error) == code


def test_an_error_that_is_its_own_cause_ends() -> None:
    first, second = WriteError("a"), WriteError("b")
    first.__cause__, second.__cause__ = second, first
    assert exit_code(first) == 1


@pytest.mark.parametrize(
    "command",
    [["info", "{0}"], ["flatten", "{0}", "{1}"], ["fuse", "{0}", "{1}"], ["verify", "{0}", "{0}"]],
    ids=lambda command: command[0],
)
def test_each_command_with_json_tells_its_failure_in_json(command: list[str], tmp_path: Path, capsys: Say) -> None:
    names = tmp_path / "nowhere.svs", tmp_path / "out.tif"
    assert main([each.format(*names) for each in command] + ["--json"]) == 1
    error, lines = told(capsys)
    assert error["kind"] in {"SlideNotFound", "PlanishError"}
    assert error["message"] in lines
    assert "nowhere" in error["message"]
    assert lines.startswith("planish: ")


def test_without_json_stdout_stays_empty(tmp_path: Path, capsys: Say) -> None:
    assert main(["flatten", str(tmp_path / "nowhere.svs"), str(tmp_path / "out.tif")]) == 1
    assert not capsys.readouterr().out


def test_a_wrong_option_is_told_and_stays_two(slide: Path, tmp_path: Path, capsys: Say) -> None:
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--level", "9", "--json", "--quiet"]) == 2
    error, _ = told(capsys)
    assert (error["kind"], error["errno"]) == ("OptionError", None)


def test_a_disk_error_in_the_middle_of_a_slide_may_pass(
    slide: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ByteFile, "_read", raising(OSError(errno.EIO, "Input/output error")))
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--json", "--quiet"]) == 75
    error, _ = told(capsys)
    assert (error["kind"], error["errno"]) == ("TileError", errno.EIO)
    assert "check the disk" in error["message"]
    assert "damaged" not in error["message"]
    assert [path.name for path in tmp_path.iterdir()] == [slide.name]


def test_a_full_disk_may_pass(slide: Path, tmp_path: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "write_file", raising(OSError(errno.ENOSPC, "No space left on device")))
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--json", "--quiet"]) == 75
    error, _ = told(capsys)
    assert (error["kind"], error["errno"]) == ("WriteError", errno.ENOSPC)


def numpy_error() -> MemoryError:
    with pytest.raises(MemoryError) as caught:
        np.empty(1 << 60, np.uint8)
    return caught.value


def opencv_error() -> cv2.error:
    with pytest.raises(cv2.error) as caught:
        cv2.resize(np.zeros((2, 2), np.uint8), (2**31 - 1, 2**31 - 1), interpolation=cv2.INTER_NEAREST)
    return caught.value


@pytest.mark.parametrize(
    "make",
    [
        MemoryError,
        numpy_error,
        opencv_error,
        lambda: OSError(errno.ENOMEM, "Cannot allocate memory"),
        lambda: caused(TileError("scan.svs: tile 3 cannot be decoded"), MemoryError()),
    ],
    ids=["Python", "NumPy", "OpenCV", "system", "in a codec"],
)
def test_want_of_memory_has_one_name(
    make: Callable[[], Exception], slide: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.slide.open.open_slide", raising(make()))
    assert main(["info", str(slide), "--json"]) == 1
    error, lines = told(capsys)
    assert error["kind"] == "MemoryError"
    assert error["message"]
    assert "Traceback" not in lines


FAULTY = """
import sys
import planish.convert
from planish.cli import main
def faulty(*arguments):
    raise KeyError("a fault of planish")
planish.convert.survey = faulty
sys.exit(main(sys.argv[1:]))
"""


@pytest.mark.parametrize("json_asked", [True, False])
def test_a_fault_of_planish_ends_with_a_traceback(json_asked: bool, slide: Path, tmp_path: Path) -> None:
    arguments = ["flatten", str(slide), str(tmp_path / "flat.tif"), "--quiet", *(["--json"] if json_asked else [])]
    ended = subprocess.run([sys.executable, "-c", FAULTY, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert bool(ended.stdout) == json_asked
    if json_asked:
        assert json.loads(ended.stdout)["error"]["kind"] == "KeyError"
    assert [path.name for path in tmp_path.iterdir()] == [slide.name]


def test_a_name_that_is_no_text_can_be_told() -> None:
    name = os.fsdecode(b"odd\xff.tif")
    line = as_json(WriteError(f"{name}: µ\nnew line"))
    assert line.isascii()
    assert json.loads(line)["error"]["message"] == "odd?.tif: µ\nnew line"


def test_an_interruption_leaves_no_traceback_with_json_either(
    slide: Path, capsys: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.slide.open.open_slide", lambda path: signal.raise_signal(signal.SIGINT))
    assert main(["info", str(slide), "--json"]) == 130
    said = capsys.readouterr()
    assert said.err == "planish: interrupted; no output was written\n"
    assert not said.out


def test_the_help_tells_the_exit_codes(capsys: Say) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "75 failed for a reason that may pass" in said


def test_nobody_who_reads_on_is_no_failure_to_tell(slide: Path) -> None:
    command = [sys.executable, "-m", "planish.cli", "info", str(slide)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as told:
        assert told.stdout
        assert told.stderr
        told.stdout.close()
        assert (told.stderr.read(), told.wait()) == (b"", 141)
