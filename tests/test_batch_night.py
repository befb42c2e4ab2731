"""A night with poison in it, from one end to the other, with real processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from nights import Lab, mtimes, processes_with, read_whole, temporary_files, tiny
from planish.batch.status import night_status
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
