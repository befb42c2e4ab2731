"""Watching: slides that arrive are taken once they are whole."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import nights
from nights import Lab, all_gone, wait_for
from planish.batch.events import Event
from planish.batch.ledger import Ledger, LedgerBlocked

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
