"""`replacing_folder`: a folder appears whole or not at all, and an old one is never lost."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from planish import files
from planish.errors import OutputExists, SlideNotFound, WriteError
from planish.files import check_folder_output, replacing_folder
from planish.slide.open import open_slide

KILLED = """
import os, sys
from pathlib import Path
from planish import files

calls, last = 0, int(sys.argv[2])

def dying(name):
    function = getattr(Path, name)
    def call(*arguments):
        global calls
        if calls == last:
            os._exit(9)
        calls += 1
        return function(*arguments)
    return call

for name in ("mkdir", "replace", "rmdir"):
    setattr(Path, name, dying(name))
with files.replacing_folder(Path(sys.argv[1]), overwrite=True, ours=lambda path: True) as folder:
    (folder / "new").write_text("new")
"""


def ours(folder: Path) -> bool:
    return (folder / "mark").exists()


def fill(path: Path, text: str, *, overwrite: bool = False) -> None:
    with replacing_folder(path, overwrite=overwrite, ours=ours) as folder:
        (folder / "inner").mkdir()
        (folder / "inner" / "data").write_text(text)
        (folder / "mark").touch()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_it_appears_with_all_that_was_put_in_it(tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    fill(path, "one")
    assert (path / "inner" / "data").read_text() == "one"
    assert names(tmp_path) == ["out.zarr"]


def test_more_files_than_are_synced_singly_arrive_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_FEW_FILES", 1)
    fill(tmp_path / "out", "one")
    assert names(tmp_path / "out") == ["inner", "mark"]


def test_an_old_one_is_replaced_only_when_allowed(tmp_path: Path) -> None:
    path = tmp_path / "out.zarr"
    fill(path, "one")
    with pytest.raises(OutputExists, match="overwrite"):
        fill(path, "two")
    assert (path / "inner" / "data").read_text() == "one"
    fill(path, "two", overwrite=True)
    assert (path / "inner" / "data").read_text() == "two"
    assert names(tmp_path) == ["out.zarr"]


def test_an_empty_folder_may_be_replaced(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    fill(tmp_path / "out", "one", overwrite=True)
    assert (tmp_path / "out" / "mark").exists()


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_what_is_not_ours_is_never_removed(tmp_path: Path, kind: str) -> None:
    path, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    fill(elsewhere, "kept")
    if kind == "folder":
        path.mkdir()
        (path / "thesis.docx").touch()
    elif kind == "file":
        path.touch()
    else:
        path.symlink_to(elsewhere)
    with pytest.raises(WriteError, match="not of the kind"):
        fill(path, "one", overwrite=True)
    assert names(tmp_path) == ["elsewhere", "out"]


def test_an_exception_leaves_nothing_and_the_old_one_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "out"
    fill(path, "one")
    with pytest.raises(KeyboardInterrupt), replacing_folder(path, overwrite=True, ours=ours) as folder:
        (folder / "data").write_text("two")
        raise KeyboardInterrupt
    assert names(tmp_path) == ["out"]
    assert (path / "inner" / "data").read_text() == "one"


def test_a_missing_or_full_disk_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="no such folder"):
        fill(tmp_path / "missing" / "out", "one")
    with (
        pytest.raises(WriteError, match="No space left"),
        replacing_folder(tmp_path / "out", overwrite=False, ours=ours),
    ):
        raise OSError(28, os.strerror(28))
    assert not names(tmp_path)


@pytest.mark.parametrize("last", range(6))
def test_killed_between_any_two_steps_one_whole_folder_is_there_after_the_next_run(tmp_path: Path, last: int) -> None:
    path = tmp_path / "out"
    fill(path, "one")
    subprocess.run([sys.executable, "-c", KILLED, str(path), str(last)], check=False)
    with pytest.raises(OutputExists):  # also where the old one stood aside
        fill(path, "two")
    assert names(path) in (["inner", "mark"], ["new"])
    assert not list(tmp_path.glob(".planish-old-*/*"))


def test_another_outputs_old_folder_aside_is_left_alone(tmp_path: Path) -> None:
    aside = tmp_path / ".planish-old-1234" / "other"
    aside.mkdir(parents=True)
    fill(tmp_path / "out", "one")
    assert aside.is_dir()


def test_an_old_one_that_stands_aside_is_told_of_by_readers_and_put_back_by_checks(tmp_path: Path) -> None:
    path, aside = tmp_path / "out.dicom", tmp_path / ".planish-old-1234"
    fill(path, "one")
    aside.mkdir()
    path.rename(aside / path.name)
    with pytest.raises(SlideNotFound, match="rename that back"):
        open_slide(path)
    with pytest.raises(OutputExists):
        check_folder_output(path, overwrite=False, ours=ours)
    assert (path / "inner" / "data").read_text() == "one"
    assert names(tmp_path) == ["out.dicom"]
