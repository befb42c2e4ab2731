"""Clients that leave, that only hold the line, or that are many: what is done for them ends, and others are served."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message, Scope
from uvicorn import Config
from uvicorn.server import ServerState

from planish.serve.beststate import BestState
from planish.serve.changes import Condition, Followed, changes
from planish.serve.patience import Patient
from planish.serve.pictures import Asked, Pictures, Terms
from planish.serve.wanted import Reply, Want
from served import HOST, Served, slides


@pytest.fixture
def id_(tmp_path: Path) -> str:
    return slides(tmp_path / "in", "a.svs")[0]


@pytest.fixture
def service(tmp_path: Path, id_: str) -> Served:
    return Served(tmp_path / "in")


class Slow:
    """Decoders that answer when they are told to, and note who gave up."""

    ready = True

    def __init__(self, service: Served) -> None:
        self.asked, self.dropped, self.go = 0, 0, asyncio.Event()
        self._echo, service.service.decoders = service.echo, self

    async def ask(self, want: Want) -> Reply:
        """Answer, when it is time."""
        if want.kind == "facts":
            return await self._echo.ask(want)
        self.asked += 1
        try:
            await self.go.wait()
        except asyncio.CancelledError:
            self.dropped += 1
            raise
        return await self._echo.ask(want)


def asking(path: str) -> Scope:
    place, _, query = path.partition("?")
    return {
        "type": "http", "method": "GET", "scheme": "http", "path": place, "raw_path": place.encode(), "root_path": "",
        "query_string": query.encode(), "headers": [(b"host", HOST.encode())], "server": (HOST, 80),
        "http_version": "1.1",
    }  # fmt: skip


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not true():
            await asyncio.sleep(0.001)


async def ask(service: Served, path: str, leaves: asyncio.Event) -> list[Message]:
    """Ask, and leave when told to; return what was sent."""
    sent: list[Message] = []
    first = iter([{"type": "http.request", "body": b"", "more_body": False}])

    async def receive() -> Message:
        if message := next(first, None):
            return message
        await leaves.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    await service.app(asking(path), receive, send)
    return sent


@pytest.mark.parametrize(
    "path", ["/api/slides/{}/dzi/0_files/10/0_0.jpeg", "/api/slides/{}/thumbnail", "/api/slides/{}/region?width=9",
             "/api/slides/{}/associated/thumbnail", "/iiif/{}@0/full/max/0/default.jpg"],
)  # fmt: skip
def test_what_nobody_waits_for_any_more_is_dropped(service: Served, id_: str, path: str) -> None:
    async def run() -> None:
        slow, leaves = Slow(service), asyncio.Event()
        asked = asyncio.ensure_future(ask(service, path.format(id_), leaves))
        await until(lambda: slow.asked == 1)
        leaves.set()
        await asked
        await until(lambda: slow.dropped == 1)

    asyncio.run(run())


def test_who_leaves_takes_nothing_from_others(service: Served, id_: str) -> None:
    async def run() -> list[Message]:
        slow, leaves = Slow(service), asyncio.Event()
        path = f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg"
        leaving = asyncio.ensure_future(ask(service, path, leaves))
        staying = asyncio.ensure_future(ask(service, path, asyncio.Event()))
        await until(lambda: slow.asked == 1)
        await asyncio.sleep(0.01)
        leaves.set()
        await leaving
        slow.go.set()
        sent = await staying
        assert (slow.asked, slow.dropped) == (1, 0)
        return sent

    assert asyncio.run(run())[0]["status"] == 200


def test_a_picture_that_was_dropped_is_made_for_the_next(service: Served, id_: str) -> None:
    async def run() -> None:
        slow, pictures = Slow(service), Pictures(service.service)
        asked = Asked(id_, "0", "same", {"kind": "tile"})
        first = asyncio.ensure_future(pictures.picture(asked, Terms()))
        await until(lambda: slow.asked == 1)
        first.cancel()
        second = asyncio.ensure_future(pictures.picture(asked, Terms()))
        await until(lambda: slow.asked == 2)
        slow.go.set()
        assert (await second).status == 200

    asyncio.run(run())


class Work:
    """Work that is looked at."""

    def __init__(self) -> None:
        self.looks, self.begun, self.state = 0, 0, BestState("working", done=0, total=3)

    def look(self) -> BestState:
        """Return how far it is."""
        self.looks += 1
        return self.state

    def begin(self) -> AsyncIterator[Condition]:
        """Begin to look."""
        self.begun += 1
        return changes(self.look)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.serve.changes.WAIT_S", 0.005)


async def all_of(states: AsyncIterator[Condition], seen: list[Any]) -> list[Any]:
    async for state in states:
        seen.append(state)
    return seen


def test_all_who_follow_the_same_work_share_one_look(quick: None) -> None:
    async def run() -> None:
        followed, work = Followed(), Work()
        seen: list[list[Any]] = [[] for _ in range(50)]
        following = [asyncio.ensure_future(all_of(followed.follow("a", work.begin), each)) for each in seen]
        await until(lambda: all(seen))
        work.state = BestState("ready")
        await asyncio.gather(*following)
        assert all([each.state for each in states] == ["working", "ready"] for states in seen)
        assert work.begun == 1
        assert [each async for each in followed.follow("a", work.begin)] == [BestState("ready")], "looked at anew"

    asyncio.run(run())


def test_nobody_looks_where_all_have_left(quick: None) -> None:
    async def run() -> None:
        followed, work = Followed(), Work()
        seen: list[list[Any]] = [[], []]
        following = [asyncio.ensure_future(all_of(followed.follow("a", work.begin), each)) for each in seen]
        await until(lambda: all(seen))
        following[0].cancel()
        looks = work.looks
        await until(lambda: work.looks > looks + 1)
        following[1].cancel()
        await asyncio.wait(following)
        await asyncio.sleep(0.02)
        looks = work.looks
        await asyncio.sleep(0.05)
        assert work.looks == looks

    asyncio.run(run())


def test_work_that_cannot_be_looked_at_is_told_to_all(quick: None) -> None:
    async def lost() -> AsyncIterator[Condition]:
        yield BestState("working")
        raise OSError("the disk is gone")

    async def run() -> None:
        followed = Followed()
        told = await asyncio.gather(*(all_of(followed.follow("a", lost), []) for _ in range(3)), return_exceptions=True)
        assert [type(each) for each in told] == [OSError] * 3

    asyncio.run(run())


def test_more_streams_than_may_be_are_told_to_ask_instead(
    service: Served, id_: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.serve.changes.MOST_FOLLOWERS", 2)
    service.service.best.state = lambda *_: BestState("working")  # type: ignore[method-assign]

    async def run() -> None:
        leaves, path = asyncio.Event(), f"/api/slides/{id_}/best/events"
        streams = [asyncio.ensure_future(ask(service, path, leaves)) for _ in range(2)]
        await asyncio.sleep(0.1)
        (start, _) = await ask(service, path, asyncio.Event())
        headers = dict(start["headers"])
        assert (start["status"], b"retry-after" in headers) == (503, True)
        leaves.set()
        for sent in await asyncio.gather(*streams):
            assert sent[0]["status"] == 200
        again = asyncio.ensure_future(ask(service, path, leaves))
        assert (await again)[0]["status"] == 200, "who left makes room"

    asyncio.run(run())


def test_a_stream_ends_quietly_with_the_service(
    service: Served, id_: str, quick: None, caplog: pytest.LogCaptureFixture
) -> None:
    service.service.best.state = lambda *_: BestState("working")  # type: ignore[method-assign]

    async def run() -> None:
        stream = asyncio.ensure_future(ask(service, f"/api/slides/{id_}/best/events", asyncio.Event()))
        await asyncio.sleep(0.1)
        stream.cancel()
        assert (await stream)[-1] == {"type": "http.response.body", "body": b""}

    asyncio.run(run())
    assert not caplog.records


LARGE = 32 << 20


async def answer(scope: Scope, receive: object, send: Callable[[Message], Awaitable[None]]) -> None:
    if scope["path"] == "/slow":
        await asyncio.sleep(0.4)
    body = bytes(LARGE) if scope["path"] == "/large" else b"ok"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@contextlib.asynccontextmanager
async def patient() -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a connection to a server."""
    config, state = Config(answer, log_config=None, ws="none"), ServerState()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Patient(config, state, {}), "127.0.0.1", 0)
    async with server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        try:
            yield reader, writer
        finally:
            writer.close()
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: x\r\nX-a: ", b"POST / HTTP/1.1\r\nHost: x\r\n"])
def test_a_request_that_does_not_come_whole_ends_its_connection(begun: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.serve.patience.REQUEST_S", 0.1)

    async def run() -> None:
        async with patient() as (reader, writer), asyncio.timeout(20):
            writer.write(begun)
            trickling = asyncio.ensure_future(trickle(writer if begun else None))
            with contextlib.suppress(ConnectionResetError):  # of what came after the end
                assert await reader.read() == b""
            trickling.cancel()

    asyncio.run(run())


async def trickle(writer: asyncio.StreamWriter | None) -> None:
    while writer:
        await asyncio.sleep(0.01)
        writer.write(b"a")


def test_answers_may_take_their_time_and_the_line_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.serve.patience.REQUEST_S", 0.1)

    async def run() -> None:
        async with patient() as (reader, writer), asyncio.timeout(20):
            for path in (b"/slow", b"/", b"/slow"):
                writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path)
                head = await reader.readuntil(b"\r\n\r\n")
                assert head.startswith(b"HTTP/1.1 200")
                assert await reader.readexactly(2) == b"ok"
            writer.write(b"GET / HTTP/1.1\r\n")
            assert await reader.read() == b""

    asyncio.run(run())


@pytest.mark.parametrize("reads", [True, False])
def test_an_answer_that_nobody_reads_ends_its_connection(reads: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planish.serve.patience.UNREAD_S", 0.2)

    async def run() -> int:
        async with patient() as (reader, writer), asyncio.timeout(20):
            writer.write(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            if not reads:
                await asyncio.sleep(0.8)
            got = 0
            with contextlib.suppress(ConnectionResetError):
                while part := await reader.read(1 << 20):
                    got += len(part)
            return got

    assert (asyncio.run(run()) > LARGE) == reads
