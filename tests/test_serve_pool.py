"""Decoders: what they answer, and that none of them can harm the others or stay behind."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from nights import wait_for
from planish.serve import process
from planish.serve.answers import Answers
from planish.serve.limits import Limits
from planish.serve.pool import Pool
from planish.serve.signature import signature
from planish.serve.waiting import Job, Jobs
from planish.serve.wanted import Refused, Reply, Subject, Want
from planish.serve.wire import MOST_BODY, BrokenMessage, Inbox, packed
from stacks import write_stack

POISON = """
import os, signal, sys, time
from planish.serve import answers, decoder
from planish.serve.wanted import Refused

plain = answers.Answers.answer
LEAK = []

def answer(self, want):
    name = os.path.basename(want.subject.path)
    if name.startswith("chatter"):
        print("words of a library")
        os.write(1, b"more of them")
    if name.startswith("crash") or (name.startswith("later") and want.column == 3):
        os.kill(os.getpid(), signal.SIGSEGV)
    if name.startswith("hang"):
        time.sleep(3600)
    if name.startswith("slow"):
        time.sleep(0.3)
    if name.startswith("wide") and want.kind == "region":
        time.sleep(3600)
    if name.startswith("memory"):
        taken = []
        while True:
            taken.append(bytearray(64 << 20))
    if name.startswith("leak"):
        LEAK.append(b"1" * (96 << 20))
    return plain(self, want)

def made(slide, want):
    if "odd one" in want.subject.path:
        raise ZeroDivisionError("in " + want.subject.path)
    return made_plainly(slide, want)

def nonsense(answers, asked):
    if b"nonsense" in asked:
        return bytes(range(256)) * 100
    if b"script" in asked:
        return decoder.packed(b'{"type": "text/html", "how": "copied", "milliseconds": 1}', b"<script>")
    return answered(answers, asked)

answered, decoder.answered = decoder.answered, nonsense
answers.Answers.answer = answer
made_plainly, answers._made = answers._made, made
decoder.main()
"""
"""A decoder that misbehaves with slides of certain names."""

RUNNERS = [pytest.param(asyncio.run, id="asyncio"), pytest.param(uvloop.run, id="uvloop")]


@pytest.fixture(scope="module")
def svs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stack(tmp_path_factory.mktemp("svs") / "slide.svs", kind="svs", tile=128)


@pytest.fixture
def slide(svs: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Return a function that makes a slide of a name."""
    return lambda name: Path(shutil.copyfile(svs, tmp_path / f"{name}.svs"))


