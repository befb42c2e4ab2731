"""The best of a slide, as the service makes it: the map of `planish flatten`, made once, whatever happens to it."""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from makers import container, make_stack
from nights import all_gone, processes_with, wait_for
from planish.cli import main
from planish.errors import WriteError
from planish.fuse.options import FuseOptions
from planish.planemap import PlaneMap
from planish.serve import best as bests
from planish.serve.answers import Answers
from planish.serve.best import Best
from planish.serve.bestoptions import BestOptions
from planish.serve.beststate import BestState
from planish.serve.claim import Claim, claimed
from planish.serve.signature import signature
from planish.serve.store import Store, default_folder
from planish.serve.wanted import Refused, Subject, Want

POISON = """
import ctypes, os, sys, time
words = sys.orig_argv
if "planish.serve.survey" in words:
    with open(os.environ["PLANISH_TEST_COUNT"], "a") as file:
        file.write("a survey\\n")
    kind = os.path.basename(words[words.index("planish.serve.survey") + 1]).split("-")[0]
    if kind == "segfault":
        ctypes.string_at(0)
    if kind == "hang":
        time.sleep(600)
"""
"""A `sitecustomize`: counts surveys, and spoils those of slides that are called after one of these kinds."""
ASK = """
import sys, time
from pathlib import Path
from planish.serve.answers import Answers
from planish.serve.best import Best
with Best(Path(sys.argv[1])) as best:
    print("here", flush=True)
    sys.stdin.readline()
    best.begin(sys.argv[2], "signed")
    while best.state(sys.argv[2], "signed").under_way:
        time.sleep(0.05)
    print(best.state(sys.argv[2], "signed").state)
"""
"""A web process, as far as it matters here; begins when it is told to."""


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    return container(tmp_path, make_stack(3), kind="svs")


