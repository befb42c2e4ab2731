"""Nights that are killed or stopped: nothing is lost, nothing is half, nothing goes on."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import nights
from nights import Lab, all_gone, read_whole, temporary_files, wait_for
from planish.batch import ledger as ledgers
from planish.batch.events import Event
from planish.batch.ledger import LedgerError
from planish.batch.lock import Occupied, holder, locked
from planish.batch.status import night_status
from planish.verification import verify_file

MOMENTS = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nights.model(tmp_path_factory.mktemp("model"))


def test_supervisor_killed_at_random_moments(tmp_path: Path) -> None:
    lab, chance = Lab(tmp_path), random.Random(6)
    slide = nights.tiny(tmp_path / "slide.svs")
    names = [f"{number}.svs" for number in range(6)]
    for name in names:
        lab.copy_scan(slide, name)
    for _ in range(MOMENTS):
        before = len(lab.logged("started"))
        with lab.begun("--fuse=select") as night:
            wait_for(lambda before=before, night=night: len(lab.logged("started")) > before or night.poll() is not None)
            time.sleep(chance.uniform(0, 1.5))
            night.kill()
        assert all_gone(str(lab.output), 2)
        read_whole(lab.output)
    night_after = lab.batch("--fuse=select")
    assert night_after.returncode == 0, night_after.stderr
    assert set(lab.states().values()) == {"done"}
    assert len(lab.states()) == len(names)
    finished = [*lab.logged("done"), *lab.logged("adopted")]
    assert sorted(finished) == names, "done twice, or never"
    assert len(lab.logged("started")) <= len(names) + 2 * MOMENTS
    assert not temporary_files(lab.output)
    for name in names:
        verify_file(lab.output / Path(name).with_suffix(".flat.tif"), lab.source / name)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_night_within_5_s_to_be_gone_on_with(tmp_path: Path, number: int, code: int) -> None:
    lab = Lab(tmp_path)
    lab.scan("hang-a.svs")
    lab.copy_scan(lab.source / "hang-a.svs", "deaf-b.svs")
    lab.copy_scan(lab.source / "hang-a.svs", "z good.svs")
    with lab.begun("--fuse=select") as night:
        wait_for(lambda: len(temporary_files(lab.output)) == 2)
        other = lab.batch()
        assert other.returncode == 1
        assert other.stderr.count("\n") == 1
        assert f"another planish batch works there (process {night.pid} on" in other.stderr
        assert f"process {night.pid} on" in str(night_status(lab.output).holder)
        begun = time.monotonic()
        night.send_signal(number)
        assert night.wait() == code
        assert time.monotonic() - begun < 5
    assert all_gone(str(lab.output), 0)
    assert not temporary_files(lab.output)
    assert set(lab.states().values()) == {"waiting"}
    assert {entry.attempts for entry in lab.entries().values()} == {0}
    assert night_status(lab.output).holder is None
    assert (lab.output / "planish-report.html").exists()
    (lab.folder / "site/sitecustomize.py").unlink()
    for name in ("deaf-b.svs", "hang-a.svs"):
        (lab.source / name).unlink()
    after = lab.batch("--fuse=select")
    assert after.returncode == 0, after.stderr
    assert lab.states() == {"deaf-b.svs": "missing", "hang-a.svs": "missing", "z good.svs": "done"}


def test_a_signal_before_anything_began(tmp_path: Path, model: Path) -> None:
    lab = Lab(tmp_path)
    lab.scan("a.svs", {"sleep": 60})
    with lab.begun(pretend=model) as night:
        wait_for((lab.output / ".planish.lock").exists)
        night.terminate()
        assert night.wait() == 143
    assert all_gone(str(lab.output), 0)


HOLDER = "import sys, time; from pathlib import Path; from planish.batch.lock import *\n"


def test_a_lock_whose_holder_was_killed_holds_nobody_up(tmp_path: Path) -> None:
    code = f"{HOLDER}with locked(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE) as process:
        assert process.stdout
        process.stdout.readline()
        try:
            assert str(process.pid) in str(holder(tmp_path))
            with pytest.raises(Occupied, match=f"process {process.pid} on"), locked(tmp_path):
                pass
        finally:
            process.kill()
    assert holder(tmp_path) is None
    with locked(tmp_path):
        assert holder(tmp_path) is not None


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_while_slides_are_looked_for_ends_it_at_once(tmp_path: Path, number: int, code: int) -> None:
    lab = Lab(tmp_path)
    program = (
        "import sys, time, planish.batch.night as night\n"
        "night.discover = lambda *_: (print('looking', flush=True), time.sleep(60))\n"
        "from planish.cli import main\nsys.exit(main())"
    )
    command = [sys.executable, "-c", program, *lab.arguments()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as night:
        assert night.stdout and night.stdout.readline()
        begun = time.monotonic()
        night.send_signal(number)
        assert night.wait() == code
        assert time.monotonic() - begun < 5
    assert not lab.output.exists()


def test_a_report_that_takes_too_long_does_not_hold_up_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path
) -> None:
    lab = Lab(tmp_path, monkeypatch, model)
    lab.scan("a.svs", b"a")
    assert lab.night().no_report == ""
    before = (lab.output / "planish-report.html").stat().st_mtime_ns
    stop = threading.Event()
    stop.set()
    monkeypatch.setattr("planish.batch.nightreport._AT_STOP_S", -1)
    ending = lab.night(stop=stop)
    assert ending.interrupted and "the next one writes it" in ending.no_report
    assert (lab.output / "planish-report.html").stat().st_mtime_ns == before
    assert not temporary_files(lab.output)


@pytest.mark.parametrize("removed", ["ledger", "folder", "replaced"])
def test_a_ledger_that_is_taken_away_ends_the_night(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path, removed: str
) -> None:
    lab = Lab(tmp_path, monkeypatch, model)
    for name in "abc":
        lab.scan(f"{name}.svs", {"sleep": 0.3})

    def remove(event: Event) -> None:
        path = lab.output / ledgers.NAME
        if event.kind == "started" and event.name == "a.svs":
            if removed == "folder":
                shutil.rmtree(lab.output)
            elif removed == "ledger":
                path.unlink()
            else:
                shutil.copyfile(path, path.with_name("copy")).replace(path)

    with pytest.raises(LedgerError, match="was removed or replaced"):
        lab.night(jobs=1, listener=remove)
    assert lab.told("started") == ["a.svs"]
    assert all_gone(str(lab.source), 0)
