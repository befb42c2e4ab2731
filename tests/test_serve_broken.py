"""An examiner of the IIIF Image API, and what it is worth: each broken copy of the service is found out."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from served import HEIGHT, WIDTH, Served, slides

PICTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "region": ("10,20,300,200/max/0/default.jpg", {"x": 10, "y": 20, "width": 300, "height": 200}),
    "square": ("square/max/0/default.jpg", {"x": 150, "y": 0, "width": HEIGHT, "height": HEIGHT}),
    "size": ("full/150,/0/default.jpg", {"out_width": 150, "out_height": 105}),
    "larger": ("full/^2000,/0/default.jpg", {"out_width": 2 * WIDTH, "out_height": 2 * HEIGHT}),
    "rotation": ("full/max/90/default.jpg", {"rotation": 90, "mirror": False}),
    "mirroring": ("full/max/!0/default.jpg", {"rotation": 0, "mirror": True}),
    "quality": ("full/max/0/bitonal.jpg", {"quality": "bitonal"}),
    "format": ("full/max/0/default.png", {"format": "png"}),
}
SAID = {"id", "type", "protocol", "profile", "width", "height", "@context"}


def faults(service: Served, id_: str) -> set[str]:
    """Return what is wrong, by the Image API."""
    found, base = set(), f"/iiif/{id_}@0"
    for name, (address, meant) in PICTURES.items():
        answer = service.ask(f"{base}/{address}", {"origin": "https://a.example"})
        kind = "image/png" if address.endswith("png") else "image/jpeg"
        if answer.headers["content-type"] != kind or not meant.items() <= answer.json.items():
            found.add(name)
        if answer.headers.get("access-control-allow-origin") != "*":
            found.add("origin")
        if "level2.json" not in answer.headers.get("link", ""):
            found.add("level")
    info = service.ask(f"{base}/info.json")
    if SAID - info.json.keys() or info.json["id"] != f"http://slides.test{base}":
        found.add("description")
    if not service.ask(base).headers.get("location", "").endswith("/info.json"):
        found.add("base")
    if [service.ask(f"{base}/{wrong}/0/default.jpg").status for wrong in ("5000,0,1,1/max", "full/5000,")] != [400] * 2:
        found.add("errors")
    return found


Change = Callable[[Message], None]


def broken(app: ASGIApp, old: str = "", new: str = "", change: Change = lambda message: None) -> ASGIApp:
    """Return a service that is asked for something else, or whose answers are changed."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            change(message)
            await send(message)

        await app({**scope, "path": scope["path"].replace(old, new)}, receive, changed)

    return answer


def without(name: bytes) -> Change:
    def change(message: Message) -> None:
        if "headers" in message:
            message["headers"] = [each for each in message["headers"] if each[0] != name]

    return change


def say_less(message: Message) -> None:
    if message.get("body", b"").startswith(b'{"@context"'):
        message["body"] = json.dumps(json.loads(message["body"]) | {"id": "http://elsewhere"}).encode()


def approve(message: Message) -> None:
    if message.get("status", 0) == 400:
        message["status"] = 200


BROKEN: dict[str, Any] = {
    **{"region": {"old": "10,20,", "new": "20,10,"}, "square": {"old": "/square/", "new": "/full/"}},
    **{"size": {"old": "/150,", "new": "/151,"}, "larger": {"old": "/^2000,", "new": "/1000,"}},
    **{"rotation": {"old": "/90/", "new": "/270/"}, "mirroring": {"old": "/!", "new": "/"}},
    **{"quality": {"old": "bitonal", "new": "gray"}, "format": {"old": ".png", "new": ".jpg"}},
    **{"origin": {"change": without(b"access-control-allow-origin")}, "level": {"change": without(b"link")}},
    **{"base": {"change": without(b"location")}, "description": {"change": say_less}, "errors": {"change": approve}},
}


@pytest.fixture
def id_(tmp_path: Path) -> str:
    return slides(tmp_path / "in", "a.svs")[0]


@pytest.fixture
def service(tmp_path: Path, id_: str) -> Served:
    return Served(tmp_path / "in", cors=("*",))


def test_nothing_is_wrong_with_the_service(service: Served, id_: str) -> None:
    assert faults(service, id_) == set()


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_copy_is_found_out(service: Served, id_: str, fault: str) -> None:
    service.app = broken(service.app, **BROKEN[fault])
    assert faults(service, id_) == {fault}
