"""The viewer for people: by keyboard, finger and screen reader, and when something is wrong."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import browser
from browser import Station, Watched

if TYPE_CHECKING:
    from browser import Opening

LINK = f"#slide={browser.slide_id('alpha.svs')}"
TABLET = {"has_touch": True, "is_mobile": True}


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with browser.station(tmp_path_factory.mktemp("viewer")) as running:
        yield running


@pytest.fixture
def opened(station: Station) -> Iterator[Opening]:
    with browser.opening(station) as open_page:
        yield open_page


def test_people_who_cannot_see_or_point_well_are_not_kept_out(opened: Opening) -> None:
    watched = opened()
    watched.open()
    assert watched.violations() == []
    watched.open(f"{LINK}&plane=3&overlay=0.5&side=1")
    watched.shows("best", pane=1)
    watched.page.keyboard.press("ArrowLeft")
    watched.page.locator("#cell").wait_for()
    assert watched.violations() == []
    watched.page.keyboard.press("?")
    assert watched.page.locator("#help").is_visible()
    assert watched.violations() == []
    watched.page.keyboard.press("Escape")
    watched.page.keyboard.press("d")
    assert watched.page.evaluate("getComputedStyle(document.body).colorScheme") == "dark"
    assert watched.violations() == []
    dark = opened(color_scheme="dark")
    dark.open()
    assert dark.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 26)"
    assert dark.violations() == []


def test_all_can_be_reached_by_tab_and_is_seen_to_be(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    reached = []
    for _ in range(20):
        watched.page.keyboard.press("Tab")
        focused = "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
        name, outline = watched.page.evaluate(focused)
        reached.append(name)
        assert outline != "none" or not name
    assert {"back", "best", "map", "side", "link", "slider", "up", "down", "in", "out", "fit", "full"} <= set(reached)


@pytest.mark.parametrize(("width", "height"), [(768, 1024), (1024, 768)])
def test_a_tablet_has_room_for_fingers(opened: Opening, width: int, height: int) -> None:
    watched = opened(viewport={"width": width, "height": height}, **TABLET)
    watched.open()
    assert watched.page.evaluate(browser.TARGETS) == []
    watched.open(f"{LINK}&plane=3&overlay=0.5&side=1")
    watched.shows("best", pane=1)
    assert watched.page.evaluate(browser.TARGETS) == []
    assert watched.page.evaluate("[document.body.scrollWidth, document.body.scrollHeight]") == [width, height]
    boxes = [watched.page.locator(".pane").nth(pane).bounding_box() for pane in (0, 1)]
    assert boxes[0] and boxes[1] and (boxes[0]["y"] < boxes[1]["y"]) == (height > width)
    before = float(watched.fields()["zoom"])
    pinch(watched, boxes[0]["x"] + 200, boxes[0]["y"] + 200)
    assert float(watched.fields()["zoom"]) > 1.3 * before


def pinch(watched: Watched, x: float, y: float) -> None:
    """Spread two fingers around a place."""
    touch = watched.page.context.new_cdp_session(watched.page)
    for apart in (30, 45, 60, 75, 90):
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        kind = "touchStart" if apart == 30 else "touchMove"
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_a_survey_that_fails_is_told_and_tried_again(opened: Opening) -> None:
    watched = opened()
    page = watched.page
    answer = {"state": "failed", "reason": "planes", "message": "planes 1 and 2 do not fit together"}
    for address in ("**/best", "**/best/events"):
        page.route(address, lambda route: route.fulfill(json=answer))
    watched.slide()
    page.keyboard.press("b")
    page.locator("#notice", has_text="could not be surveyed: planes 1 and 2 do not fit together").wait_for()
    assert page.locator("#best").get_attribute("aria-pressed") == "false"
    page.unroute_all()
    page.get_by_role("button", name="Try again").click()
    watched.shows("best")


def test_what_cannot_be_shown_is_told_in_words(opened: Opening) -> None:
    watched = opened()
    page = watched.page
    gone = {"type": "about:blank", "title": "Gone", "status": 410, "detail": "the slide is another one now"}
    page.route("**/dzi/4_files/**", lambda route: route.fulfill(status=410, json=gone))
    watched.slide()
    page.locator("#slider").fill("4")
    page.locator("#notice", has_text="could not be loaded: the slide is another one now").wait_for()
    page.evaluate(f"location.hash = 'slide={browser.slide_id('broken.svs')}'")
    page.locator("#notice", has_text="truncated").wait_for()
    page.evaluate("location.hash = 'slide=0123456789abcdef'")
    page.locator("#slides li").first.wait_for()
    page.locator("#notice").wait_for()
    assert not [wrong for wrong in watched.wrong if not re.search("410|422|404", wrong)]
    watched.wrong.clear()


def test_the_token_is_asked_for(opened: Opening, station: Station) -> None:
    with browser.service(station.folder / "slides", station.folder / "cache", token="secret") as address:
        watched = opened()
        page = watched.page
        page.goto(f"{address}?token=secret&drawer=canvas")
        page.locator("#slides li").first.wait_for()
        page.context.clear_cookies()
        page.get_by_role("link", name="alpha.svs").click()
        for token in ("wrong", "secret"):
            page.locator("#token").wait_for()
            page.locator("#token-input").fill(token)
            page.keyboard.press("Enter")
            if token == "wrong":
                page.locator("#token-text", has_text="did not accept").wait_for()
        watched.shows()
        assert not [wrong for wrong in watched.wrong if "401" not in wrong]
        page.close()
        watched.wrong.clear()
