"""A tile service of a few small slides, and Chromium to look at them."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import skips
from arrays import ArraySlide
from planish.phantom.containers import ContainerOptions, write_container
from planish.serve.settings import ServeOptions

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page, Request

    Opening = Callable[..., "Watched"]

SIZE = 1024
Z_UM = (-2.0, -1.0, 0.0, 1.0, 2.0)
LEFT_SHARP, RIGHT_SHARP = 1, 3
GLASS = 256
"""Rows at the top of the slide, px, that hold no specimen."""
ODD_NAME = "beta <i>&amp;.svs"
ARGUMENTS = ("--no-sandbox", "--disable-dev-shm-usage")
START_S = 30
SCREEN = {"width": 1000, "height": 700}
TARGETS = """() => [...document.querySelectorAll("button, a, input")].map(each => [each, each.getBoundingClientRect()])
    .filter(([each, box]) => box.width && !each.disabled && Math.max(box.width, box.height) > 0)
    .filter(([each, box]) => Math.min(box.width, box.height) < 44).map(([each]) => each.outerHTML)"""
"""Of a page: what is there to be touched, but too small for a finger."""


def halves() -> NDArray[np.uint8]:
    """Return five planes of grain below a strip of glass; one is sharp in the left half, another in the right."""
    random = np.random.default_rng(7)
    grain = cv2.GaussianBlur(random.normal(0, 1, (SIZE, SIZE, 3)).astype(np.float32), (0, 0), 1.2)
    sharp = np.clip(np.array((150, 90, 150), np.float32) + 130 * grain, 0, 255)
    planes = []
    for index in range(len(Z_UM)):
        plane = np.full((SIZE, SIZE, 3), 240, np.float32)
        for columns, best in ((slice(0, SIZE // 2), LEFT_SHARP), (slice(SIZE // 2, SIZE), RIGHT_SHARP)):
            away = abs(index - best)
            half = cv2.GaussianBlur(sharp, (0, 0), 2.0 * away) if away else sharp
            plane[GLASS:, columns] = half[GLASS:, columns]
        planes.append(plane.astype(np.uint8))
    return np.stack(planes)


def make_slides(folder: Path) -> None:
    """Fill a folder: two stacks, one of an odd name in a folder of its own, a slide of one plane, a broken one."""
    (folder / "case 7").mkdir(parents=True)
    stack = halves()
    label, macro = np.full((60, 60, 3), (200, 30, 30), np.uint8), np.full((80, 200, 3), 210, np.uint8)
    options = ContainerOptions(kind="svs", quality=90, label=label, macro=macro)
    write_container(ArraySlide(stack, z_um=Z_UM), folder / "alpha.svs", options)
    write_container(ArraySlide(stack[:1], z_um=Z_UM[:1]), folder / "single.svs", ContainerOptions(kind="svs"))
    shutil.copy(folder / "alpha.svs", folder / "case 7" / ODD_NAME)
    (folder / "broken.svs").write_bytes((folder / "alpha.svs").read_bytes()[:5000])


@contextlib.contextmanager
def service(folder: Path, cache: Path, **options: Any) -> Iterator[str]:
    """Run a service of a folder in a process of its own, with options of `ServeOptions`; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = dict(os.environ)
    ServeOptions(folder, cache=cache, decoders=1, **options).to_environment(environment)
    words = ["uvicorn", "--factory", "planish.serve.app:create_app", "--port", str(port), "--log-level", "warning"]
    process = subprocess.Popen([sys.executable, "-m", *words], env=environment)
    try:
        _wait(f"http://127.0.0.1:{port}/healthz", process)
        _settle(f"http://127.0.0.1:{port}/", options.get("token", ""))
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(START_S)


