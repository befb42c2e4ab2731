"""The viewer in a real browser: what it shows, and that nothing fails on the way."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import browser
from browser import LEFT_SHARP, ODD_NAME, RIGHT_SHARP, Station

if TYPE_CHECKING:
    from browser import Opening

LINK = f"#slide={browser.slide_id('alpha.svs')}"
SHOWN = """() => {
    const pane = document.querySelector(".pane");
    const told = () => [pane.dataset.plane, pane.dataset.whole];
    window.shown = [told()];
    new MutationObserver(() => window.shown.push(told())).observe(pane, {attributes: true});
}"""
"""Has a page write down what its pane shows, and whether all of it."""


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    with browser.station(tmp_path_factory.mktemp("viewer")) as running:
        yield running


@pytest.fixture
def opened(station: Station) -> Iterator[Opening]:
    with browser.opening(station) as open_page:
        yield open_page


def test_the_list_shows_every_slide_and_searches(opened: Opening) -> None:
    watched = opened()
    watched.open()
    page = watched.page
    assert page.locator("#slides .title").all_inner_texts() == ["alpha.svs", "broken.svs", ODD_NAME, "single.svs"]
    page.locator("#slides li", has_text="alpha.svs").get_by_text("5 planes · 1,024 × 1,024 px").wait_for()
    page.locator("#slides .wrong", has_text="truncated").wait_for()
    page.keyboard.press("/")
    page.keyboard.type("CASE beta")
    assert page.locator("#slides li:visible").count() == 1
    assert page.locator("#count").inner_text() == "1 of 4"
    page.keyboard.press("Escape")
    assert page.locator("#slides li:visible").count() == 4
    page.get_by_role("link", name="alpha.svs").focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.locator("#name", has_text=ODD_NAME).wait_for()


def test_the_slider_shows_the_plane_it_says(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    found = []
    for plane in range(5):
        watched.page.locator("#slider").fill(str(plane))
        watched.shows(plane)
        found.append(watched.sharpness())
    left, right = zip(*found, strict=True)
    assert max(range(5), key=left.__getitem__) == LEFT_SHARP
    assert max(range(5), key=right.__getitem__) == RIGHT_SHARP
    assert left[LEFT_SHARP] > 3 * left[0] and right[RIGHT_SHARP] > 3 * right[4]


def test_the_best_is_surveyed_and_sharp_everywhere(opened: Opening) -> None:
    watched = opened()
    watched.slide(f"case 7/{ODD_NAME}")
    page = watched.page
    middle = watched.sharpness()
    page.get_by_role("button", name="Best").click()
    page.locator("#survey").wait_for()
    watched.shows("best")
    page.locator("#survey").wait_for(state="hidden")
    left, right = watched.sharpness()
    assert left > 3 * middle[0] and right > 3 * middle[1]
    page.keyboard.press("b")
    watched.shows(2)


def test_the_focus_map_lies_over_the_slide_with_its_legend(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    watched.best()
    page = watched.page
    plain = page.locator(".pane canvas").first.screenshot()
    page.keyboard.press("f")
    page.locator("#legend").wait_for()
    assert page.locator(".swatches li").all_inner_texts() == ["−2", "−1", "0", "1", "2"]
    colours = page.locator(".swatches i").evaluate_all("all => all.map(i => getComputedStyle(i).backgroundColor)")
    assert len(set(colours)) == 5
    page.wait_for_timeout(500)
    assert page.locator(".pane canvas").first.screenshot() != plain
    page.locator("#opacity").fill("80")
    assert watched.fields()["overlay"] == "0.80"
    page.keyboard.press("f")
    assert page.locator("#legend").is_hidden()


def test_the_focus_map_shows_margin_and_sharpness_with_legends_of_their_own(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    watched.best()
    page = watched.page
    page.keyboard.press("m")  # as it was, where it is hidden
    watched.layer("plane")
    box = page.locator(".pane").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2 - 150, box["y"] + box["height"] / 2)
    seen = [page.locator(".pane canvas").first.screenshot()]
    for layer, title, ticks, under in (
        ("margin", "Lead of the sharpest plane", r"0 %: as sharp\s+[\d.]+ %\s+(≥ )?[\d.]+ %", r"margin [\d.]+ %$"),
        ("sharpness", r"Sharpness score \(.+\)", r"≤ [\d.]+\w?\s+[\d.]+\w?\s+≥ [\d.]+\w?", r"sharpness [\d.]+\w?$"),
    ):
        page.keyboard.press("m")
        watched.layer(layer)
        assert page.locator("#said").inner_text() == f"Focus map: {layer}"
        assert re.match(title, page.locator(".legend-title").inner_text())
        assert re.fullmatch(ticks, page.locator(".ticks").inner_text())
        assert page.locator(".colours i").count() > 10
        page.mouse.move(box["x"] + box["width"] / 2 - 151, box["y"] + box["height"] / 2)
        assert re.search(under, page.locator("#cell").inner_text())
        assert page.locator(".colours .here").count() == 1
        assert watched.fields()["layer"] == layer
        seen.append(page.locator(".pane canvas").first.screenshot())
    assert len(set(seen)) == 3
    page.get_by_role("button", name="Plane", exact=True).click()
    watched.layer("plane")
    assert "layer" not in watched.fields()
    page.keyboard.press("f")
    assert page.locator("#legend").is_hidden()


def test_the_z_under_the_pointer_is_told_and_gone_to(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    watched.best()
    page = watched.page
    box = page.locator(".pane").bounding_box()
    assert box is not None
    middle, down = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    for x, plane, z in ((middle - 150, LEFT_SHARP, "−1"), (middle + 150, RIGHT_SHARP, "1")):
        page.mouse.move(x, down)
        assert f"sharpest here: z {z} µm · plane {plane}" in page.locator("#cell").inner_text()
        page.keyboard.press("g")
        watched.shows(plane)
    page.mouse.move(middle, box["y"] + 30)
    assert "glass" in page.locator("#cell").inner_text()
    page.mouse.move(box["x"] + 5, down)
    assert page.locator("#cell").is_hidden()


def test_plane_and_best_move_together_side_by_side(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    page = watched.page
    page.keyboard.press("s")
    watched.shows("best", pane=1)
    assert page.locator(".label").all_inner_texts() == ["z 0 µm · plane 2", "Best of 5 planes"]
    page.keyboard.press("1")
    page.keyboard.press("ArrowLeft")
    for pane, plane in enumerate(("2", "best")):
        watched.shows(plane, pane)
    one, all_of_them = watched.sharpness(0), watched.sharpness(1)
    assert min(all_of_them) > 3 * max(one)
    page.keyboard.press("[")
    watched.shows(LEFT_SHARP)
    grey = [browser.grey(page.locator(".pane").nth(pane).locator("canvas").first.screenshot()) for pane in (0, 1)]
    assert browser.shift(*grey) < 1.5
    page.keyboard.press("s")
    assert page.locator(".pane").count() == 1


def test_a_link_restores_the_view(opened: Opening) -> None:
    watched = opened()
    page = watched.page
    slide = browser.slide_id("alpha.svs")
    meant = {"slide": slide, "plane": "3", "x": "400", "y": "600", "zoom": "0.75", "overlay": "0.30", "side": "1"}
    link = "#" + "&".join(f"{name}={value}" for name, value in meant.items())
    maps: list[str] = []
    page.on("request", lambda request: maps.append(request.url) if request.url.endswith("/focus") else None)
    watched.open(link)
    watched.shows(3)
    watched.shows("best", pane=1)
    assert watched.fields() == meant
    assert len(maps) == 1  # two would lie over each other
    page.evaluate(f"location.hash = '{link}&layer=margin'")
    watched.layer("margin")
    watched.fields()
    page.reload()
    watched.layer("margin")
    assert watched.fields() == meant | {"layer": "margin"}
    page.evaluate(f"location.hash = 'slide={slide}&plane=best&x=500&y=500&zoom=1'")
    watched.shows("best")
    assert watched.fields() == {"slide": slide, "plane": "best", "x": "500", "y": "500", "zoom": "1"}
    page.evaluate(f"location.hash = 'slide={slide}&plane=99&x=NaN&zoom=-1&overlay=7&layer=other'")
    watched.shows(4)
    watched.layer("plane")
    assert watched.fields()["overlay"] == "1.00"


def test_the_link_is_copied(opened: Opening) -> None:
    watched = opened(permissions=["clipboard-read", "clipboard-write"])
    watched.slide()
    watched.page.get_by_role("button", name="Copy link").click()
    watched.page.locator("#notice", has_text="copied").wait_for()
    assert watched.page.evaluate("navigator.clipboard.readText()") == watched.page.url


def test_keys_and_wheel_go_through_the_planes(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    page = watched.page
    for key, plane in (("]", 3), ("PageUp", 4), ("]", 4), ("[", 3), ("PageDown", 2), ("Shift+ArrowUp", 3)):
        page.keyboard.press(key)
        watched.shows(plane)
    before = watched.fields()
    page.mouse.move(500, 400)
    page.keyboard.down("Shift")
    page.mouse.wheel(0, 120)
    watched.shows(2)
    page.mouse.wheel(0, -120)
    watched.shows(3)
    page.keyboard.up("Shift")
    assert watched.fields() == before
    page.mouse.wheel(0, -120)
    assert float(watched.fields()["zoom"]) > float(before["zoom"])
    page.keyboard.press("Escape")
    page.locator("#slides a:focus", has_text="alpha.svs").wait_for()


def test_the_scale_bar_is_as_long_as_it_says(opened: Opening) -> None:
    watched = opened()
    watched.slide()
    page = watched.page
    for press in ("1", "+", "-", "0"):
        page.keyboard.press(press)
        zoom = float(watched.fields()["zoom"])
        number, unit = page.locator(".scale-text").inner_text().split()
        assert unit == "µm" and re.fullmatch("[125]0*", number)
        box = page.locator(".scale-line").bounding_box()
        assert box is not None and box["width"] * 0.25 / zoom == pytest.approx(float(number), rel=0.01)
        shown = page.locator("#magnification").inner_text().rstrip("×")
        assert float(shown) == pytest.approx(40 * zoom, abs=0.51)


def test_a_slide_of_one_plane_offers_no_more(opened: Opening) -> None:
    watched = opened()
    watched.slide("single.svs")
    for name in ("best", "map", "side", "z"):
        assert watched.page.locator(f"#{name}").is_hidden()
    for key in "bfms]":
        watched.page.keyboard.press(key)
    watched.shows(0)


def test_a_place_just_moved_to_is_never_shown_coarse(opened: Opening) -> None:
    watched = opened(viewport={"width": 700, "height": 400})  # so that zooming in takes another level
    watched.open(f"{LINK}&plane=0&x=300&y=500&zoom=0.2")
    watched.shows(0)
    page = watched.page
    page.keyboard.press("]")
    watched.shows(1)
    page.keyboard.press("]")
    watched.shows(2)
    page.evaluate(SHOWN)
    page.keyboard.press("1")
    watched.shows(2)
    page.locator("#slider").fill("0")  # hidden, and not looked at since the place was another
    watched.shows(0)
    page.wait_for_timeout(200)
    assert {whole for plane, whole in page.evaluate("window.shown") if plane == "0"} == {"true"}
