"""Nights on a disk that is full, or fills up; and with a source that goes away."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

import nights
from nights import Lab, failing, mtimes
from planish.batch.space import Space
from planish.errors import WriteError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return nights.model(tmp_path_factory.mktemp("model"))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: Path) -> Lab:
    lab = Lab(tmp_path, monkeypatch, model)
    lab.scan("a.svs", b"a")
    lab.scan("sub/b.svs", b"b")
    return lab


def test_without_space_no_night_begins(lab: Lab) -> None:
    with pytest.raises(WriteError, match="--reserve"):
        lab.night(reserve=1 << 60)
    assert not mtimes(lab.output)


def test_a_night_pauses_for_want_of_room_and_goes_on(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    free = [1 << 40]
    monkeypatch.setattr(Space, "free", lambda self: free[0])

    def listener(event: Any) -> None:
        if event.kind == "done":
            free[0] = 1 << 20
        if event.kind == "paused":
            seen.append(dict(event.facts))
            free[0] = 1 << 40

    seen: list[dict[str, int]] = []
    assert lab.night(jobs=1, listener=listener).counts == {"done": 2}
    assert [facts["free"] for facts in seen] == [1 << 20]
    kinds = [event.kind for event in lab.events]
    assert kinds.index("paused") < kinds.index("resumed") < len(kinds) - 1
    assert kinds.count("paused") == kinds.count("resumed") == 1


def test_a_disk_that_fills_up_under_a_slide_costs_it_no_attempt(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lab.scan("large.svs", failing("WriteError", 75, 28))
    monkeypatch.setattr("planish.batch.supervisor._NO_SPACE_WAIT_S", 0.05)
    free = [18 << 20]
    monkeypatch.setattr(Space, "free", lambda self: free[0])
    monkeypatch.setattr("planish.batch.supervisor.need", lambda entry: 0)
    monkeypatch.setattr("planish.batch.space.need", lambda entry: (64 << 20) if entry.reason == "no space" else 0)
    waits: list[float] = []

    def listener(event: Any) -> None:
        if event.kind == "retry":
            waits.append(event.facts["wait"])
        if event.kind == "paused":
            path.write_bytes(b"fits now")
            free[0] = 1 << 40

    assert lab.night(retries=0, listener=listener).counts == {"done": 3}
    assert waits == [0.05]
    assert lab.entries()["large.svs"].attempts == 1
    assert lab.entries()["large.svs"].reason == ""


def test_a_folder_that_a_full_disk_keeps_from_being_made_costs_no_attempt(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.batch.supervisor._NO_SPACE_WAIT_S", 0.05)
    mkdir, full = Path.mkdir, [3]

    def limited(path: Path, *options: Any, **more: Any) -> None:
        if path.name == "sub" and full[0]:
            full[0] -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        mkdir(path, *options, **more)

    monkeypatch.setattr(Path, "mkdir", limited)
    monkeypatch.setattr("planish.batch.space.need", lambda entry: 1 << 60 if entry.reason == "no space" else 0)

    def listener(event: Any) -> None:
        if event.kind == "paused":
            monkeypatch.setattr("planish.batch.space.need", lambda entry: 0 if not full[0] else 1 << 60)
            full[0] = 0

    assert lab.night(retries=0, listener=listener).counts == {"done": 2}
    assert lab.entries()["sub/b.svs"].attempts == 1


def test_a_source_that_goes_away_pauses_the_night_and_costs_no_attempt(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.batch.supervisor._GONE_WAIT_S", 0.05)
    away = lab.folder / "away"

    def listener(event: Any) -> None:
        if event.kind == "started" and lab.source.exists() and not lab.told("paused"):
            lab.source.rename(away)
            lab.source.mkdir()  # the mount point
        if event.kind == "paused":
            assert event.facts["gone"] == str(lab.source)
            lab.source.rmdir()
            away.rename(lab.source)

    assert lab.night(retries=0, jobs=1, listener=listener).counts == {"done": 2}
    assert [entry.attempts for entry in lab.entries().values()] == [1, 1]
    kinds = [event.kind for event in lab.events]
    assert kinds.count("paused") == kinds.count("resumed") == 1