def _wait(address: str, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while True:
        with contextlib.suppress(urllib.error.URLError), urllib.request.urlopen(address, timeout=5):
            return
        assert process.poll() is None and time.monotonic() < end, "the service does not start"
        time.sleep(0.1)


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """Run Chromium; skip where there is none."""
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if path is None:
        pytest.skip(skips.BROWSER)
    playwright = pytest.importorskip("playwright.sync_api", reason=skips.BROWSER)
    with playwright.sync_playwright() as driver:
        browser: Browser = driver.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            browser.close()


@dataclass(frozen=True)
class Station:
    """What the tests of a module share.

    Attributes
    ----------
    chromium : Browser
        Running.
    folder : Path
        With `slides` in it.
    base : str
        Address of the service of these.
    """

    chromium: Browser
    folder: Path
    base: str


@contextlib.contextmanager
def station(folder: Path, **options: Any) -> Iterator[Station]:
    """Run Chromium, and a service of slides in a folder, with options of `ServeOptions`."""
    with chromium() as running:
        make_slides(folder / "slides")
        with service(folder / "slides", folder / "cache", **options) as base:
            yield Station(running, folder, base)


def _settle(base: str, token: str) -> None:
    """Wait until the service has looked at all slides: a list tells of others only that they are there."""
    asked = urllib.request.Request(f"{base}api/slides", headers={"Authorization": f"Bearer {token}"} if token else {})
    while True:
        with urllib.request.urlopen(asked, timeout=START_S) as answer:
            slides = json.load(answer)["slides"]
        if all(slide["planes"] or slide["problem"] for slide in slides):
            return


@contextlib.contextmanager
def opening(at: Station) -> Iterator[Opening]:
    """Yield a function that opens a page; at the end nothing may have gone wrong on any."""
    contexts: list[BrowserContext] = []
    pages: list[Watched] = []

    def open_page(**options: Any) -> Watched:
        contexts.append(at.chromium.new_context(**{"viewport": SCREEN, "reduced_motion": "reduce", **options}))
        pages.append(Watched.of(contexts[-1], at.base))
        return pages[-1]

    yield open_page
    for context in contexts:
        context.close()
    assert not [wrong for page in pages for wrong in page.wrong]


@dataclass
class Watched:
    """A page of the viewer, and what went wrong on it.

    Attributes
    ----------
    page : Page
        Of Playwright.
    base : str
        Address of the service.
    wrong : list of str
        Console messages, errors thrown, requests that failed or were refused.
    """

    page: Page
    base: str
    wrong: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, context: BrowserContext, base: str) -> Watched:
        """Open a page and watch it."""
        watched = cls(context.new_page(), base)
        wrong, page = watched.wrong, watched.page
        page.on("console", lambda message: wrong.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: wrong.append(f"thrown: {error}"))
        page.on("requestfailed", lambda request: wrong.extend(_failed(request)))
        page.on(
            "response", lambda answer: wrong.append(f"{answer.status}: {answer.url}") if answer.status > 399 else None
        )
        page.set_default_timeout(15_000)
        return watched

    def open(self, link: str = "") -> None:
        """Go to the list, or to what a link says; the canvas drawer is three times as fast as WebGL without a GPU."""
        self.page.goto(f"{self.base}?drawer=canvas{link}")
        self.page.locator(".pane" if link else "#slides li").first.wait_for()

    def slide(self, name: str = "alpha.svs") -> None:
        """Open a slide by its name, and wait until all of it is drawn."""
        self.open(f"#slide={slide_id(name)}")
        self.shows()

    def shows(self, plane: int | str | None = None, pane: int = 0) -> None:
        """Wait until a pane shows a plane, with all its tiles."""
        which = "" if plane is None else f'[data-plane="{plane}"]'
        self.page.locator(f'.pane:nth-child({pane + 1})[data-whole="true"]{which}').wait_for()

    def best(self) -> None:
        """Ask for the best, and wait for it."""
        self.page.keyboard.press("b")
        self.shows("best")

    def layer(self, name: str) -> None:
        """Wait until a layer of the focus map shows, with all its tiles."""
        self.page.locator(f'#legend[data-layer="{name}"][data-whole="true"]').wait_for()

    def sharpness(self, pane: int = 0) -> tuple[float, float]:
        """Return the variance of fine detail in the left and in the right half of what a pane shows of the specimen."""
        data = self.page.locator(".pane").nth(pane).locator("canvas").first.screenshot()
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE)
        assert picture is not None
        height, width = picture.shape
        side = min(height, width) // 5
        middle = slice(height // 2 - side // 2, height // 2 + side // 2)
        parts = [slice(width // 2 - 3 * side // 2, width // 2 - side // 2)]
        parts += [slice(width // 2 + side // 2, width // 2 + 3 * side // 2)]
        found = [float(cv2.Laplacian(picture[middle, part], cv2.CV_64F).var()) for part in parts]
        return found[0], found[1]

    def fields(self) -> dict[str, str]:
        """Return what the address says of the view, once it has settled."""
        self.page.wait_for_timeout(100)  # views move in a frame of their own
        self.page.locator('#slide-view[data-settled="true"]').wait_for()
        return dict(pair.split("=") for pair in self.page.url.partition("#")[2].split("&"))

    def violations(self) -> list[Any]:
        """Return what axe-core finds that is serious or critical."""
        axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason=skips.BROWSER)
        found = axe.Axe().run(self.page).response["violations"]
        return [
            (each["id"], [node["html"] for node in each["nodes"]])
            for each in found
            if each["impact"] in ("serious", "critical")
        ]


def slide_id(name: str) -> str:
    """Return the id that the service gives a slide."""
    return hashlib.sha256(name.encode()).hexdigest()[:16]


def _failed(request: Request) -> list[str]:
    """Return what failed of itself, not what the page gave up because it is not needed any more."""
    return [] if request.failure == "net::ERR_ABORTED" else [f"failed: {request.url} {request.failure}"]


def grey(png: bytes) -> NDArray[np.float32]:
    """Return a screenshot in grey."""
    picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_GRAYSCALE)
    assert picture is not None
    return picture.astype(np.float32)


def shift(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return by how many pixels two screenshots of one place are apart."""
    height, width = (min(sizes) for sizes in zip(one.shape, other.shape, strict=True))
    inner = slice(height // 4, 3 * height // 4), slice(width // 4, 3 * width // 4)
    (x, y), _ = cv2.phaseCorrelate(one[:height, :width][inner].copy(), other[:height, :width][inner].copy())
    return float(np.hypot(x, y))
