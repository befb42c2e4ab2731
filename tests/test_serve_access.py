"""Who may ask: token and cookie, pages of other origins, and what every answer says to browsers."""

from __future__ import annotations

from pathlib import Path

import pytest

from planish.errors import OptionError
from planish.serve.beststate import BestState
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
    assert locked.ask(tile(id_), {"cookie": f"{cookie.partition('=')[0]}={TOKEN}"}).status == 401


def cookie_of(service: Served, token: str) -> str:
    return service.ask(f"/?token={token}").headers["set-cookie"].partition(";")[0]


def test_services_on_two_ports_of_a_host_have_cookies_of_their_own(tmp_path: Path, id_: str) -> None:
    one, other = (Served(tmp_path / "in", token=token) for token in ("one", "two"))
    first, second = cookie_of(one, "one"), cookie_of(other, "two")
    assert first.partition("=")[0] != second.partition("=")[0]
    for service in (one, other):
        assert service.ask(tile(id_), {"cookie": f"{first}; {second}"}).status == 200
    assert other.ask(tile(id_), {"cookie": first}).status == 401


def test_a_token_with_a_plus_may_be_pasted_as_it_is(tmp_path: Path, id_: str) -> None:
    service = Served(tmp_path / "in", token="a+b/c=")
    for given in ("a+b/c=", "a%2Bb%2Fc%3D"):
        assert service.ask(f"/?token={given}").status == 303
    assert service.ask("/?token=a%2B%2Bb/c=").status == 401


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


def test_a_cookie_lets_no_page_of_another_origin_begin_anything(tmp_path: Path, id_: str) -> None:
    service = Served(tmp_path / "in", cors=("*",), token=TOKEN, allow_jobs=tmp_path / "out")
    kept = {"cookie": cookie_of(service, TOKEN)}
    for origin in ("https://evil.example", "http://slides.test:9999", "null"):
        assert service.ask(f"/api/slides/{id_}/flatten", kept | {"origin": origin}, "POST").status == 403
    assert service.ask(f"/api/slides/{id_}/flatten", kept, "POST").status == 202


@pytest.mark.parametrize(
    ("cors", "headers", "status"),
    [((), {}, 202), ((), {"sec-fetch-site": "same-origin"}, 202), ((), {"sec-fetch-site": "none"}, 202),
     ((), {"sec-fetch-site": "cross-site"}, 403), ((), {"sec-fetch-site": "same-site"}, 403),
     ((), {"origin": "https://a.example"}, 403), ((), {"origin": "http://slides.test"}, 202),
     (("https://a.example",), {"sec-fetch-site": "cross-site", "origin": "https://a.example"}, 202),
     (("https://a.example",), {"sec-fetch-site": "cross-site", "origin": "https://b.example"}, 403),
     (("https://a.example",), {"sec-fetch-site": "cross-site"}, 403), (("*",), {"sec-fetch-site": "cross-site"}, 202)],
)  # fmt: skip
def test_pictures_in_pages_of_other_origins_begin_no_survey(
    tmp_path: Path, id_: str, cors: tuple[str, ...], headers: dict[str, str], status: int
) -> None:
    service = Served(tmp_path / "in", cors=cors)
    begun: list[str] = []

    def begin(path: str, *_: object) -> BestState:
        begun.append(path)
        return BestState("working")

    service.service.best.begin = begin  # type: ignore[method-assign, assignment]
    best = [f"/api/slides/{id_}/{place}" for place in ("dzi/best_files/10/0_0.jpeg", "thumbnail?plane=best", "focus")]
    for path in (*best, f"/iiif/{id_}@best/full/max/0/default.jpg"):
        assert service.ask(path, headers).status == status, path
    assert bool(begun) == (status == 202)
    service.ready()
    for path in (*best, tile(id_)):
        assert service.ask(path, headers).status == 200, "what is there is shown to all"


@pytest.mark.parametrize(
    "host", ["localhost", "localhost:8000", "LocalHost.", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:8000",
             "10.1.2.3:80", "slides.example", "Slides.Example:443", "slides.example."],
)  # fmt: skip
def test_it_answers_by_its_names(tmp_path: Path, id_: str, host: str) -> None:
    service = Served(tmp_path / "in", hosts=("slides.example",))
    assert service.ask(tile(id_), {"host": host}).status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8000", "localhost.evil.example", "127.0.0.1.evil.example", "127.1", "",
             "evil.example:localhost", "localhost@evil.example", "[localhost", "slides.example.evil", "caf\xe9"],
)  # fmt: skip
def test_who_was_led_here_by_another_name_is_told_nothing(tmp_path: Path, id_: str, host: str) -> None:
    service = Served(tmp_path / "in", hosts=("slides.example",), cors=("*",), allow_jobs=tmp_path / "out")
    for path, method in ((tile(id_), "GET"), ("/", "GET"), ("/api/slides", "GET"), (f"/api/slides/{id_}/best", "POST")):
        told = service.ask(path, {"host": host, "origin": f"http://{host}"}, method)
        assert (told.status, "--allow-host" in told.json["detail"]) == (421, True)
    assert not service.echo.asked


