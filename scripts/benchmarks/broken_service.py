"""Deliberately broken copies of the tile service: what a validator is worth. Run by `bench_contract.py`.

At level 2 the IIIF validator does not see ignored mirroring (it is optional), a bitonal picture that is grey, a base
address that leads nowhere, and a square region that is the full one, its own image being square; what is asked of
decoders then is in tests/test_serve_broken.py.
"""

from __future__ import annotations

import json
import re
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from planish.serve.app import create_app
from planish.serve.settings import ServeOptions

Headers = list[tuple[bytes, bytes]]
IMAGE = re.compile(r"(/iiif/[^/]+)/([^/]+)/([^/]+)/([^/]+)/([^/]+)\.([a-z]+)")


def _address(**changes: Callable[[str], str]) -> Callable[[Scope], Scope]:
    """Return what asks for another picture than was asked for."""

    def change(scope: Scope) -> Scope:
        found = IMAGE.fullmatch(scope["path"])
        if not found:
            return scope
        names = ("image", "region", "size", "rotation", "quality", "format")
        pieces = [changes.get(name, str)(piece) for name, piece in zip(names, found.groups(), strict=True)]
        return {**scope, "path": "/".join(pieces[:-1]) + f".{pieces[-1]}"}

    return change


def _swapped(region: str) -> str:
    x, comma, rest = region.removeprefix("pct:").partition(",")
    y, other, size = rest.partition(",")
    return f"{'pct:' * region.startswith('pct:')}{y}{comma}{x}{other}{size}" if other else region


def _smaller(size: str) -> str:
    return re.sub(r"\d+", lambda found: str(max(1, int(found[0]) - 1)), size, count=1)


def _without(name: bytes) -> Callable[[Headers], Headers]:
    return lambda headers: [each for each in headers if each[0] != name]


def _info(change: Callable[[dict[str, object]], object]) -> Callable[[bytes], bytes]:
    """Return what describes an image wrongly."""

    def changed(body: bytes) -> bytes:
        if not body.startswith(b'{"@context"'):
            return body
        told = json.loads(body)
        change(told)
        return json.dumps(told).encode()

    return changed


ADDRESSES: dict[str, Callable[[Scope], Scope]] = {
    "x and y of the region swapped": _address(region=_swapped),
    "region ignored": _address(region=lambda _: "full"),
    "size wrong by a pixel": _address(size=_smaller),
    "size ignored": _address(size=lambda _: "max"),
    "enlarged without ^": _address(size=lambda text: f"^{text.removeprefix('^')}"),
    "rotation ignored": _address(rotation=lambda text: "!0" if text.startswith("!") else "0"),
    "turned the other way": _address(rotation=lambda text: {"90": "270", "270": "90"}.get(text, text)),
    "PNG is sent as JPEG": _address(format=lambda text: "jpg" if text == "png" else text),
    "any rotation is taken": _address(rotation=lambda text: text if text.lstrip("!").isdigit() else "0"),
}
HEADERS: dict[str, Callable[[Headers], Headers]] = {
    "no CORS header": _without(b"access-control-allow-origin"),
    "no JSON-LD": lambda headers: [
        (name, b"application/json" if value.startswith(b"application/ld") else value) for name, value in headers
    ],
}
BODIES: dict[str, Callable[[bytes], bytes]] = {
    "no profile": _info(lambda told: told.pop("profile")),
    "another id": _info(lambda told: told.update(id=f"{told['id']}x")),
    "another version's context": _info(
        lambda told: told.update({"@context": "http://iiif.io/api/image/2/context.json"})
    ),
    "no width": _info(lambda told: told.pop("width")),
}
STATUSES: dict[str, Callable[[int], int]] = {
    "errors are 200": lambda status: 200 if status >= 400 else status,
    "errors are 500": lambda status: 500 if status >= 400 else status,
}
FAULTS = (*ADDRESSES, *HEADERS, *BODIES, *STATUSES)


def broken(app: ASGIApp, fault: str) -> ASGIApp:
    """Return the service with a fault."""
    address, headers = ADDRESSES.get(fault, lambda scope: scope), HEADERS.get(fault, list)
    body, status = BODIES.get(fault, bytes), STATUSES.get(fault, int)

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        started: Message = {}

        async def changed(message: Message) -> None:
            # Held until the body is known, whose length stands in the headers.
            if message["type"] == "http.response.start":
                started.update(message, status=status(message["status"]), headers=headers(message["headers"]))
                return
            if started:
                sent = body(message.get("body", b""))
                length = (b"content-length", str(len(sent)).encode())
                await send({**started, "headers": [*_without(b"content-length")(started["headers"]), length]})
                started.clear()
                message = {**message, "body": sent}
            await send(message)

        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        await app(address(scope), receive, changed)

    return answer


def main() -> None:
    """Serve a folder with a fault."""
    fault, folder, cache = sys.argv[1:]
    listening = socket.create_server(("127.0.0.1", 0))
    print(f"http://127.0.0.1:{listening.getsockname()[1]}/", flush=True)
    app = create_app(ServeOptions(Path(folder), cors=("*",), cache=Path(cache)))
    uvicorn.Server(uvicorn.Config(broken(app, fault), log_config=None)).run(sockets=[listening])


if __name__ == "__main__":
    main()
