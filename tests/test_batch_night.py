"""A night with poison in it, from one end to the other, with real processes."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

import nights
from nights import Lab, failing, mtimes, processes_with, read_whole, temporary_files, tiny
from planish.batch.command import Commands
from planish.batch.ledger import LedgerBlocked
from planish.batch.recheck import UNVERIFIED, Recheck
from planish.batch.status import night_status
from planish.errors import OptionError
from planish.verification import verify_file

GOOD = [f"{folder}good {number}.svs" for folder in ("", "día/") for number in range(8)]
REASONS = {
    "segfault-1.svs": ("crashed", "SIGSEGV"),
    "kill-1.svs": ("killed", "SIGKILL"),
    "abort-1.svs": ("crashed", "SIGABRT"),
    "a/hang-1.svs": ("too long", "its limit"),
    "memory-1.svs": ("memory", "512 MiB"),
    "exception-1.svs": ("error", "RuntimeError: a fault of the program"),
    "sub/truncated.svs": ("damaged", "truncated.svs"),
    "sub/text.svs": ("not supported", "text.svs"),
}
OPTIONS = ("--jobs=3", "--time-limit=10", "--memory-limit=512M", "--retries=1", "--fuse=select")


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    lab = Lab(tmp_path_factory.mktemp("poison"))
    slide = tiny(lab.folder / "slide.svs")
    for name in (*GOOD, *REASONS):
        lab.copy_scan(slide, name)
    whole = slide.read_bytes()
    (lab.source / "sub/truncated.svs").write_bytes(whole[: len(whole) // 2])
    (lab.source / "sub/text.svs").write_text("no slide at all", encoding="utf-8")
    return lab


def test_poison_harms_no_other_slide(lab: Lab) -> None:
    night = lab.batch(*OPTIONS)
    assert night.returncode == 1, night.stderr
    assert "done      16 of 24 slides" in night.stdout
    assert "failed    8: 2 crashed, 1 damaged, 1 error, 1 killed, 1 memory, 1 not supported, 1 too long" in night.stdout
    entries = lab.entries()
    assert {name: entries[name].reason for name in REASONS} == {name: reason for name, (reason, _) in REASONS.items()}
    for name, (_, words) in REASONS.items():
        assert words in entries[name].message
        assert not list(lab.output.glob(f"{Path(name).with_suffix('')}.flat.*"))
    for name in GOOD:
        flat = lab.output / Path(name).with_suffix(".flat.tif")
        verify_file(flat, lab.source / name, every_tile=True)
        assert entries[name].state == "done"
        assert entries[name].output_size == flat.stat().st_size
    read_whole(lab.output)
    assert not temporary_files(lab.output)
    assert not processes_with(str(lab.output))
    assert {name: entries[name].attempts for name in REASONS} == dict.fromkeys(REASONS, 1) | {"kill-1.svs": 2}


def test_a_rerun_of_a_finished_night_touches_nothing(lab: Lab) -> None:
    before, begun = mtimes(lab.output), lab.logged("started")
    assert len(before) == 16 * 4
    night = lab.batch(*OPTIONS)
    assert night.returncode == 1
    assert mtimes(lab.output) == before
    assert lab.logged("started") == begun


def test_retry_failed_tries_those_only(lab: Lab) -> None:
    before, begun = mtimes(lab.output), lab.logged("started")
    slide = lab.source / GOOD[0]
    lab.copy_scan(slide, "sub/text.svs")
    for name in REASONS.keys() - {"segfault-1.svs", "sub/text.svs"}:
        (lab.source / name).unlink()
    night = lab.batch(*OPTIONS, "--retry-failed")
    assert night.returncode == 1
    assert "failed    1: 1 crashed" in night.stdout
    assert "missing   6" in night.stdout
    assert sorted(lab.logged("started")[len(begun) :]) == ["segfault-1.svs", "sub/text.svs"]
    assert mtimes(lab.output).items() >= before.items()


def test_status_tells_reasons_while_nobody_works(lab: Lab) -> None:
    lines = night_status(lab.output).lines()
    assert lines[0] == "done      17"
    assert "works     nobody; planish batch goes on from here" in lines
    assert any(line.startswith("failed    segfault-1.svs: crashed: ended by SIGSEGV") for line in lines)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nights.model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def pretended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> Lab:
    return Lab(tmp_path, monkeypatch, model)


def test_a_pattern_leaves_alone_what_does_not_fit(pretended: Lab) -> None:
    lab, stopped = pretended, threading.Event()
    for name in ("a.svs", "b.svs"):
        lab.scan(name, b"x")
    stopped.set()
    lab.night(stop=stopped)
    lab.night(patterns=("b*",))
    assert lab.states() == {"a.svs": "waiting", "b.svs": "done"}
    assert next(event.facts["waiting"] for event in lab.events if event.kind == "began") == 1
    assert lab.told("started") == ["b.svs"]
    lab.night(patterns=("b*",), recheck=True)
    assert lab.told("checked") == ["b.svs"]


def test_options_that_the_first_slides_all_refuse_end_the_night(pretended: Lab) -> None:
    lab = pretended
    for name in "abcde":
        lab.scan(f"{name}.svs", failing("OptionError", 2))
    with pytest.raises(OptionError, match=r"the first 3 slides all refuse these options.*OptionError was said"):
        lab.night(jobs=1)
    assert sorted(lab.states().values()) == ["failed"] * 3 + ["waiting"] * 2
    assert (lab.output / "planish-report.html").exists()


@pytest.mark.parametrize("other", [b"good", failing("SlideError")])
def test_options_that_some_slides_refuse_end_no_night(pretended: Lab, other: Any) -> None:
    pretended.scan("a.svs", other)
    for name in "bcde":
        pretended.scan(f"{name}.svs", failing("OptionError", 2))
    assert pretended.night(jobs=1).failures["options"] == 4


def rewritten(path: Path, content: dict[str, Any]) -> None:
    """Change what a slide holds, but neither its size nor its date."""
    before = path.stat()
    text = json.dumps(content).encode()
    path.write_bytes(text.ljust(before.st_size))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_recheck_sets_back_what_differs_and_only_warns_of_what_could_not_be_verified(
    pretended: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    # What is only pretended to verify says what the source holds, as it does to open it.
    monkeypatch.setattr(Commands, "verify", lambda self, entry, relative: self.probe(self.source / relative, 1))
    lab = pretended
    path = lab.scan("a.svs", b"{}".ljust(500))
    assert lab.night().counts == {"done": 1}
    for _ in range(2):
        rewritten(path, failing("TileError"))
        assert lab.night(recheck=True).counts == {"done": 1}
        assert lab.entries()["a.svs"].warnings[0] == f"{UNVERIFIED}damaged: TileError was said"
        assert sum(each.startswith(UNVERIFIED) for each in lab.entries()["a.svs"].warnings) == 1
    assert (lab.told("again"), lab.told("started")) == ([], [])
    rewritten(path, {})
    assert lab.night(recheck=True).counts == {"done": 1}
    assert not [each for each in lab.entries()["a.svs"].warnings if each.startswith(UNVERIFIED)]
    rewritten(path, failing("WriteError"))
    lab.night(recheck=True)
    assert lab.told("again") == lab.told("started") == ["a.svs"]


def test_a_ledger_that_is_locked_while_rechecking_costs_no_report(
    pretended: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_: object) -> None:
        raise LedgerBlocked("locked")

    pretended.scan("a.svs", b"x")
    pretended.night()
    (pretended.output / "planish-report.html").unlink()
    monkeypatch.setattr(Recheck, "_fine", locked)
    with pytest.raises(LedgerBlocked):
        pretended.night(recheck=True)
    assert (pretended.output / "planish-report.html").exists()
