"""Watching: slides that arrive are taken once they are whole."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nights
from nights import Lab, all_gone, wait_for
from planish.batch import night as nightly
from planish.batch.command import Commands
from planish.batch.discover import Discovery
from planish.batch.entry import Found
from planish.batch.events import Event
from planish.batch.job import Job, Result
from planish.batch.ledger import Ledger, LedgerBlocked
from planish.batch.options import BatchOptions
from planish.batch.reasons import Failure
from planish.batch.watch import Watcher

SETTLE_S = 0.4


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nights.model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> Lab:
    return Lab(tmp_path, monkeypatch, model)


def watch(lab: Lab, meanwhile: Callable[[Any], None], **options: Any) -> dict[str, str]:
    """Watch while something goes on beside it, then stop; return the states."""
    lab.events = []
    stop, problems = threading.Event(), list[BaseException]()

    def beside() -> None:
        try:
            wait_for(lambda: any(event.kind == "began" for event in lab.events))
            meanwhile(lambda kind: [event.name for event in list(lab.events) if event.kind == kind])
        except BaseException as error:
            problems.append(error)
        finally:
            stop.set()

    thread = threading.Thread(target=beside)
    thread.start()
    ending = lab.night(stop=stop, watch=SETTLE_S, **options)
    thread.join()
    assert not problems, problems
    assert not ending.interrupted
    assert ending.report.exists()
    return dict(lab.states())


def test_a_slide_that_grows_is_taken_when_it_is_whole(lab: Lab) -> None:
    def arrive(told: Callable[[str], list[str]]) -> None:
        path = lab.source / "a.svs"
        for _ in range(8):
            with path.open("ab") as file:
                file.write(b"x" * 1000)
            assert not told("started")
            time.sleep(SETTLE_S / 2)
        wait_for(lambda: told("done"))

    assert watch(lab, arrive) == {"a.svs": "done"}
    assert lab.entries()["a.svs"].size == 8000
    assert lab.told("started") == ["a.svs"]


def test_a_slide_that_cannot_be_opened_fails_after_a_while_and_holds_up_none(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.batch.watch._PATIENCE", 4)
    lab.scan("bad.svs", {"error": {"kind": "SlideError", "message": "half a slide"}})

    def arrive(told: Callable[[str], list[str]]) -> None:
        lab.scan("good.svs", b"x")
        wait_for(lambda: told("done"))
        assert not told("failed")
        wait_for(lambda: told("failed"))

    assert watch(lab, arrive) == {"good.svs": "done", "bad.svs": "failed"}
    assert lab.entries()["bad.svs"].message == "half a slide"


def test_a_slide_that_changes_under_its_process_is_done_again(lab: Lab) -> None:
    def arrive(told: Callable[[str], list[str]]) -> None:
        path = lab.scan("a.svs", b'{"sleep": 0.1}')
        wait_for(lambda: told("started"))
        path.write_bytes(b"x" * 50)
        wait_for(lambda: len(told("done")) == 2)

    assert watch(lab, arrive) == {"a.svs": "done"}
    assert lab.entries()["a.svs"].size == 50


def test_what_was_done_before_is_not_done_again(lab: Lab) -> None:
    lab.scan("a.svs", b"a")
    lab.night()

    def arrive(told: Callable[[str], list[str]]) -> None:
        lab.scan("b.svs", b"b")
        wait_for(lambda: told("done"))

    assert watch(lab, arrive) == {"a.svs": "done", "b.svs": "done"}
    assert lab.told("started") == ["b.svs"]


def test_arrivals_wait_for_a_ledger_that_cannot_be_written(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    add, blocked = Ledger.add, [True]

    def full(self: Ledger, *facts: Any) -> int:
        if blocked[0]:
            raise LedgerBlocked("full")
        return add(self, *facts)

    monkeypatch.setattr(Ledger, "add", full)

    def arrive(told: Callable[[str], list[str]]) -> None:
        lab.scan("a.svs", b"a")
        wait_for(lambda: any(event.kind == "blocked" for event in list(lab.events)))
        time.sleep(0.5)
        blocked[0] = False
        wait_for(lambda: told("done"))

    assert watch(lab, arrive) == {"a.svs": "done"}
    kinds: list[str] = [event.kind for event in lab.events if isinstance(event, Event)]
    assert kinds.count("blocked") == kinds.count("resumed") == 1


def test_sigterm_ends_a_watch_within_5_s(tmp_path: Path, model: Path) -> None:
    lab = Lab(tmp_path)
    with lab.begun(f"--watch={SETTLE_S}", pretend=model) as night:
        wait_for((lab.output / "planish-ledger.sqlite").exists)
        lab.scan("a.svs", b"x")
        wait_for(lambda: lab.logged("done"))
        lab.scan("b.svs", {"sleep": 60})
        wait_for(lambda: nights.processes_with(str(lab.source / "b.svs")))
        begun = time.monotonic()
        night.terminate()
        assert night.wait() == 143
        assert time.monotonic() - begun < 5
    assert all_gone(str(lab.source), 0)
    assert (lab.output / "planish-report.html").exists()
    assert lab.states()["a.svs"] == "done"


def test_what_waited_is_done_with_the_settings_of_the_watch_and_has_them_in_the_ledger(lab: Lab) -> None:
    path = lab.scan("a.svs", b"a")
    stopped = threading.Event()
    stopped.set()
    lab.night(stop=stopped, settings=("--seed=1",))
    os.utime(path, (1, 1))
    assert watch(lab, lambda told: wait_for(lambda: told("done")), settings=("--seed=2",)) == {"a.svs": "done"}
    assert lab.entries()["a.svs"].settings == '["--seed=2"]'


def test_what_the_ledger_knows_is_neither_opened_nor_counted_again(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.scan("a.svs", b"a")
    lab.scan("gone.svs", b"g")
    lab.scan("bad.svs", nights.failing("SlideError"))
    lab.night()
    (lab.output / "gone.flat.tif").unlink()
    probe, probed = Commands.probe, list[str]()

    def noted(self: Commands, path: Path, size: int) -> Job:
        probed.append(path.name)
        return probe(self, path, size)

    monkeypatch.setattr(Commands, "probe", noted)

    def arrive(told: Callable[[str], list[str]]) -> None:
        lab.scan("b.svs", b"b")
        wait_for(lambda: len(told("done")) == 2)

    watch(lab, arrive)
    assert probed == ["b.svs"]
    assert sorted(lab.told("started")) == ["b.svs", "gone.svs"]
    assert [event.facts["slides"] for event in lab.events if event.kind == "found"] == [1]


def test_what_could_not_be_opened_is_tried_after_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Found(tmp_path / name, Path(name), Path(name), 1, 1) for name in ("a", "b")]
    opened: list[str] = []

    def work(job: Job, stopped: object) -> Result:
        opened.append(job.source.name)
        return Result(Failure("damaged", "no") if job.source.name == "a" else None)

    monkeypatch.setattr("planish.batch.watch.work", work)
    monkeypatch.setattr("planish.batch.watch._LEAST_WAIT_S", 0.01)
    commands = Commands(tmp_path, tmp_path, BatchOptions(), 1)
    assert commands.probe(tmp_path, 1 << 40).task.limits.seconds == 60
    shown = found[:1]
    watcher = Watcher(lambda: Discovery(tuple(shown), ()), commands, 0.05, threading.Event())
    watcher.begin()
    wait_for(lambda: opened)
    shown[:] = found
    wait_for(lambda: opened.count("a") > 2 and "b" in opened)
    watcher.stop()
    assert opened.count("b") == 1
    assert watcher.settled()[0].relative.name == "b"


def test_a_fault_of_the_watcher_ends_the_night_with_a_report(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr(Watcher, "_sort", fault)
    with pytest.raises(RuntimeError, match="a fault"):
        lab.night(watch=SETTLE_S)
    assert (lab.output / "planish-report.html").exists()


def test_to_settle_in_no_time_is_not_to_look_all_the_time(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[object] = []
    monkeypatch.setattr(nightly, "discover", lambda *_: looks.append(1) or Discovery((), ()))  # type: ignore[func-returns-value]
    monkeypatch.setattr("test_batch_watch.SETTLE_S", 0.0)
    watch(lab, lambda told: time.sleep(1))
    assert 2 <= len(looks) < 6


def test_the_report_is_written_again_only_where_something_changed(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[object] = []
    monkeypatch.setattr("planish.batch.nightreport.EVERY_S", 0.3)
    monkeypatch.setattr("planish.batch.nightreport.write_report", lambda *facts: written.append(facts))

    def arrive(told: Callable[[str], list[str]]) -> None:
        wait_for(lambda: not written)
        lab.scan("a.svs", b"a")
        wait_for(lambda: told("done") and written)
        time.sleep(1)
        count = len(written)
        time.sleep(1)
        assert len(written) == count <= 3
        (lab.output / "planish-report.html").touch()

    watch(lab, arrive)


def test_a_watch_keeps_to_its_pattern(lab: Lab) -> None:
    for name in ("a.svs", "b.svs"):
        lab.scan(name, b"x")
    stopped = threading.Event()
    stopped.set()
    lab.night(stop=stopped)

    def arrive(told: Callable[[str], list[str]]) -> None:
        wait_for(lambda: told("done"))
        lab.scan("b2.svs", b"y")
        wait_for(lambda: len(told("done")) == 2)

    assert watch(lab, arrive, patterns=("b*",)) == {"a.svs": "waiting", "b.svs": "done", "b2.svs": "done"}