def test_any_name_will_do_where_that_is_allowed_or_a_token_is_needed(tmp_path: Path, id_: str, locked: Served) -> None:
    evil = {"host": "evil.example"}
    assert Served(tmp_path / "in", hosts=("*",)).ask(tile(id_), evil).status == 200
    assert locked.ask(tile(id_), evil).status == 401
    assert locked.ask(tile(id_), evil | BEARER).status == 200


def test_an_address_is_no_name(tmp_path: Path, id_: str) -> None:
    with pytest.raises(OptionError, match="without https://"):
        Served(tmp_path / "in", hosts=("https://slides.example",))


def test_every_answer_says_what_browsers_may_do(locked: Served, id_: str) -> None:
    for told in (locked.ask("/"), locked.ask(tile(id_)), locked.ask(tile(id_), BEARER), locked.ask("/nothing", BEARER)):
        assert told.headers["x-content-type-options"] == "nosniff"
        assert told.headers["referrer-policy"] == "no-referrer"
        assert "server" not in told.headers


def test_options_travel_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ServeOptions(
        tmp_path,
        token="t",
        cors=("https://a.example",),
        hosts=("a.example",),
        show_label=True,
        allow_jobs=tmp_path / "o",
    )
    environment: dict[str, str] = {}
    options.to_environment(environment)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert ServeOptions.from_environment() == options
    monkeypatch.delenv("PLANISH_SERVE")
    with pytest.raises(OptionError, match="PLANISH_SERVE_FOLDER"):
        ServeOptions.from_environment()
    given = {"FOLDER": str(tmp_path), "CORS": "http://a http://b", "HOSTS": "c d", "TILE_CACHE": "5", "SHOW_LABEL": "0"}
    for name, value in given.items():
        monkeypatch.setenv(f"PLANISH_SERVE_{name}", value)
    single = ServeOptions(tmp_path, cors=("http://a", "http://b"), hosts=("c", "d"), tile_cache=5)
    assert ServeOptions.from_environment() == single
    monkeypatch.setenv("PLANISH_SERVE", environment["PLANISH_SERVE"])
    assert ServeOptions.from_environment() == options, "single variables change nothing of what was told as a whole"


@pytest.mark.parametrize(
    ("text", "words"),
    [("{bad", "no JSON"), ("[]", "no JSON"), ("", "no JSON"), ('{"folder": "/", "nonsense": 1}', "'nonsense'"),
     ('{"folder": "/", "tile_cache": "5"}', "wrong kind"), ('{"folder": "/", "token": 5}', "wrong kind"),
     ('{"folder": 5}', "wrong kind"), ("{}", "no folder")],
)  # fmt: skip
def test_options_that_are_none_are_told(monkeypatch: pytest.MonkeyPatch, text: str, words: str) -> None:
    monkeypatch.setenv("PLANISH_SERVE", text)
    with pytest.raises(OptionError, match=words):
        ServeOptions.from_environment()


def test_one_origin_needs_no_list(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANISH_SERVE", '{"folder": "/", "cors": "https://a.example"}')
    assert ServeOptions.from_environment().cors == ("https://a.example",)


@pytest.mark.parametrize(
    "origin", ["https://a.example/", "https://A.example", "a.example", "null", "https://a.example/x", ""]
)
def test_what_no_browser_sends_is_no_origin_to_allow(origin: str) -> None:
    with pytest.raises(OptionError, match="lower case and without a slash"):
        ServeOptions(Path(), cors=(origin,))


def test_yes_and_no_are_read_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANISH_SERVE_FOLDER", str(tmp_path))
    for text, shown in (("on", True), ("Yes", True), ("off", False)):
        monkeypatch.setenv("PLANISH_SERVE_SHOW_LABEL", text)
        assert ServeOptions.from_environment().show_label is shown
    monkeypatch.setenv("PLANISH_SERVE_SHOW_LABEL", "perhaps")
    with pytest.raises(OptionError, match="neither 1 nor 0"):
        ServeOptions.from_environment()
