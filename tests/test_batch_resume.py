"""Nights that go on from earlier ones: what is done stays done, what is not as it was is done again."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import nights
from nights import Lab, failing, mtimes, tiny
from planish.batch.discover import discover
from planish.batch.job import Result
from planish.batch.ledger import NAME, Ledger
from planish.batch.night import run_night
from planish.batch.options import BatchOptions
from planish.batch.resume import Enrolment, check_source
from planish.batch.runner import LocalRunner
from planish.batch.status import night_status
from planish.errors import OptionError, PlanishError, SlideError, SlideNotFound, WriteError
from planish.verification import verify_file


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nights.model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> Lab:
    lab = Lab(tmp_path, monkeypatch, model)
    lab.scan("a.svs", b"a")
    lab.scan("sub/b.svs", b"b")
    return lab


def test_a_night_and_a_second_one_that_finds_nothing_to_do(lab: Lab) -> None:
    assert lab.night().counts == {"done": 2}
    assert sorted(lab.told("started")) == ["a.svs", "sub/b.svs"]
    before = mtimes(lab.output)
    assert len(before) == 2 * len(nights.SIDES)
    assert lab.night().counts == {"done": 2}
    assert not lab.told("started")
    assert mtimes(lab.output) == before


def test_a_source_that_changed_is_done_again_and_that_is_said(lab: Lab) -> None:
    lab.night()
    lab.scan("a.svs", b"another")
    lab.night()
    assert lab.told("started") == lab.told("again") == ["a.svs"]
    assert lab.entries()["a.svs"].notes == ("its source changed since: done again",)
    assert lab.entries()["a.svs"].attempts == 1
    assert lab.night().counts == {"done": 2}
    assert not lab.told("started")


def test_other_settings_do_all_again(lab: Lab) -> None:
    lab.night()
    lab.night(settings=("--fuse=select",))
    assert sorted(lab.told("started")) == ["a.svs", "sub/b.svs"]
    assert lab.entries()["a.svs"].notes == ("it was done with other settings: done again",)


@pytest.mark.parametrize(("spoil", "why"), [
    (lambda flat: flat.unlink(), "its flat slide is gone"),
    (lambda flat: os.truncate(flat, 100), "its flat slide has another size than was written"),
    (lambda flat: flat.write_bytes(b"x" * flat.stat().st_size), "its flat slide does not begin as one"),
    (lambda flat: flat.with_name("a.flat.heatmap.png").unlink(), "its heatmap is gone"),
    (lambda flat: flat.with_name("a.flat.map.json").unlink(), "its plane map is gone"),
])  # fmt: skip
def test_an_output_that_is_not_as_it_was_is_done_again(lab: Lab, spoil: Callable[[Path], None], why: str) -> None:
    lab.night()
    spoil(lab.output / "a.flat.tif")
    lab.night()
    assert lab.told("started") == ["a.svs"]
    assert [event.facts["why"] for event in lab.events if event.kind == "again"] == [why]
    nights.read_whole(lab.output)


def test_a_source_that_is_gone_and_comes_back(lab: Lab) -> None:
    broken = lab.scan("c.svs", failing("TileError"))
    lab.night()
    (lab.source / "a.svs").unlink()
    broken.unlink()
    lab.night()
    assert lab.states() == {"a.svs": "done", "sub/b.svs": "done", "c.svs": "missing"}
    lab.scan("c.svs", b"c")
    lab.night()
    assert lab.told("started") == ["c.svs"]
    assert lab.states()["c.svs"] == "done"


def test_failed_stays_failed_until_it_is_to_be_tried_again_or_changes(lab: Lab) -> None:
    lab.scan("c.svs", failing("TileError"))
    ending = lab.night()
    assert (ending.counts, ending.failures) == ({"done": 2, "failed": 1}, {"damaged": 1})
    lab.night()
    assert not lab.told("started")
    lab.night(retry_failed=True)
    assert lab.told("started") == lab.told("failed") == ["c.svs"]
    lab.scan("c.svs", b"mended")
    assert lab.night().counts == {"done": 3}
    assert lab.told("started") == ["c.svs"]
    assert (lab.entries()["c.svs"].reason, lab.entries()["c.svs"].message) == ("", "")


def test_what_may_pass_is_tried_again_and_other_things_are_not(lab: Lab) -> None:
    lab.scan("io.svs", failing("TileError", 75, 5))
    lab.scan("fault.svs", failing("ZeroDivisionError"))
    lab.night(retries=2)
    assert lab.told("started").count("io.svs") == 3
    assert lab.told("started").count("fault.svs") == 1
    assert lab.entries()["io.svs"].attempts == 3
    assert lab.entries()["fault.svs"].message == "ZeroDivisionError: ZeroDivisionError was said"


def test_the_second_slide_of_one_output_name_fails_until_it_is_renamed(lab: Lab) -> None:
    other = lab.scan("a.ndpi", b"a")
    ending = lab.night()
    assert ending.failures == {"same output name": 1}
    refused = next(entry for entry in lab.entries().values() if entry.state == "failed")
    assert "has the output a.flat.tif already; rename one of the two" in refused.message
    assert lab.night().counts == ending.counts
    assert not lab.told("started")
    (lab.source / refused.name).rename(lab.source / f"other{other.suffix}")
    assert lab.night().counts == {"done": 3, "missing": 1}
    assert (lab.output / "other.flat.tif").exists()


def test_a_slide_takes_the_output_name_of_one_that_failed_and_is_gone(lab: Lab) -> None:
    lab.scan("c.ndpi", failing("TileError"))
    lab.scan("c.svs", b"c")
    assert lab.night().failures == {"damaged": 1, "same output name": 1}
    (lab.source / "c.ndpi").unlink()
    assert lab.night().counts == {"done": 3, "missing": 1}


def test_what_lies_there_and_is_not_the_ledgers_is_kept(lab: Lab) -> None:
    lab.output.mkdir()
    (lab.output / "a.flat.tif").write_text("somebody's", encoding="utf-8")
    assert lab.night().failures == {"in the way": 1}
    assert (lab.output / "a.flat.tif").read_text(encoding="utf-8") == "somebody's"
    (lab.output / "a.flat.tif").unlink()
    assert lab.night().counts == {"done": 2}


def test_a_name_too_long_fails_alone_until_it_is_shorter(lab: Lab) -> None:
    long = lab.scan(f"{'ä' * 120}.svs", b"long")
    ending = lab.night()
    assert (ending.counts, ending.failures) == ({"done": 2, "failed": 1}, {"name too long": 1})
    assert "shorter by 2 bytes" in lab.entries()[long.name].message
    assert not lab.night().counts.get("waiting")
    assert not lab.told("started")
    short = long.rename(long.with_name(long.name[1:]))
    assert lab.night().counts == {"done": 3, "missing": 1}
    assert lab.told("started") == [short.name]


def test_what_a_share_refused_is_tried_again_in_the_next_night(lab: Lab) -> None:
    lab.scan("gone.svs", failing("SlideNotFound"))
    lab.scan("io.svs", failing("TileError", 75, 5))
    lab.scan("broken.svs", failing("TileError"))
    failures = {"damaged": 1, "input/output": 1, "not found": 1}
    assert lab.night(retries=0).failures == failures
    assert lab.night(retries=0).failures == failures
    assert sorted(lab.told("started")) == ["gone.svs", "io.svs"]


def test_a_slide_that_took_the_night_down_comes_last(lab: Lab) -> None:
    lab.night()
    (lab.output / "a.flat.tif").unlink()
    lab.change("a.svs", state="running", attempts=1)
    lab.change("sub/b.svs", state="waiting", attempts=0)
    lab.night(jobs=1)
    assert lab.told("started") == ["sub/b.svs", "a.svs"]


def enrolment(lab: Lab, book: Ledger) -> Enrolment:
    return Enrolment(book, lab.output, "[]", lab.events.append, source=lab.source)


def test_nobody_waits_for_long_because_of_a_clock_that_was_wrong(lab: Lab) -> None:
    lab.output.mkdir()
    with Ledger(lab.output / NAME) as book:
        enrolment(lab, book).enrol(discover(lab.source).found)
        book.change(1, not_before=time.time() + 9e8)
        enrolment(lab, book).recover()
        assert [entry.id for entry in book.ready(time.time())] == [2]
        assert len(book.ready(time.time() + 3601)) == 2


def test_only_what_is_gone_is_missing(lab: Lab) -> None:
    lab.output.mkdir()
    with Ledger(lab.output / NAME) as book:
        enrolment(lab, book).enrol(discover(lab.source).found)
        (lab.source / "a.svs").unlink()
        enrolment(lab, book).enrol([])
        assert [entry.state for entry in book.entries()] == ["missing", "waiting"]


def test_another_source_folder_is_refused(lab: Lab) -> None:
    lab.output.mkdir()
    moved = lab.folder / "moved"
    with Ledger(lab.output / NAME) as book:
        check_source(book, lab.folder / "mistyped")
        check_source(book, lab.source)
        enrolment(lab, book).enrol(discover(lab.source).found)
        lab.source.rename(moved)
        (lab.folder / "link").symlink_to(moved)
        with pytest.raises(OptionError, match=f"is the output of {lab.source}; choose another"):
            check_source(book, moved)
        check_source(book, moved, overwrite=True)
        check_source(book, lab.folder / "link")


def test_status_tells_of_a_night_that_was_killed(lab: Lab) -> None:
    lab.night()
    lab.change("a.svs", state="running", begun=time.time() - 10)
    assert "running   a.svs, which was being worked on when the night was killed" in night_status(lab.output).lines()


class Killed(Exception):
    """Stands for the moment in which a supervisor is killed."""


def kill_before_it_is_noted(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = LocalRunner.ended

    def killed(self: LocalRunner, wait: float) -> list[tuple[int, Result]]:
        if ended(self, wait):
            raise Killed
        return []

    monkeypatch.setattr(LocalRunner, "ended", killed)


def test_what_was_finished_right_before_a_kill_is_adopted(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    (lab.source / "sub/b.svs").unlink()
    lab.night()
    usual = lab.entries()["a.svs"]
    lab.scan("a.svs", b"another")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        kill_before_it_is_noted(patch)
        lab.night()
    assert lab.states() == {"a.svs": "running"}
    before = mtimes(lab.output)
    assert lab.night().counts == {"done": 1}
    assert not lab.told("started")
    assert mtimes(lab.output) == before
    adopted = lab.entries()["a.svs"]
    assert (adopted.sha256, adopted.output_size, adopted.tiles_encoded, adopted.warnings) == (
        usual.sha256, usual.output_size, usual.tiles_encoded, usual.warnings)  # fmt: skip


def test_a_report_that_was_being_written_at_a_kill_leaves_nothing(lab: Lab) -> None:
    stop = (
        "import os, sys, planish.batch.report as report\n"
        "report._write_table = lambda *_: os.kill(os.getpid(), 9)\n"
        "from planish.cli import main\nsys.exit(main())"
    )
    lab.night()
    subprocess.run([sys.executable, "-c", stop, *lab.arguments()], check=False, capture_output=True)
    assert len(nights.temporary_files(lab.output)) == 3
    lab.night()
    assert not nights.temporary_files(lab.output)


def test_an_output_of_an_earlier_night_is_not_adopted(lab: Lab) -> None:
    lab.night()
    lab.scan("a.svs", b"another")
    flat = lab.output / "a.flat.tif"
    fact = flat.stat()
    lab.change("a.svs", state="running", before=f"{fact.st_ino}:{fact.st_size}:{fact.st_mtime_ns}")
    (lab.output / ".planish-night-1-abcd.tif").write_bytes(b"half")
    lab.night()
    assert lab.told("started") == ["a.svs"]
    assert not nights.temporary_files(lab.output)


@pytest.mark.parametrize("spoil", [
    lambda lab: os.truncate(lab.output / "a.flat.tif", 100),
    lambda lab: (lab.output / "a.flat.record.json").unlink(),
    lambda lab: (lab.output / "a.flat.record.json").write_text("{", encoding="utf-8"),
    lambda lab: (lab.output / "a.flat.heatmap.png").write_bytes(b"no picture"),
])  # fmt: skip
def test_what_is_not_whole_after_a_kill_is_done_again(lab: Lab, spoil: Callable[[Lab], None]) -> None:
    lab.night()
    lab.change("a.svs", state="running", before="")
    spoil(lab)
    assert lab.night().counts == {"done": 2}
    assert lab.told("started") == ["a.svs"]
    nights.read_whole(lab.output)


def test_recheck_finds_what_size_and_header_do_not_show(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    for seed, name in enumerate(("good.svs", "flipped.svs", "swapped.svs", "gone.svs"), 2):
        tiny(lab.source / name, seed=seed)
    lab.night(settings=("--fuse=select",))
    flipped = lab.output / "flipped.flat.tif"
    content = bytearray(flipped.read_bytes())
    content[len(content) // 2] ^= 0xFF
    flipped.write_bytes(content)
    swapped = lab.output / "swapped.flat.map.json"
    swapped.write_text((lab.output / "flipped.flat.map.json").read_text(encoding="utf-8"), encoding="utf-8")
    (lab.source / "gone.svs").unlink()
    assert lab.night(settings=("--fuse=select",)).counts == {"done": 4}
    assert not lab.told("started")
    assert lab.night(settings=("--fuse=select",), recheck=True).counts == {"done": 4}
    assert sorted(lab.told("started")) == ["flipped.svs", "swapped.svs"]
    assert sorted(lab.told("checked")) == ["gone.svs", "good.svs"]
    assert lab.entries()["flipped.svs"].notes == ("its flat slide was changed: done again",)
    verify_file(lab.output / "swapped.flat.tif", lab.source / "swapped.svs", every_tile=True)


def test_folders_that_will_not_do_are_refused(lab: Lab) -> None:
    for output, words in (("in", "is the source folder itself"), ("in/sub/out", "lies in the source folder")):
        with pytest.raises(OptionError, match=words):
            run_night(lab.source, lab.folder / output, BatchOptions(), [], threading.Event())
    (lab.folder / "file").touch()
    with pytest.raises(SlideError, match="is a file"):
        run_night(lab.folder / "file", lab.output, BatchOptions(), [], threading.Event())
    with pytest.raises(SlideNotFound, match="no such folder"):
        run_night(lab.folder / "none", lab.output, BatchOptions(), [], threading.Event())
    with pytest.raises(WriteError, match="is a file"):
        run_night(lab.source, lab.folder / "file", BatchOptions(), [], threading.Event())
    with pytest.raises(WriteError, match="cannot be made"):
        run_night(lab.source, lab.folder / "none/out", BatchOptions(), [], threading.Event())
    with pytest.raises(SlideNotFound, match="holds no slides"):
        lab.night(patterns=("*.zvi",))
    assert not lab.output.exists()


def test_a_ledger_that_cannot_be_used_ends_in_one_error(lab: Lab) -> None:
    lab.output.mkdir()
    (lab.output / "planish-ledger.sqlite").write_bytes(b"no database" * 500)
    with pytest.raises(PlanishError, match="move it away"):
        lab.night()