@pytest.fixture
def count(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(POISON, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setenv("PLANISH_TEST_COUNT", str(tmp_path / "count"))
    return tmp_path / "count"


def settled(best: Best, path: Path, signature: str = "signed") -> BestState:
    wait_for(lambda: not best.state(str(path), signature).under_way, within=120)
    return best.state(str(path), signature)


def made(best: Best, path: Path, signature: str = "signed") -> Path:
    best.begin(str(path), signature)
    state = settled(best, path, signature)
    assert state.state == "ready", state
    return Path(state.map)


@contextmanager
def web_process(cache: Path, path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", ASK, str(cache), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def tell(process: subprocess.Popen[str]) -> None:
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize(("method", "words"), [
    ("hybrid", []), ("hybrid", ["--param", "tau=0.5"]), ("select", []), ("soft", []),
])  # fmt: skip
def test_the_map_is_the_one_that_flatten_saves(tmp_path: Path, slide: Path, method: str, words: list[str]) -> None:
    parameters = {"tau": 0.5} if words else {}
    with Best(tmp_path / "cache", BestOptions(fuse=FuseOptions(method, parameters))) as best:
        found = made(best, slide)
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--fuse", method, *words, "--quiet"]) == 0
    assert found.read_bytes() == (tmp_path / "flat.map.json").read_bytes()
    assert (PlaneMap.load(found).recipe is not None) == (method == "hybrid")


def test_it_is_made_once_and_nothing_beside_the_map_stays(tmp_path: Path, slide: Path, count: Path) -> None:
    with Best(tmp_path / "cache") as best:
        assert best.state(str(slide), "signed") == BestState("none")
        assert best.begin(str(slide), "signed").state == "working"
        found = made(best, slide)
        assert best.known(str(slide), "signed") is None
        assert best.begin(str(slide), "signed") == BestState("ready", map=str(found))
        assert best.known(str(slide), "signed") == BestState("ready", map=str(found))
        assert best.known(str(slide), "another") is None
    assert set((tmp_path / "cache/best").iterdir()) == {found, found.with_name(f"{found.name[:64]}.seal.json")}
    with Best(tmp_path / "cache") as best:
        assert made(best, slide) == found
    assert count.read_text() == "a survey\n"
    assert "stack" not in found.name


def test_changes_tell_of_stages_until_it_is_ready(tmp_path: Path, slide: Path) -> None:
    async def watched(best: Best) -> list[BestState]:
        best.begin(str(slide), "signed")
        return [state async for state in best.changes(str(slide), "signed")]

    with Best(tmp_path / "cache") as best:
        states = asyncio.run(watched(best))
        assert states[0].facts() == {"state": "working", "stage": "waiting", "done": 0, "total": 0}
        assert states[-1].facts() == {"state": "ready"}
        assert all(state.under_way for state in states[:-1])
        again = asyncio.run(watched(best))
    assert [state.state for state in again] == ["ready"]


def test_changes_end_where_nobody_works(tmp_path: Path, slide: Path) -> None:
    async def first(best: Best) -> list[BestState]:
        return [state async for state in best.changes(str(slide), "signed")]

    with Best(tmp_path / "cache") as best:
        assert asyncio.run(first(best)) == [BestState("none")]


def test_of_two_processes_that_ask_at_once_one_works(tmp_path: Path, slide: Path, count: Path) -> None:
    cache = tmp_path / "cache"
    with web_process(cache, slide) as one, web_process(cache, slide) as other:
        for process in (one, other):
            assert process.stdout and process.stdout.readline() == "here\n"
        tell(one)
        tell(other)
        assert [process.communicate(timeout=60)[0] for process in (one, other)] == ["ready\n", "ready\n"]
    assert count.read_text() == "a survey\n"


def test_what_a_killed_web_process_worked_on_is_free(tmp_path: Path, slide: Path, count: Path) -> None:
    cache, path = tmp_path / "cache", slide.rename(tmp_path / "hang-1.svs")
    with Best(cache) as best, web_process(cache, path) as process:
        tell(process)
        wait_for(count.exists)
        assert best.state(str(path), "signed").state == "working"
        process.kill()
        assert all_gone(str(path), 5)
        wait_for(lambda: best.state(str(path), "signed") == BestState("none"))
        best.begin(str(path), "signed")
        wait_for(lambda: count.read_text() == "a survey\n" * 2)
    assert all_gone(str(path), 5)


def test_a_killed_survey_has_failed_and_is_possible_again(tmp_path: Path, slide: Path, count: Path) -> None:
    path = slide.rename(tmp_path / "hang-1.svs")
    with Best(tmp_path / "cache", BestOptions(short_wait=1)) as best:
        best.begin(str(path), "signed")
        wait_for(count.exists)
        for number in processes_with(str(path)):
            os.kill(number, signal.SIGKILL)
        state = settled(best, path)
        assert (state.state, state.reason) == ("failed", "killed")
        wait_for(lambda: best.state(str(path), "signed").state == "none")
        assert best.begin(str(path), "signed").state == "working"


def test_poison_fails_with_a_reason_and_harms_nothing(tmp_path: Path, slide: Path, count: Path) -> None:
    path = tmp_path / "segfault-1.svs"
    shutil.copyfile(slide, path)
    with Best(tmp_path / "cache") as best:
        best.begin(str(path), "signed")
        best.begin(str(slide), "signed")
        state = settled(best, path)
        assert (state.state, state.reason) == ("failed", "crashed")
        assert "SIGSEGV" in state.message
        assert best.begin(str(path), "signed") == state  # not again at once
        assert settled(best, slide).state == "ready"
        assert count.read_text() == "a survey\n" * 2
        assert best.begin(str(path), "another").state == "working"


def test_a_failure_names_no_path(tmp_path: Path) -> None:
    path = tmp_path / "Mustermann, Erika.svs"
    path.write_text("no slide at all", encoding="utf-8")
    with Best(tmp_path / "cache") as best:
        best.begin(str(path), "signed")
        state = settled(best, path)
    assert (state.state, state.reason) == ("failed", "not supported")
    assert state.message.startswith("the slide: ")
    assert "Erika" not in state.message and str(tmp_path) not in state.message
    assert state.facts() == {"state": "failed", "reason": state.reason, "message": state.message}


def test_the_time_limit_ends_a_survey(tmp_path: Path, slide: Path, count: Path) -> None:
    path = slide.rename(tmp_path / "hang-1.svs")
    with Best(tmp_path / "cache", BestOptions(seconds=1)) as best:
        best.begin(str(path), "signed")
        state = settled(best, path)
        assert (state.reason, state.message) == ("too long", "stopped after 1 s, its limit")


def test_a_file_that_changed_has_another_key(tmp_path: Path, slide: Path) -> None:
    with Best(tmp_path / "cache") as best:
        found = made(best, slide)
        assert best.state(str(slide), "another") == BestState("none")
        assert best.state(str(slide.with_name("other.svs")), "signed") == BestState("none")
        assert made(best, slide, "another") != found
    with Best(tmp_path / "cache", BestOptions(fuse=FuseOptions("select"))) as best:
        assert best.state(str(slide), "signed") == BestState("none")


@pytest.mark.parametrize("damage", ["truncated", "empty", "random", "another's", "unsealed"])
def test_a_damaged_map_is_made_anew(tmp_path: Path, slide: Path, damage: str) -> None:
    seen, answers = signature(str(slide)), Answers()
    with Best(tmp_path / "cache") as best:
        found = made(best, slide, seen)
        good = found.read_bytes()
        if damage == "another's":
            other = made(best, slide, "another")
            for name in ("map", "seal"):
                shutil.copyfile(*(each.with_name(f"{each.name[:64]}.{name}.json") for each in (other, found)))
        elif damage == "unsealed":
            found.with_name(f"{found.name[:64]}.seal.json").unlink()
        else:
            found.write_bytes({"truncated": good[:-100], "empty": b"", "random": os.urandom(1000)}[damage])
        want = Want("tile", Subject(str(slide), seen, -1, str(found)), level=0)
        with pytest.raises(Refused) as caught:
            answers.answer(want)
        assert caught.value.kind == "changed"
        wait_for(lambda: best.state(str(slide), seen).state == "none")
        assert made(best, slide, seen).read_bytes() == good
    assert answers.answer(want).body
    answers.close()


def test_maps_of_a_cache_that_cannot_be_written_to_any_more_are_there(
    tmp_path: Path, slide: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Best(tmp_path / "cache") as best:
        found = made(best, slide)
        os.utime(found, (1, 1))

        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EROFS, "Read-only file system")

        monkeypatch.setattr(os, "utime", refuse)
        monkeypatch.setattr(Path, "chmod", refuse)
        assert best.state(str(slide), "signed") == BestState("ready", map=str(found))
        Store(tmp_path / "cache", 0)


@pytest.mark.parametrize("odd", ['{"done": "x", "total": [], "until": {}}', '{"done": 1e999, "until": "x"}'])
def test_odd_values_of_strangers_count_as_none(tmp_path: Path, odd: str) -> None:
    store, key = Store(tmp_path, 0), "a" * 64
    store.progress(key).write_text(odd)
    (store.folder / f"{key}.failed.json").write_text(odd)
    assert store.look(key) == BestState("none")
    with store.claim(key) or pytest.fail("not to be had"):
        assert store.look(key) == BestState("working")


def test_a_slide_with_one_plane_has_a_map_of_one_plane(tmp_path: Path) -> None:
    path = container(tmp_path, make_stack(1), kind="svs")
    with Best(tmp_path / "cache") as best:
        found = PlaneMap.load(made(best, path))
    assert len(found.z_um) == 1 and not found.plane.any()


def test_closing_ends_what_runs_and_what_waits(tmp_path: Path, slide: Path, count: Path) -> None:
    paths = [tmp_path / f"hang-{number}.svs" for number in range(3)]
    with Best(tmp_path / "cache", BestOptions(at_once=1)) as best:
        for path in paths:
            shutil.copyfile(slide, path)
            assert best.begin(str(path), "signed").state == "working"
        wait_for(count.exists)
        assert best.state(str(paths[2]), "signed").stage == "waiting"
    assert count.read_text() == "a survey\n"
    assert not processes_with(str(tmp_path))
    assert not list((tmp_path / "cache/best").iterdir())
    with pytest.raises(Refused, match="later"):
        best.begin(str(slide), "signed")


def test_too_many_that_wait_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slide: Path) -> None:
    monkeypatch.setattr(bests, "MOST_WAITING", 0)
    with Best(tmp_path / "cache") as best, pytest.raises(Refused) as refused:
        best.begin(str(slide), "signed")
    assert refused.value.kind == "busy"


def test_what_was_used_longest_ago_goes_first(tmp_path: Path) -> None:
    store = Store(tmp_path, 10_000)
    keys = [digit * 64 for digit in "abcd"]
    for age, key in enumerate(keys):
        store.map(key).write_bytes(bytes(4000))
        os.utime(store.map(key), (time.time() - 1000 + age,) * 2)
    (store.folder / f".planish-{keys[1]}-half.json").write_bytes(bytes(100))
    assert store.look(keys[0]).state == "ready"  # and so it was used just now
    with Claim.take(store.folder / f"{keys[2]}.lock") or pytest.fail("not to be had"):
        store.trim(keep=keys[3])
    assert [key for key in keys if store.map(key).exists()] == [keys[2], keys[3]]
    assert sorted(path.name for path in store.folder.iterdir()) == sorted(store.map(key).name for key in keys[2:])


def test_the_cache_is_for_its_owner_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert default_folder() == tmp_path / "caches" / "planish"
    store = Store(default_folder(), 0)
    assert default_folder().stat().st_mode & 0o777 == store.folder.stat().st_mode & 0o777 == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert default_folder() == Path.home() / ".cache" / "planish"
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match="another folder"):
        Store(tmp_path / "file", 0)
    (tmp_path / "linked").mkdir()
    (tmp_path / "linked/best").symlink_to(tmp_path)
    with pytest.raises(WriteError, match="somebody else"):
        Store(tmp_path / "linked", 0)


def test_a_claim_is_one_process_own_and_leaves_no_file(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    claim = Claim.take(path)
    assert claim and claimed(path) and Claim.take(path) is None
    claim.release()
    assert not claimed(path) and not path.exists()
    again = Claim.take(path)
    assert again
    again.release()
