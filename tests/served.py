"""A tile service for tests: asked without a network, with decoders that only say what they were asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from starlette.types import Message

from planish.serve.app import Front, create_app
from planish.serve.beststate import BestState
from planish.serve.registry import slide_id
from planish.serve.settings import ServeOptions
from planish.serve.wanted import Refused, Reply, Want

HOST = "slides.test"
WIDTH, HEIGHT, TILE = 1000, 700, 256
Z_UM = (0.0, 1.0, 2.5)


@dataclass
class Told:
    """An answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read."""
        return json.loads(self.body)


@dataclass
class Echo:
    """Decoders whose pictures are the wants themselves."""

    ready: bool = True
    asked: list[Want] = field(default_factory=list)
    refusals: list[Refused] = field(default_factory=list)
    """Raised first, one by one."""

    async def ask(self, want: Want) -> Reply:
        """Return the want as a picture."""
        self.asked.append(want)
        await asyncio.sleep(0)
        if self.refusals:
            raise self.refusals.pop(0)
        if want.kind == "facts":
            return Reply(json.dumps(facts()).encode(), "application/json")
        picture = "image/png" if want.format == "png" else "image/jpeg"
        kind = "application/json" if want.kind == "cells" else picture
        return Reply(want.to_json(), kind, "copied", 1.5)


class Served:
    """A service over a folder, which is asked as a browser asks."""

    def __init__(self, folder: Path, **options: Any) -> None:
        self.echo = Echo()
        self.app = create_app(
            ServeOptions(folder, cache=folder.parent / "cache", **{"hosts": (HOST,)} | options), self.echo
        )
        assert isinstance(self.app, Front)
        self.service = self.app.service
        self.service.registry.search()

    def ask(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Told:
        """Return the answer to a request."""
        place, _, query = path.partition("?")
        given = {"host": HOST} | dict(headers or {})
        scope = {
            "type": "http", "method": method, "scheme": "http", "path": unquote(place), "raw_path": place.encode(),
            "query_string": query.encode(),
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
            "server": (HOST, 80), "http_version": "1.1", "root_path": "",
        }  # fmt: skip
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            await asyncio.sleep(3600)  # as browsers do while they wait
            return {"type": "http.disconnect"}

        async def run() -> None:
            await self.app(scope, receive, send)

        asyncio.run(run())
        answer = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Told(sent[0]["status"], answer, b"".join(part.get("body", b"") for part in sent[1:]))

    def pictured(self, path: str) -> dict[str, Any]:
        """Return the want of which a picture was made."""
        told = self.ask(path)
        assert told.status == 200, told.body
        want: dict[str, Any] = told.json
        return want

    def ready(self, map_path: str = "/maps/best.json") -> None:
        """Let the best of all slides be there."""
        state = BestState("ready", map=map_path)
        self.service.best.begin = lambda *_: state  # type: ignore[method-assign]
        self.service.best.state = lambda *_: state  # type: ignore[method-assign]


def slides(folder: Path, *names: str) -> list[str]:
    """Make files that look like slides, and return their ids."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"II*\0" + name.encode())
    return [slide_id(Path(name)) for name in names]


def facts() -> dict[str, Any]:
    """Return what decoders tell of every slide."""
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "planes": [{"index": index, "z_um": z} for index, z in enumerate(Z_UM)],
        "associated": ["label", "macro", "thumbnail"],
        "dzi": {"tile": TILE, "levels": 11, "width": WIDTH, "height": HEIGHT},
        "xyz": {"least": 0, "most": 2},
    }