@pytest.fixture
def poison(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "poison.py"
    script.write_text(POISON, encoding="utf-8")
    monkeypatch.setattr(process, "COMMAND", (sys.executable, str(script)))


def tile(path: Path, column: int = 0, row: int = 0) -> Want:
    return Want("tile", Subject(str(path), signature(str(path))), level=10, column=column, row=row)


def gone(pids: list[int]) -> bool:
    """Whether no such process runs; one that nobody waits for has no command line."""
    return not any(Path(f"/proc/{pid}/cmdline").exists() and Path(f"/proc/{pid}/cmdline").read_bytes() for pid in pids)


def run(work: Callable[[Pool], Awaitable[None]], size: int = 2, limits: Limits | None = None) -> None:
    """Do something with a pool, and see that nothing is left of it."""

    async def all_of_it() -> None:
        pool = Pool(size, limits)
        pids = []
        try:
            pool.start()
            pids = pool.pids
            await work(pool)
        finally:
            pids += pool.pids
            await pool.close()
        assert gone(pids)
        assert pool.pids == []

    asyncio.run(all_of_it())


async def until(what: Callable[[], bool]) -> None:
    while not what():
        await asyncio.sleep(0.02)


async def refusal(pool: Pool, want: Want) -> str:
    with pytest.raises(Refused) as caught:
        await pool.ask(want)
    return caught.value.kind


@pytest.mark.parametrize("runner", RUNNERS)
def test_answers_are_those_of_the_slide(svs: Path, runner: Callable[[Awaitable[None]], None]) -> None:
    wants = [tile(svs, column, row) for column in range(8) for row in range(6)]
    answers = Answers()
    meant = [answers.answer(want) for want in wants]
    answers.close()

    async def ask_all() -> None:
        pool = Pool(3)
        found = await asyncio.gather(*(pool.ask(want) for want in wants))
        pids = pool.pids
        await pool.close()
        assert gone(pids)
        for reply, wanted in zip(found, meant, strict=True):
            assert (reply.body, reply.type, reply.how) == (wanted.body, wanted.type, wanted.how)

    runner(ask_all())


def test_a_large_answer_arrives_whole(svs: Path) -> None:
    async def work(pool: Pool) -> None:
        about = tile(svs).subject
        want = Want("region", about, width=1000, height=700, out_width=2000, out_height=1400, format="png")
        reply = await pool.ask(want)
        assert len(reply.body) > 1 << 20
        assert reply.body.endswith(b"IEND\xaeB`\x82")

    run(work, size=1)


def test_refusals_arrive_as_such(svs: Path, tmp_path: Path) -> None:
    async def work(pool: Pool) -> None:
        assert await refusal(pool, tile(svs, 99)) == "range"
        assert await refusal(pool, Want("tile", Subject(str(tmp_path / "none"), ""))) == "gone"
        assert await refusal(pool, Want("tile", Subject(str(svs), "other"))) == "changed"
        assert not pool.counts

    run(work, size=1)


def test_a_slide_that_crashes_its_decoder_is_shut_out_and_nobody_else(
    slide: Callable[[str], Path], poison: None
) -> None:
    good, bad = slide("good"), slide("crash")

    async def work(pool: Pool) -> None:
        await until(lambda: pool.all_ready)
        known = pool.pids[1:]
        replies = await asyncio.gather(
            *(pool.ask(tile(path, index % 7)) for index in range(60) for path in (good, bad)), return_exceptions=True
        )
        assert all(isinstance(reply, Reply) for reply in replies[::2])
        assert {reply.kind for reply in replies[1::2] if isinstance(reply, Refused)} == {"crashed"}
        assert not any(isinstance(reply, Reply) for reply in replies[1::2])
        assert pool.counts["crashed"] == 2  # tried once more, in case somebody had killed its decoder
        assert await refusal(pool, tile(bad)) == "crashed"
        assert pool.counts["crashed"] == 2
        assert pool.pids[1:] == known

    run(work)


def test_a_decoder_that_is_killed_at_work_is_not_the_slides_fault(slide: Callable[[str], Path], poison: None) -> None:
    slow = slide("slow")

    async def work(pool: Pool) -> None:
        await pool.ask(tile(slow))
        asked = [asyncio.create_task(pool.ask(tile(slow, index))) for index in range(3)]
        await until(lambda: pool.busy > 0)
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        assert all(isinstance(reply, Reply) for reply in await asyncio.gather(*asked))
        assert pool.counts["crashed"]

    run(work, size=1)


def test_a_picture_of_all_of_a_slide_that_takes_too_long_leaves_its_tiles(
    slide: Callable[[str], Path], poison: None
) -> None:
    path = slide("wide")

    async def work(pool: Pool) -> None:
        await until(lambda: pool.all_ready)
        whole = Want("region", tile(path).subject, width=1000, height=700, out_width=100, out_height=70)
        assert (await pool.ask(tile(path))).how == "copied"
        asked = asyncio.create_task(refusal(pool, whole))
        await until(lambda: pool.busy > 0)
        assert await asked == "too long"
        assert await refusal(pool, whole) == "too long"
        assert (await pool.ask(tile(path, 2))).how == "copied"
        assert pool.counts["too long"] == 1

    run(work, size=1, limits=Limits(seconds=2))


def test_decoders_are_told_no_secrets(svs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANISH_SERVE", "a-token")
    monkeypatch.setenv("PLANISH_SERVE_TOKEN", "a-token")

    async def work(pool: Pool) -> None:
        await pool.ask(tile(svs))
        assert not any(b"a-token" in Path(f"/proc/{pid}/environ").read_bytes() for pid in pool.pids)

    run(work, size=1)


def test_a_slide_that_was_replaced_is_tried_again(slide: Callable[[str], Path], poison: None) -> None:
    bad = slide("crash")

    async def work(pool: Pool) -> None:
        assert await refusal(pool, tile(bad)) == "crashed"
        bad.touch()
        assert await refusal(pool, tile(bad)) == "crashed"
        assert pool.counts["crashed"] == 4

    run(work, size=1)


def test_a_slide_that_hangs_is_shut_out(slide: Callable[[str], Path], poison: None) -> None:
    bad = slide("hang")

    async def work(pool: Pool) -> None:
        await until(lambda: pool.all_ready)
        hanging = [asyncio.create_task(refusal(pool, tile(bad, index))) for index in range(5)]
        assert set(await asyncio.gather(*hanging)) == {"too long"}
        assert await refusal(pool, tile(bad)) == "too long"
        assert pool.counts["too long"] == 1
        await until(lambda: pool.all_ready)

    run(work, size=1, limits=Limits(seconds=2))


def test_slides_that_hang_when_first_opened_take_no_decoder_from_those_that_answered(
    slide: Callable[[str], Path], poison: None
) -> None:
    good, bad = slide("good"), [slide("hang 1"), slide("hang 2")]

    async def work(pool: Pool) -> None:
        assert len(pool.pids) == 2
        await pool.ask(tile(good))
        hanging = [asyncio.create_task(refusal(pool, tile(path, index))) for path in bad for index in range(3)]
        await until(lambda: pool.busy == 2)  # another one was started beside the first that is held up
        assert (await pool.ask(tile(slide("new")))).how == "copied"
        asked = [asyncio.create_task(pool.ask(tile(good, index % 7))) for index in range(20)]
        await until(lambda: pool.busy == 3)
        await asyncio.gather(*asked)
        assert not any(task.done() for task in hanging)
        assert len(pool.pids) == 4

    run(work, size=1, limits=Limits(seconds=60, patience=0.2))


def test_decoders_started_beside_one_that_is_held_up_go_again(slide: Callable[[str], Path], poison: None) -> None:
    async def work(pool: Pool) -> None:
        held_up = asyncio.create_task(pool.ask(tile(slide("slow"))))
        await until(lambda: len(pool.pids) == 3)
        await held_up
        await until(lambda: len(pool.pids) == 2)
        assert not pool.counts

    run(work, size=1, limits=Limits(patience=0.05))


def test_whoever_opens_a_slide_first_lets_all_others_go_before(svs: Path) -> None:
    async def work(pool: Pool) -> None:
        await until(lambda: pool.all_ready)
        own = os.getpriority(os.PRIO_PROCESS, 0)
        assert [os.getpriority(os.PRIO_PROCESS, pid) - own for pid in pool.pids] == [10, 0, 0]

    run(work)


def test_a_slide_that_did_harm_is_left_for_a_while_and_then_to_whoever_tries_slides(
    slide: Callable[[str], Path], poison: None
) -> None:
    bad = slide("later")

    async def work(pool: Pool) -> None:
        assert (await pool.ask(tile(bad, 0))).how == "copied"
        before = pool.pids[-1]
        assert await refusal(pool, tile(bad, 3)) == "crashed"
        known = pool.pids[-1]
        assert known != before
        assert await refusal(pool, tile(bad, 0)) == "crashed"
        await asyncio.sleep(0.6)
        assert (await pool.ask(tile(bad, 0))).how == "copied"
        assert await refusal(pool, tile(bad, 3)) == "crashed"
        assert pool.pids[-1] == known
        assert pool.counts["crashed"] == 4

    run(work, size=1, limits=Limits(quarantine=0.5))


def test_memory_that_a_slide_may_not_take_is_refused_to_it_alone(slide: Callable[[str], Path], poison: None) -> None:
    async def work(pool: Pool) -> None:
        first, bad = pool.pids, tile(slide("memory"))
        assert [await refusal(pool, bad) for _ in range(3)] == ["too large"] * 3
        assert pool.counts["too large"] == 1
        assert (await pool.ask(tile(slide("good")))).how == "copied"
        assert not pool.counts["crashed"]
        assert pool.pids != first

    run(work, size=1, limits=Limits(memory=600 << 20))


def test_what_libraries_print_reaches_no_answer(slide: Callable[[str], Path], poison: None) -> None:
    async def work(pool: Pool) -> None:
        assert (await pool.ask(tile(slide("chatter")))).body[:2] == b"\xff\xd8"

    run(work, size=1)


@pytest.mark.parametrize("name", ["nonsense", "script"])
def test_a_decoder_that_talks_nonsense_is_ended(slide: Callable[[str], Path], poison: None, name: str) -> None:
    async def work(pool: Pool) -> None:
        assert await refusal(pool, tile(slide(name))) == "crashed"
        assert (await pool.ask(tile(slide("good")))).how == "copied"

    run(work, size=1)


def test_unexpected_errors_are_told_by_their_name_only(slide: Callable[[str], Path], poison: None) -> None:
    async def work(pool: Pool) -> None:
        with pytest.raises(Refused, match="ZeroDivisionError") as caught:
            await pool.ask(tile(slide("odd one")))
        assert caught.value.kind == "unreadable"
        assert "odd one" not in caught.value.detail

    run(work, size=1)


def test_too_many_wants_are_refused_at_once(slide: Callable[[str], Path], poison: None) -> None:
    async def work(pool: Pool) -> None:
        slow, good = slide("slow"), slide("good")
        asked = [asyncio.create_task(pool.ask(tile(slow))) for _ in range(12)]
        await asyncio.sleep(0)
        assert await refusal(pool, tile(slow)) == "busy"
        assert (await pool.ask(tile(good))).how == "copied"
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert {type(each) for each in found} == {Reply, Refused}

    run(work, limits=Limits(waiting=16))


def test_wants_that_nobody_waits_for_are_forgotten(slide: Callable[[str], Path], poison: None) -> None:
    async def work(pool: Pool) -> None:
        slow = tile(slide("slow"))
        asked = [asyncio.create_task(pool.ask(slow)) for _ in range(20)]
        await asyncio.sleep(0.01)
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
        assert pool.waiting == 0
        assert (await pool.ask(slow)).how == "copied"

    run(work, size=1)


def test_a_decoder_that_has_grown_is_replaced_without_anyone_noticing(
    slide: Callable[[str], Path], poison: None
) -> None:
    async def work(pool: Pool) -> None:
        leak = tile(slide("leak"))
        await pool.ask(leak)
        first = pool.pids[-1:]  # those that try slides never see it again
        deadline = time.monotonic() + 30
        while set(first) & set(pool.pids) and time.monotonic() < deadline:
            assert (await pool.ask(leak)).how == "copied"
            await asyncio.sleep(0.05)
        assert pool.counts["replaced"] >= 1
        assert not set(first) & set(pool.pids)
        assert not pool.counts["crashed"]

    run(work, size=1, limits=Limits(resident=700 << 20))


def test_an_idle_decoder_that_is_killed_is_nobodys_fault(svs: Path) -> None:
    async def work(pool: Pool) -> None:
        await pool.ask(tile(svs))
        for pid in pool.pids:
            os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.5)  # else the next want might be sent to one that is dying
        assert (await pool.ask(tile(svs))).how == "copied"
        assert not pool.counts

    run(work, size=1)


def test_decoders_that_do_not_start_are_not_started_in_a_flood(
    svs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "starts"
    monkeypatch.setattr(process, "COMMAND", ("/bin/sh", "-c", f"echo >> {log}"))

    async def work(pool: Pool) -> None:
        assert await refusal(pool, tile(svs)) == "busy"
        assert log.stat().st_size < 10

    run(work, size=1, limits=Limits(seconds=1.5))


def test_closing_refuses_those_who_wait(slide: Callable[[str], Path], poison: None) -> None:
    async def ask_and_close() -> None:
        pool = Pool(1)
        asked = [asyncio.create_task(refusal(pool, tile(slide("hang")))) for _ in range(3)]
        await asyncio.sleep(0.1)
        await pool.close()
        assert await asyncio.gather(*asked) == ["busy"] * 3
        assert await refusal(pool, tile(slide("good"))) == "busy"

    asyncio.run(ask_and_close())


def test_nothing_runs_on_when_the_parent_is_killed(svs: Path) -> None:
    code = (
        "import asyncio, json, sys, time\n"
        "from planish.serve.pool import Pool\nfrom planish.serve.wanted import Subject, Want\n"
        "async def main():\n"
        "    pool = Pool(2)\n"
        "    await pool.ask(Want('tile', Subject(*sys.argv[1:]), level=10))\n"
        "    print(json.dumps(pool.pids), flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    command = [sys.executable, "-c", code, str(svs), signature(str(svs))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        pids = json.loads(parent.stdout.readline())
        assert not gone(pids)
        parent.kill()
    wait_for(lambda: gone(pids), 5)


def test_messages_come_out_however_they_are_cut() -> None:
    sent = [(b"{}", b""), (b'{"a": 1}', bytes(1000)), (b"", b"x")]
    data = b"".join(packed(*message) for message in sent)
    for size in (1, 3, 8, 100, len(data)):
        inbox, found = Inbox(), []
        for start in range(0, len(data), size):
            found += inbox.feed(data[start : start + size])
        assert found == sent
    with pytest.raises(BrokenMessage):
        Inbox().feed(b"\xff" * 8)
    with pytest.raises(BrokenMessage):
        Inbox().feed((2).to_bytes(4, "little") + (MOST_BODY + 1).to_bytes(4, "little"))


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    made = asyncio.new_event_loop()
    yield made
    made.close()


def test_the_slide_that_waited_longest_is_next_and_open_ones_a_bit_earlier(loop: asyncio.AbstractEventLoop) -> None:
    jobs = Jobs(100)

    def add(path: str, since: float) -> None:
        jobs.add(Job(Want("tile", Subject(path, "")), loop.create_future(), since))

    for path, since in (("a", 1.0), ("a", 1.5), ("b", 1.02), ("c", 1.2)):
        add(path, since)

    def next_path(*, open_path: str = "", shut: str = "") -> str | None:
        job = jobs.pop(lambda path: path != shut, lambda path: path == open_path)
        return job.path if job else None

    assert next_path(open_path="b") == "b"
    assert next_path(open_path="c") == "a"
    assert next_path(shut="a") == "c"
    assert next_path(shut="a") is None
    assert next_path() == "a"
    assert len(jobs) == 0
