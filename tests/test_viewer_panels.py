"""The viewer's panels: flattening into a file, and the other images of a slide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import browser
from browser import ODD_NAME, Station, Watched
from planish.verification import verify_file

if TYPE_CHECKING:
    from playwright.sync_api import Route

    from browser import Opening

LINK = f"#slide={browser.slide_id('alpha.svs')}"
CENTRE = "all => all.map(each => [...each.getContext('2d').getImageData(30, 30, 1, 1).data].slice(0, 3))"
"""Of canvases: the colours at a place."""

FOCUSED = """() => {
    const {id, dataset} = document.activeElement;
    return [id || dataset.layer || dataset.action || "", getComputedStyle(document.activeElement).outlineStyle];
}"""
"""Of a page: what has the focus, and how that is seen."""


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    folder = tmp_path_factory.mktemp("viewer")
    with browser.station(folder, show_label=True, allow_jobs=folder / "flat") as running:
        yield running


@pytest.fixture
def opened(station: Station) -> Iterator[Opening]:
    with browser.opening(station) as open_page:
        yield open_page


def pretend(watched: Watched, *states: dict[str, Any]) -> None:
    """Have flattening go through states, the last of which stays."""
    states = tuple({"reason": "", "message": "", "seconds": 0, "output": "", "warnings": [], **each} for each in states)
    events = "".join(f"event: progress\ndata: {json.dumps(each)}\n\n" for each in states)
    watched.page.route("**/flatten/events", lambda route: route.fulfill(body=events, content_type="text/event-stream"))

    told = [{"state": "none"}]

    def answer(route: Route) -> None:
        if route.request.method == "POST":
            told.append(states[-1])
        route.fulfill(json=states[0] if route.request.method == "POST" else told[-1])

    watched.page.route("**/flatten", answer)


def test_a_slide_is_flattened_into_a_file(opened: Opening, station: Station) -> None:
    watched = opened()
    name = f"case 7/{ODD_NAME}"
    watched.slide(name)
    page = watched.page
    assert page.locator("#job").is_hidden()
    page.get_by_role("button", name="Flatten to a file").focus()
    page.keyboard.press("Enter")
    page.locator("#said", has_text="Waiting to be flattened").wait_for()
    assert page.locator("#job-bar").is_visible()
    page.locator("#said", has_text="Flattening into a file").wait_for()
    page.get_by_role("button", name="Close flattening").click()
    assert page.locator("#job").is_hidden()
    assert page.evaluate("document.activeElement.id") == "flatten"
    watched.slide()  # it goes on without whoever asked
    watched.slide(name)
    output = name.replace(".svs", ".flat.tif")
    page.locator("#job-text", has_text=f"Flattened into {output}").wait_for(timeout=60_000)
    assert output in page.locator("#said").inner_text()
    assert page.locator("#job-bar").is_hidden()
    verify_file(station.folder / "flat" / output, station.folder / "slides" / name, every_tile=True)
    watched.slide()
    watched.slide(name)
    assert page.locator("#job").is_hidden()  # what is long done is no news


def test_warnings_are_listed_and_seconds_not_read_out(opened: Opening) -> None:
    watched = opened()
    running = [{"state": "running", "seconds": second} for second in (1, 2, 61)]
    done = {"state": "done", "seconds": 65, "output": "alpha.flat.tif", "warnings": ["<b>look</b>", "at it"]}
    pretend(watched, {"state": "waiting"}, *running, done)
    watched.slide()
    page = watched.page
    page.evaluate(
        "window.said = []; new MutationObserver(() => said.push(document.getElementById('said').textContent))"
        ".observe(document.getElementById('said'), {childList: true})"
    )
    page.get_by_role("button", name="Flatten to a file").click()
    page.locator("#job-text", has_text="Flattened into alpha.flat.tif · 1 min 5 s").wait_for()
    assert page.locator("#job-warnings li").all_inner_texts() == ["<b>look</b>", "at it"]
    waiting, running_said, ended = page.evaluate("said")
    assert (waiting, running_said) == ("Waiting to be flattened into a file", "Flattening into a file")
    assert ended == "Flattened into alpha.flat.tif, with 2 warnings"


def test_why_it_waits_or_failed_is_told_and_it_is_tried_again(opened: Opening) -> None:
    watched = opened()
    occupied = {"state": "waiting", "reason": "occupied", "message": "another batch works there"}
    failed = {"state": "failed", "reason": "damaged", "message": "the slide: tile 3 is damaged"}
    pretend(watched, occupied)
    watched.slide()
    page = watched.page
    button = page.get_by_role("button", name="Flatten to a file")
    button.click()
    page.locator("#job-text", has_text="Waiting: another batch works there").wait_for()
    page.unroute_all()
    pretend(watched, failed)
    watched.slide()
    button.click()
    page.locator("#job-text.wrong", has_text="Not flattened: the slide: tile 3 is damaged").wait_for()
    page.unroute_all()
    pretend(watched, {"state": "done", "output": "alpha.flat.tif"})
    button.click()
    page.locator("#job-text:not(.wrong)", has_text="Flattened into alpha.flat.tif").wait_for()
    page.unroute_all()
    problem = {"status": 503, "title": "Busy", "detail": "the request could not be written; try again later"}
    page.route("**/flatten", lambda route: route.fulfill(status=503, json=problem))
    button.click()
    page.locator("#notice", has_text="could not be written").wait_for()
    assert page.locator("#job").is_hidden()
    assert not [wrong for wrong in watched.wrong if "503" not in wrong]
    watched.wrong.clear()


def test_label_and_macro_are_shown_where_they_may_be(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    page = watched.page
    page.get_by_role("button", name="Images").click()
    page.get_by_role("img", name="Label of the slide").wait_for()
    page.get_by_role("img", name="Macro of the slide").wait_for()
    page.get_by_role("img", name="Thumbnail of the slide").wait_for()
    label, macro, _ = page.locator("#images-list canvas").evaluate_all(CENTRE)
    assert label[0] > 180 and label[1] < 60 and min(macro) > 200
    assert page.locator("#images-withheld").is_hidden()
    page.keyboard.press("Escape")
    assert page.locator("#images-panel").is_hidden()
    assert page.evaluate("document.activeElement.id") == "images"
    page.keyboard.press("i")
    assert page.locator("#images").get_attribute("aria-expanded") == "true"
    page.keyboard.press("i")
    page.keyboard.press("Escape")
    page.locator("#slides").wait_for()


def test_what_is_withheld_or_not_allowed_is_said_or_not_offered(opened: Opening, station: Station) -> None:
    with browser.service(station.folder / "slides", station.folder / "cache") as address:
        watched = opened()
        page = watched.page
        page.goto(f"{address}?drawer=canvas{LINK}")
        watched.shows()
        assert page.locator("#flatten").is_hidden()
        page.keyboard.press("i")
        assert page.locator("#images-withheld").inner_text() == "Label and macro are withheld: they can show names."
        page.get_by_role("img", name="Thumbnail of the slide").wait_for()
        assert page.locator("#images-list figure").count() == 1
        page.close()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(("width", "height"), [(1180, 820), (820, 1180)])
def test_all_panels_fit_on_a_tablet_and_keep_nobody_out(opened: Opening, width: int, height: int, theme: str) -> None:
    watched = opened(viewport={"width": width, "height": height}, color_scheme=theme, has_touch=True, is_mobile=True)
    pretend(watched, {"state": "running", "seconds": 4})
    watched.open(f"{LINK}&plane=3&overlay=0.5&side=1&layer=margin")
    watched.shows("best", pane=1)
    watched.layer("margin")
    page = watched.page
    page.get_by_role("button", name="Flatten to a file").click()
    page.locator("#job-text", has_text="Flattening into a file · 4 s").wait_for()
    page.get_by_role("button", name="Images").click()
    page.locator("#images-list canvas").nth(2).wait_for()
    assert page.evaluate(browser.TARGETS) == []
    assert page.evaluate("[document.body.scrollWidth, document.body.scrollHeight]") == [width, height]
    page.keyboard.press("ArrowRight")
    assert watched.violations() == []
    for name in ("#job", "#images-panel", "#legend"):
        box = page.locator(name).bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= width and box["y"] + box["height"] <= height


def test_panels_are_reached_by_tab_in_their_order(opened: Opening) -> None:
    watched = opened()
    pretend(watched, {"state": "running", "seconds": 4})
    watched.open(f"{LINK}&overlay=0.5")
    watched.layer("plane")
    page = watched.page
    page.get_by_role("button", name="Flatten to a file").click()
    page.keyboard.press("i")
    page.locator("#name").focus()
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        name, outline = page.evaluate(FOCUSED)
        reached.append(name)
        assert outline != "none" or name == ""
    order = ["images", "flatten", "link", "closeJob", "images-panel", "closeImages", "plane", "margin", "sharpness"]
    places = [reached.index(each) for each in [*order, "opacity", "slider"]]
    assert places == sorted(places)
