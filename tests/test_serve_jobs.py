"""Slides that are flattened because somebody asked the service: through the batch's ledger, beside its nights."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from unittest.mock import Mock

import pytest

from nights import Lab, model, read_whole, wait_for
from planish.batch import ledger as ledgers
from planish.batch.discover import discover
from planish.batch.entry import Found
from planish.batch.ledger import Ledger
from planish.batch.lock import locked
from planish.batch.options import BatchOptions
from planish.errors import OptionError
from planish.serve import jobs as jobs_module
from planish.serve.jobs import Jobs
from planish.serve.jobstate import JobState
from planish.serve.requests import NAME, Requests
from planish.verification import verify_file

POISON = """
import os, sys
if "planish.serve.flattening" in sys.orig_argv:
    os.abort()
"""


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


@pytest.fixture(scope="module")
def pretend(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return model(tmp_path_factory.mktemp("model"))


def jobs_of(lab: Lab, **options: object) -> Jobs:
    return Jobs(lab.source, lab.output, BatchOptions(**{"reserve": 0, "retries": 0, **options}))  # type: ignore[arg-type]


def ended(jobs: Jobs, name: str) -> JobState:
    wait_for(lambda: not jobs.state(Path(name)).under_way, within=120)
    return jobs.state(Path(name))


def test_from_the_request_to_ledger_slide_and_report_also_after_a_restart(lab: Lab) -> None:
    slide, other = lab.scan("día/a.svs"), lab.scan("b.svs")
    first = jobs_of(lab)  # which is never entered, so that nothing is done
    assert first.state(Path("día/a.svs")) == JobState("none")
    assert first.request(Path("día/a.svs")) == JobState("waiting")
    with Ledger(lab.output / ledgers.NAME) as ledger:  # what a night that was stopped left
        ledger.add(Found(other, Path("b.svs"), Path("b"), other.stat().st_size, other.stat().st_mtime_ns), "[]")
    with jobs_of(lab, settings=("--fuse=select",)) as jobs, jobs_of(lab, settings=("--fuse=select",)):
        state = ended(jobs, "día/a.svs")
        assert (state.state, state.output) == ("done", "día/a.flat.tif")
        assert jobs.request(Path("día/a.svs")).under_way  # it is looked after again, and is as it was
        assert ended(jobs, "día/a.svs") == state
        assert jobs.state(Path("b.svs")) == JobState("none")
    assert lab.states() == {"día/a.svs": "done", "b.svs": "waiting"}
    assert lab.logged("started") == ["día/a.svs"]
    assert json.loads(lab.entries()["día/a.svs"].settings) == ["--fuse=select"]
    verify_file(lab.output / "día/a.flat.tif", slide, every_tile=True)
    read_whole(lab.output)
    assert "día/a.svs" in (lab.output / "planish-report.html").read_text(encoding="utf-8")
    assert not list((lab.output / ".planish.requests").iterdir())


def test_it_waits_while_another_batch_works_and_a_failure_names_no_path(lab: Lab) -> None:
    lab.scan("Mustermann.svs", b"no slide at all")
    name = Path("Mustermann.svs")

    async def watched(jobs: Jobs) -> list[JobState]:
        return [state async for state in jobs.changes(name)]

    lab.output.mkdir()
    with jobs_of(lab) as jobs:
        with locked(lab.output):
            jobs.request(name)
            wait_for(lambda: jobs.state(name).reason == "occupied")
            assert jobs.state(name).state == "waiting"
        states = asyncio.run(watched(jobs))
        assert states[0].under_way
        assert (states[-1].state, states[-1].reason) == ("failed", "not supported")
        assert states[-1].facts()["message"].startswith("the slide: ")
        assert not any("Mustermann" in state.message or str(lab.folder) in state.message for state in states)
        jobs.request(name)  # a person may ask again
        assert ended(jobs, "Mustermann.svs").state == "failed"
    assert lab.logged("started") == ["Mustermann.svs"] * 2


def test_what_is_not_there_has_failed(lab: Lab) -> None:
    lab.scan("there.svs", b"")
    with jobs_of(lab) as jobs:
        jobs.request(Path("gone.svs"))
        assert ended(jobs, "gone.svs").reason == "not found"
        assert jobs.state(Path("there.svs")).state == "none"


def test_a_night_that_cannot_begin_says_why(lab: Lab) -> None:
    lab.scan("a.svs")
    with jobs_of(lab, reserve=1 << 60) as jobs:
        jobs.request(Path("a.svs"))
        state = ended(jobs, "a.svs")
    assert (state.state, state.reason) == ("failed", "refused")
    assert "make room" in state.message and str(lab.folder) not in state.message


def test_a_night_that_crashes_is_no_endless_one(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    site = lab.folder / "poison"
    site.mkdir()
    (site / "sitecustomize.py").write_text(POISON, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(site))
    lab.scan("a.svs")
    with jobs_of(lab) as jobs:
        jobs.request(Path("a.svs"))
        assert ended(jobs, "a.svs").reason == "error"
        assert jobs.request(Path("a.svs")).state == "waiting"


def test_odd_requests_of_strangers_hold_up_nobody(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.scan("a.svs")
    jobs = jobs_of(lab)
    folder = lab.output / NAME
    for index, told in enumerate(({"slide": "a.svs", "at": "x"}, {"slide": "\ud800"}, {"slide": 1}, [], {"at": 1})):
        (folder / f"{index}.request.json").write_text(json.dumps(told))
    jobs.request(Path("a.svs"))
    own = next(path for path in folder.glob("*.request.json") if len(path.name) > 20)
    own.write_text(json.dumps({"slide": "a.svs", "at": "x"}))
    assert Requests(lab.output).next() == {Path("a.svs"): 0.0}
    fault = Mock(side_effect=[ValueError("odd"), {}])
    monkeypatch.setattr(jobs_module, "_REST_S", 0.0)
    monkeypatch.setattr(Requests, "next", fault)
    with jobs:
        wait_for(lambda: fault.call_count == 2)
        fault.side_effect = lambda: {}


def test_an_end_counts_for_the_slide_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: Path) -> None:
    lab = Lab(tmp_path, monkeypatch, pretend)
    slide = lab.scan("a.svs", {})
    lab.night()
    jobs = jobs_of(lab)
    (found,) = discover(lab.source).found
    assert jobs.state(Path("a.svs"), found).state == "done"
    slide.touch()
    state = jobs.state(Path("a.svs"), found)
    assert (state.state, state.reason) == ("none", "stale")
    slide.unlink()
    assert jobs.state(Path("a.svs"), found).state == "none"


def test_folders_in_each_others_way_are_refused_at_once(lab: Lab) -> None:
    with pytest.raises(OptionError, match="choose another folder"):
        Jobs(lab.source, lab.source / "out")
    assert not (lab.source / "out").exists()


def test_a_night_for_some_slides_leaves_all_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: Path
) -> None:
    lab = Lab(tmp_path, monkeypatch, pretend)
    for name in ("a.svs", "b.svs", "c.svs", "d.svs"):
        lab.scan(name, {})
    lab.scan("b.svs", {"error": {"kind": "TileError", "message": "words", "errno": None}})
    lab.night()
    assert lab.states() == {"a.svs": "done", "b.svs": "failed", "c.svs": "done", "d.svs": "done"}
    lab.change("c.svs", state="waiting")
    lab.scan("d.svs", {"sleep": 0})
    lab.scan("e.svs", {})
    lab.night(only=(Path("d.svs"), Path("e.svs"), Path("no.svs")), retry_failed=True)
    assert sorted(lab.told("started")) == ["d.svs", "e.svs"]
    assert lab.states() == {"a.svs": "done", "b.svs": "failed", "c.svs": "waiting", "d.svs": "done", "e.svs": "done"}
    lab.night(only=(Path("no.svs"),))
    assert lab.told("started") == []
    lab.night()
    assert lab.told("started") == ["c.svs"]


def test_warnings_are_told_without_paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pretend: Path) -> None:
    lab = Lab(tmp_path, monkeypatch, pretend)
    slide = lab.scan("Mustermann.svs", {})
    lab.night()
    lab.change("Mustermann.svs", warnings=(f"{slide}: look at it",))
    state = jobs_of(lab).state(Path("Mustermann.svs"))
    assert (state.state, state.warnings) == ("done", ("the slide: look at it",))
