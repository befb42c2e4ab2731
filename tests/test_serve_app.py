"""The web side of the tile service: addresses become wants, and wants become answers that may be kept."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from pathlib import Path
from typing import Any

import pytest
from starlette.requests import Request

from planish.batch.discover import Discovery, discover
from planish.errors import SlideNotFound
from planish.serve.cache import OVERHEAD, Kept, TileCache
from planish.serve.pictures import Pictures
from planish.serve.registry import Registry
from planish.serve.slides import Slides
from planish.serve.wanted import Refused
from served import HEIGHT, WIDTH, Z_UM, Served, facts, slides


@pytest.fixture
def id_(tmp_path: Path) -> str:
    return slides(tmp_path / "in", "case 1/a.svs")[0]


@pytest.fixture
def service(tmp_path: Path, id_: str) -> Served:
    return Served(tmp_path / "in")


def test_the_list_tells_what_there_is(service: Served, id_: str) -> None:
    listed = service.ask("/api/slides").json["slides"]
    assert [(each["id"], each["name"], each["planes"]) for each in listed] == [(id_, "case 1/a.svs", len(Z_UM))]
    assert (listed[0]["width"], listed[0]["height"], listed[0]["problem"]) == (WIDTH, HEIGHT, None)


def test_a_slide_that_cannot_be_opened_is_listed_with_the_reason(service: Served) -> None:
    service.echo.refusals = [Refused("unreadable", "it is damaged")]
    assert service.ask("/api/slides").json["slides"][0]["problem"] == "it is damaged"
    service.ask("/api/slides")
    assert len(service.echo.asked) == 1, "as long as the file is the same, so is the answer"


def test_paths_are_in_no_answer(service: Served, id_: str, tmp_path: Path) -> None:
    for path in ("/api/slides", f"/api/slides/{id_}", "/metrics", "/openapi.json", "/api/slides/x"):
        assert str(tmp_path).encode() not in service.ask(path).body


@pytest.mark.parametrize(
    ("plane", "index"), [("0", 0), ("2", 2), ("z=0", 0), ("z=1.4", 1), ("z=3.25", 2), ("z=-0.5", 0)]
)
def test_planes_by_index_and_by_z(service: Served, id_: str, plane: str, index: int) -> None:
    asked = service.pictured(f"/api/slides/{id_}/dzi/{plane}_files/10/3_2.jpeg")
    assert asked["subject"]["plane"] == index
    assert [asked[key] for key in ("kind", "level", "column", "row")] == ["tile", 10, 3, 2]


@pytest.mark.parametrize(
    "plane", ["-1", "00", "1e3", "z=nan", "z=inf", "z=3.3", "z=-0.6", "z=", "z=1e1", "middle", "٣"]
)
def test_what_is_no_plane_is_not_found(service: Served, id_: str, plane: str) -> None:
    told = service.ask(f"/api/slides/{id_}/dzi/{plane}_files/10/0_0.jpeg")
    assert told.status == 404
    assert told.headers["content-type"] == "application/problem+json"
    assert "plane" in told.json["detail"]


def test_a_plane_beyond_the_last_is_told_with_the_range(service: Served, id_: str) -> None:
    detail = service.ask(f"/api/slides/{id_}/dzi/3.dzi").json["detail"]
    assert "planes 0 to 2" in detail
    assert "z=0 to z=2.5" in detail


@pytest.mark.parametrize(
    "tile", ["10/0_0.jpg", "10/-1_0.jpeg", "10/00_0.jpeg", "1e1/0_0.jpeg", "10/0_0.jpeg/", "10/99999999_0.jpeg"]
)
def test_what_is_no_tile_is_not_found(service: Served, id_: str, tile: str) -> None:
    assert service.ask(f"/api/slides/{id_}/dzi/0_files/{tile}").status == 404
    assert not service.echo.asked


def test_xyz_are_the_tiles_of_deep_zoom(service: Served, id_: str) -> None:
    asked = service.pictured(f"/api/slides/{id_}/xyz/1/2/3/1.jpeg")
    assert [asked[key] for key in ("level", "column", "row")] == [10, 3, 1]
    assert service.pictured(f"/api/slides/{id_}/xyz/1/0/0/0.jpeg")["level"] == 8
    assert "zooms 0 to 2" in service.ask(f"/api/slides/{id_}/xyz/1/3/0/0.jpeg").json["detail"]
    before = len(service.echo.asked)
    assert service.ask(f"/api/slides/{id_}/dzi/1_files/10/3_1.jpeg").headers["server-timing"] == 'cache;desc="hit"'
    assert len(service.echo.asked) == before


@pytest.mark.parametrize(
    "path",
    ["/api/slides/0123456789abcdef", "/api/slides/../../etc/passwd", "/api/slides/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
     "/api/slides/..%5c..%5cetc/dzi/0_files/0/0_0.jpeg", "/viewer/../app.py", "/viewer/%2e%2e/app.py",
     "/viewer//etc/passwd", "/viewer/openseadragon/../../app.py", "/iiif/..%2f..@0/full/max/0/default.jpg",
     "/api/slides/0123456789abcdef/dzi/0_files/0/0_0.jpeg", "/nothing"],
)  # fmt: skip
def test_unknown_ids_and_traversal_are_not_found(service: Served, path: str) -> None:
    told = service.ask(path)
    assert (told.status, told.json["status"]) == (404, 404)
    assert not service.echo.asked


def test_pictures_may_be_kept_and_are_asked_after(service: Served, id_: str) -> None:
    path = f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg"
    first = service.ask(path)
    assert first.headers["cache-control"] == "private, no-cache"
    assert 'decode;dur=1.5;desc="copied"' in first.headers["server-timing"]
    tag, asked = first.headers["etag"], len(service.echo.asked)
    again = service.ask(path, {"if-none-match": f'"other", {tag}'})
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", tag)
    fresh = Served(service.service.options.folder)
    assert fresh.ask(path, {"if-none-match": tag}).status == 304, "also by a process that never made it"
    assert not fresh.echo.asked
    assert len(service.echo.asked) == asked
    head = service.ask(path, method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", first.headers["content-length"])


def test_addresses_with_the_version_hold_for_ever(service: Served, id_: str) -> None:
    version = service.ask(f"/api/slides/{id_}").json["version"]
    path = f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg?v="
    assert "immutable" in service.ask(path + version).headers["cache-control"]
    other = service.ask(path + "0123")
    assert (other.status, other.json["version"]) == (404, version)


def replace(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"II*\0 another slide")
    os.replace(other, path)  # noqa: PTH105


def test_a_slide_replaced_meanwhile_is_asked_for_again(service: Served, id_: str, tmp_path: Path) -> None:
    path = f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg"
    before = service.pictured(path)
    tag = service.ask(path).headers["etag"]
    replace(tmp_path / "in" / "case 1" / "a.svs")
    service.echo.refusals = [Refused("changed", "it is another one")]
    after = service.pictured(path.replace("0_0", "1_0"))
    assert after["subject"]["signature"] != before["subject"]["signature"]
    assert service.ask(path, {"if-none-match": tag}).status == 200, "what the client has is of the old one"


def test_a_slide_that_keeps_changing_is_told_to_wait_for(service: Served, id_: str) -> None:
    service.echo.refusals = [Refused("changed", "another one")] * 2
    told = service.ask(f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg")
    assert (told.status, told.headers["retry-after"]) == (503, "1")


def test_a_slide_that_was_removed_is_gone(service: Served, id_: str, tmp_path: Path) -> None:
    (tmp_path / "in" / "case 1" / "a.svs").unlink()
    service.echo.refusals = [Refused("gone", "it is not there")]
    assert service.ask(f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg").status == 410
    assert service.ask(f"/api/slides/{id_}").status == 410
    assert service.service.registry.count == 0


@pytest.mark.parametrize(
    ("kind", "status"),
    [("range", 404), ("unreadable", 422), ("unsupported", 422), ("too large", 400), ("crashed", 503),
     ("too long", 503), ("busy", 503)],
)  # fmt: skip
def test_refusals_become_statuses(service: Served, id_: str, kind: Any, status: int) -> None:
    service.echo.refusals = [Refused(kind, "said so")]
    told = service.ask(f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg")
    assert (told.status, told.json["detail"], "retry-after" in told.headers) == (status, "said so", status == 503)


@pytest.mark.parametrize(
    ("query", "word"),
    [("x=nan", "0 to 999"), ("x=-1", "0 to 999"), ("x=1e3", "0 to 999"), ("y=700", "0 to 699"), ("width=0", "1 to"),
     ("x=900&width=101", "1 to 100"), ("width=" + "9" * 5000, "1 to 1000"), ("out_width=4097", "1 to 4096"),
     ("scale=nan", "above 0"), ("scale=inf", "above 0"), ("scale=2", "at most 1"), ("scale=0", "above 0"),
     ("scale=1&out_width=5", "not both"), ("format=tif", "jpg or png"), ("plane=", "once"), ("x=٣", "0 to"),
     ("x=1&x=2", "once")],
)  # fmt: skip
def test_regions_that_are_none_are_told_the_limit(service: Served, id_: str, query: str, word: str) -> None:
    told = service.ask(f"/api/slides/{id_}/region?{query}")
    assert told.status == 400
    assert word in told.json["detail"]


def test_regions_and_thumbnails_become_wants(service: Served, id_: str) -> None:
    asked = service.pictured(
        f"/api/slides/{id_}/region?x=100&y=50&width=400&height=200&out_width=100&plane=2&format=png"
    )
    assert [asked[key] for key in ("x", "y", "width", "height", "out_width", "out_height")] == [
        100,
        50,
        400,
        200,
        100,
        50,
    ]
    assert (asked["subject"]["plane"], asked["format"]) == (2, "png")
    assert service.pictured(f"/api/slides/{id_}/region?scale=0.5")["out_width"] == 500
    small = service.pictured(f"/api/slides/{id_}/thumbnail?size=100")
    assert (small["out_width"], small["out_height"], small["subject"]["plane"]) == (100, 70, 1)


def test_label_and_macro_are_hidden(service: Served, id_: str, tmp_path: Path) -> None:
    for name in ("label", "macro"):
        told = service.ask(f"/api/slides/{id_}/associated/{name}")
        assert (told.status, "--show-label" in told.json["detail"]) == (404, True)
    assert service.ask(f"/api/slides/{id_}").json["associated"] == ["thumbnail"]
    shown = Served(tmp_path / "in", show_label=True)
    assert shown.pictured(f"/api/slides/{id_}/associated/label")["name"] == "label"
    assert "label" in shown.ask(f"/api/slides/{id_}").json["associated"]


def test_the_first_use_of_the_best_begins_it(service: Served, id_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[str] = []
    from planish.serve.beststate import BestState

    def begin(path: str, signature: str, size: int) -> BestState:
        begun.append(path)
        return BestState("working", stage="survey", done=1, total=4)

    monkeypatch.setattr(service.service.best, "begin", begin)
    told = service.ask(f"/api/slides/{id_}/dzi/best_files/10/0_0.jpeg")
    assert (told.status, told.headers["retry-after"], told.json["stage"]) == (202, "2", "survey")
    assert told.json["events"] == f"/api/slides/{id_}/best/events"
    assert len(begun) == 1
    service.ready()
    asked = service.pictured(f"/api/slides/{id_}/dzi/best_files/10/0_0.jpeg")
    assert (asked["subject"]["plane"], asked["subject"]["map"]) == (-1, "/maps/best.json")
    assert service.pictured(f"/api/slides/{id_}/focus")["kind"] == "cells"
    assert service.pictured(f"/api/slides/{id_}/focus/margin_files/9/0_0.png")["name"] == "margin"
    assert service.ask(f"/api/slides/{id_}/focus/other.dzi").status == 404


def test_events_end_with_the_work(service: Served, id_: str) -> None:
    service.ready()
    told = service.ask(f"/api/slides/{id_}/best/events")
    assert told.headers["content-type"].startswith("text/event-stream")
    assert told.body.decode().split("\n\n")[:2] == [
        'event: progress\ndata: {"state": "ready"}',
        'event: end\ndata: {"state": "ready"}',
    ]


def test_flattening_is_off_unless_allowed(service: Served, id_: str) -> None:
    for method in ("GET", "POST"):
        told = service.ask(f"/api/slides/{id_}/flatten", method=method)
        assert (told.status, "--allow-jobs" in told.json["detail"]) == (403, True)


def test_flat_slides_are_listed_and_not_flattened_again(tmp_path: Path) -> None:
    _, flat, _ = slides(tmp_path / "in", "a.svs", "a.flat.tif", "a.flat.record.json")
    service = Served(tmp_path / "in", allow_jobs=tmp_path / "out")
    assert [each["name"] for each in service.ask("/api/slides").json["slides"]] == ["a.flat.tif", "a.svs"]
    told = service.ask(f"/api/slides/{flat}/flatten", method="POST")
    assert (told.status, "flat already" in told.json["detail"]) == (422, True)


def test_flattening_is_asked_for(tmp_path: Path, id_: str) -> None:
    service = Served(tmp_path / "in", allow_jobs=tmp_path / "out")
    assert service.ask(f"/api/slides/{id_}/flatten").json["state"] == "none"
    told = service.ask(f"/api/slides/{id_}/flatten", method="POST")
    assert (told.status, told.json["state"]) == (202, "waiting")
    assert service.ask("/api/slides").json["jobs"]


def test_many_who_want_the_same_tile_wait_for_one(service: Served, id_: str) -> None:
    from planish.serve.pictures import Asked, Pictures, Terms

    async def all_of_them() -> list[Any]:
        pictures = Pictures(service.service)
        asked = Asked(id_, "0", "same", {"kind": "tile"})
        return await asyncio.gather(*(pictures.picture(asked, Terms()) for _ in range(9)))

    assert len({answer.body for answer in asyncio.run(all_of_them())}) == 1
    assert len(service.echo.asked) == 1


def test_wrong_methods_and_readiness(service: Served, id_: str) -> None:
    put = service.ask(f"/api/slides/{id_}/best", method="PUT")
    assert (put.status, put.json["status"], set(put.headers["allow"].split(", "))) == (
        405,
        405,
        {"GET", "HEAD", "POST"},
    )
    assert "GET, HEAD" in service.ask("/api/slides", method="DELETE").json["detail"]
    posted = service.ask(f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg", method="POST")
    assert (posted.status, posted.headers["allow"]) == (405, "GET, HEAD")
    assert service.ask("/readyz").status == 200
    service.echo.ready = False
    assert service.ask("/readyz").status == 503
    assert service.ask("/healthz").status == 200


def test_metrics_count_by_route_and_status(service: Served, id_: str) -> None:
    for _ in range(2):
        service.ask(f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg")
    service.ask("/api/slides/x")
    text = service.ask("/metrics").body.decode()
    assert 'planish_requests_total{route="tile",status="200"} 2' in text
    assert 'planish_requests_total{route="slide",status="404"} 1' in text
    assert "planish_tile_cache_hits_total 1\n" in text
    assert 'planish_request_seconds_bucket{route="tile",le="+Inf"} 2' in text


def test_workers_add_up_their_counters(tmp_path: Path, id_: str) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    service = Served(tmp_path / "in", shared=shared)
    service.ask(f"/api/slides/{id_}")
    dead = {'planish_requests_total{route="slide",status="200"}': 41, "planish_decoders": 2}
    (shared / "4194305.json").write_text(json.dumps(dead))
    text = service.ask("/metrics").body.decode()
    assert 'planish_requests_total{route="slide",status="200"} 42' in text
    assert "planish_decoders 0" in text, "a dead worker has none any more"


def test_the_viewer_is_served(service: Served) -> None:
    page = service.ask("/")
    assert page.headers["content-type"].startswith("text/html")
    assert "frame-ancestors 'none'" in page.headers["content-security-policy"]
    script = service.ask("/viewer/viewer.js")
    assert script.headers["content-type"].startswith("text/javascript")
    assert service.ask("/viewer/viewer.js", {"if-none-match": script.headers["etag"]}).status == 304
    assert service.ask("/favicon.ico").status == 200


def test_tags_are_compared_whole(service: Served, id_: str) -> None:
    path = f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg"
    tag = service.ask(path).headers["etag"]
    for given, status in (
        (f"W/{tag}", 304), ("*", 304), (f'"x",{tag}', 304), (tag[1:-1], 200), (f"{tag}x", 200), (f"x{tag}", 200),
    ):  # fmt: skip
        for asked in (path, "/viewer/viewer.js"):
            given_ = given.replace(tag[1:-1], service.ask(asked).headers["etag"][1:-1])
            assert service.ask(asked, {"if-none-match": given_}).status == status, given_
    other = service.ask(f"/api/slides/{id_}/dzi/0_files/10/1_0.jpeg", {"if-none-match": "*"})
    assert (other.status, other.body, "etag" in other.headers) == (304, b"", True)
    service.echo.refusals = [Refused("range", "no such tile")]
    assert service.ask(f"/api/slides/{id_}/dzi/0_files/10/9_9.jpeg", {"if-none-match": "*"}).status == 404


def test_a_slide_that_another_worker_listed_is_found(service: Served, tmp_path: Path) -> None:
    (new,) = slides(tmp_path / "in", "new.svs")
    assert service.ask(f"/api/slides/{new}").status == 200


def test_unknown_ids_cost_a_search_now_and_then(service: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Path] = []

    def counted(folder: Path, *, flat: bool) -> Discovery:
        searched.append(folder)
        return discover(folder, flat=flat)

    monkeypatch.setattr("planish.serve.registry.discover", counted)
    for number in range(5):
        assert service.ask(f"/api/slides/{number:016x}/dzi/0_files/0/0_0.jpeg").status == 404
    assert len(searched) == 1


def test_a_folder_that_is_away_is_told_and_comes_back(
    service: Served, id_: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planish.serve.registry.LOOK_S", -1.0)
    monkeypatch.setattr("planish.serve.registry.CHECK_S", -1.0)
    (tmp_path / "in").rename(tmp_path / "away")
    for path in ("/api/slides", "/openapi.json", f"/api/slides/{id_}", f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg",
                 "/api/slides/0123456789abcdef"):  # fmt: skip
        told = service.ask(path)
        assert (told.status, told.json["status"], told.headers["retry-after"]) == (503, 503, "10"), path
        assert str(tmp_path) not in told.json["detail"]
    (tmp_path / "away").rename(tmp_path / "in")
    assert [each["id"] for each in service.ask("/api/slides").json["slides"]] == [id_]
    assert service.ask(f"/api/slides/{id_}/dzi/0_files/10/0_0.jpeg").status == 200


def test_a_folder_that_is_not_there_is_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFound, match="no such folder"):
        Served(tmp_path / "absent")


def test_a_folder_without_slides_is_told(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFound, match="no such folder"):
        Registry(tmp_path / "absent").check()
    with pytest.raises(SlideNotFound, match="no slides in it"):
        Registry(tmp_path).check()


def test_the_cache_holds_no_more_bytes_than_it_may() -> None:
    cache = TileCache(3 * (OVERHEAD + 100))
    for number in range(9):
        cache.put((str(number), ""), Kept(bytes(100), ()))
    assert cache.bytes == 3 * (OVERHEAD + 100)
    assert cache.get(("8", "")) is not None
    assert cache.get(("0", "")) is None
    cache.put(("large", ""), Kept(bytes(9999), ()))
    assert cache.get(("large", "")) is None


def test_the_best_of_one_plane_is_that_plane(service: Served, id_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = facts() | {"planes": [{"index": 0, "z_um": 0.0}]}
    monkeypatch.setattr("served.facts", lambda: told)
    want = service.pictured(f"/api/slides/{id_}/dzi/best_files/10/0_0.jpeg")
    assert (want["subject"]["plane"], want["subject"]["map"]) == (0, "")
    for method in ("GET", "POST"):
        assert service.ask(f"/api/slides/{id_}/best", method=method).json["state"] == "ready"
    assert "event: end" in service.ask(f"/api/slides/{id_}/best/events").body.decode()
    assert service.ask(f"/api/slides/{id_}/focus").status == 202  # its sharpness is not known


@pytest.mark.parametrize("path", ["/api/slides/{}/dzi/0_files/10/0_0.jpeg", "/api/slides/{}/thumbnail"])
def test_who_waits_when_the_server_loses_patience_is_told(
    service: Served, id_: str, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def cancelled(want: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(service.echo, "ask", cancelled)
    told = service.ask(path.format(id_))
    assert (told.status, told.json["kind"]) == (503, "busy")
    assert "stopping" in told.json["detail"]


def test_a_look_that_fails_after_the_list_was_sent_is_no_fault(
    service: Served, id_: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("planish.serve.slides.LIST_WAIT_S", 0)
    service.echo.refusals.append(Refused("too long", "later"))

    async def list_and_wait() -> bytes:
        answer = await Slides(service.service, Pictures(service.service)).index(Request({"type": "http"}))
        while service.echo.refusals:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.01)
        gc.collect()
        return answer.body

    assert json.loads(asyncio.run(list_and_wait()))["slides"][0]["planes"] is None
    assert not caplog.records
