"""Who may ask: token and cookie, pages of other origins, and what every answer says to browsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from planish.errors import OptionError
from planish.serve.settings import ServeOptions
from served import Served, slides

TOKEN = "correct-horse"
BEARER = {"authorization": f"Bearer {TOKEN}"}


@pytest.fixture
def id_(tmp_path: Path) -> str:
    return slides(tmp_path / "in", "a.svs")[0]


@pytest.fixture
def locked(tmp_path: Path, id_: str) -> Served:
    return Served(tmp_path / "in", token=TOKEN)


def tile(id_: str) -> str:
    return f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg"


def test_nothing_of_a_slide_is_told_without_the_token(locked: Served, id_: str) -> None:
    paths = ("/api/slides", f"/api/slides/{id_}", tile(id_), f"/iiif/{id_}@0/info.json", "/metrics", "/readyz",
             "/openapi.json", "/nothing")  # fmt: skip
    for path in paths:
        told = locked.ask(path)
        assert (told.status, told.json["status"]) == (401, 401), path
        assert told.headers["www-authenticate"].startswith("Bearer")
    assert not locked.echo.asked


@pytest.mark.parametrize(
    "value", ["", "Bearer", "Bearer ", "Bearer wrong", f"Bearer {TOKEN}x", f"Basic {TOKEN}", TOKEN, "Bearer caf\xe9"]
)
def test_wrong_tokens_are_refused(locked: Served, id_: str, value: str) -> None:
    assert locked.ask(tile(id_), {"authorization": value}).status == 401


def test_the_token_lets_in(locked: Served, id_: str) -> None:
    assert locked.ask(tile(id_), BEARER).status == 200
    assert locked.ask(tile(id_), {"authorization": f"bearer {TOKEN}"}).status == 200


def test_a_tile_in_memory_needs_the_token_too(locked: Served, id_: str) -> None:
    tag = locked.ask(tile(id_), BEARER).headers["etag"]
    assert locked.ask(tile(id_)).status == 401
    assert locked.ask(tile(id_), {"if-none-match": tag}).status == 401


def test_a_token_in_the_address_becomes_a_cookie(locked: Served, id_: str) -> None:
    told = locked.ask(f"/api/slides/{id_}/thumbnail?size=90&token={TOKEN}")
    assert (told.status, told.headers["location"]) == (303, f"/api/slides/{id_}/thumbnail?size=90")
    cookie, *terms = told.headers["set-cookie"].split("; ")
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= set(terms)
    assert TOKEN not in cookie
    assert locked.ask(tile(id_), {"cookie": f"other=1; {cookie}"}).status == 200
    assert locked.ask(tile(id_), {"cookie": f"{cookie}0"}).status == 401
    assert locked.ask(tile(id_), {"cookie": f"planish={TOKEN}"}).status == 401


@pytest.mark.parametrize("query", ["token=wrong", "token=", f"token={TOKEN}&token=x", "token"])
def test_a_wrong_token_in_the_address_is_refused(locked: Served, query: str) -> None:
    assert locked.ask(f"/api/slides?{query}").status == 401
    assert locked.ask(f"/api/slides?token={TOKEN}", method="POST").status == 401


def test_the_redirect_stays_on_this_service(locked: Served) -> None:
    for path in ("//evil.example/x", "/\\evil.example", "///evil.example"):
        place = locked.ask(f"{path}?token={TOKEN}").headers["location"]
        assert place.startswith("/")
        assert place[1] not in "/\\"


def test_the_viewer_asks_for_the_token_itself(locked: Served) -> None:
    assert locked.ask("/").status == locked.ask("/viewer/viewer.js").status == locked.ask("/healthz").status == 200
    assert locked.ask(f"/?token={TOKEN}").headers["location"] == "/"
    assert locked.ask("/?token=wrong").status == 401


def test_tokens_that_cannot_travel_are_refused() -> None:
    for token in ("two words", "naïve", "line\n"):
        with pytest.raises(OptionError, match="printable ASCII"):
            ServeOptions(Path(), token=token)
    assert "secret" not in repr(ServeOptions(Path(), token="secret"))


def test_other_origins_read_nothing_unless_allowed(tmp_path: Path, id_: str) -> None:
    closed = Served(tmp_path / "in").ask(tile(id_), {"origin": "https://a.example"})
    assert not [name for name in closed.headers if name.startswith("access-control")]
    assert closed.headers["cross-origin-resource-policy"] == "same-origin"
    some = Served(tmp_path / "in", cors=("https://a.example", "https://b.example"))
    told = some.ask(tile(id_), {"origin": "https://b.example"})
    assert (told.headers["access-control-allow-origin"], told.headers["vary"]) == ("https://b.example", "Origin")
    assert "access-control-allow-origin" not in some.ask(tile(id_), {"origin": "https://c.example"}).headers
    anybody = Served(tmp_path / "in", cors=("*",))
    assert anybody.ask("/nothing").headers["access-control-allow-origin"] == "*"


def test_browsers_may_ask_whether_they_may(tmp_path: Path, id_: str) -> None:
    service = Served(tmp_path / "in", cors=("https://a.example",), token=TOKEN)
    told = service.ask(tile(id_), {"origin": "https://a.example"}, "OPTIONS")
    assert (told.status, told.headers["access-control-allow-origin"]) == (204, "https://a.example")
    assert "Authorization" in told.headers["access-control-allow-headers"]
    assert (
        "access-control-allow-origin" not in service.ask(tile(id_), {"origin": "https://x.example"}, "OPTIONS").headers
    )


def test_pages_of_other_origins_begin_nothing(tmp_path: Path, id_: str) -> None:
    service = Served(tmp_path / "in", cors=("*",), allow_jobs=tmp_path / "out")
    for origin in ("https://evil.example", "null", "http://slides.test.evil.example"):
        assert service.ask(f"/api/slides/{id_}/flatten", {"origin": origin}, "POST").status == 403
    assert service.ask(f"/api/slides/{id_}/flatten", {"origin": "http://slides.test"}, "POST").status == 202
    known = Served(tmp_path / "in", cors=("*",), token=TOKEN, allow_jobs=tmp_path / "out")
    assert known.ask(f"/api/slides/{id_}/flatten", BEARER | {"origin": "https://a.example"}, "POST").status == 202


def test_every_answer_says_what_browsers_may_do(locked: Served, id_: str) -> None:
    for told in (locked.ask("/"), locked.ask(tile(id_)), locked.ask(tile(id_), BEARER), locked.ask("/nothing", BEARER)):
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["referrer-policy"] == "no-referrer"
        assert "server" not in told.headers


def test_options_travel_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ServeOptions(tmp_path, token="t", cors=("https://a.example",), show_label=True, allow_jobs=tmp_path / "o")
    environment: dict[str, str] = {}
    options.to_environment(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ServeOptions.from_environment() == options
    monkeypatch.delenv("PLANISH_SERVE")
    with pytest.raises(OptionError, match="PLANISH_SERVE_FOLDER"):
        ServeOptions.from_environment()
    for name, value in {"FOLDER": str(tmp_path), "CORS": "a b", "TILE_CACHE": "5", "SHOW_LABEL": "0"}.items():
        monkeypatch.setenv(f"PLANISH_SERVE_{name}", value)
    assert ServeOptions.from_environment() == ServeOptions(tmp_path, cors=("a", "b"), tile_cache=5)
