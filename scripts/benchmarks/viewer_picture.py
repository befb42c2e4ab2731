"""Takes the pictures of the viewer in README and guide: a plane beside the best of all, and the focus map."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from io import BytesIO
from pathlib import Path

from phantoms import phantom_file
from PIL import Image
from playwright.sync_api import sync_playwright
from service_case import service

from planish.phantom.specimen import PhantomOptions

SHOTS = {
    "viewer.jpg": "plane=4&x=900&y=1050&zoom=1&side=1",
    "viewer-map.jpg": "plane=best&overlay=0.5&x=1024&y=1024&zoom=0.36",
}


def main() -> None:
    """Write them into a folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    browser = shutil.which("chromium") or sys.exit("viewer_picture: needs Chromium; install it, or leave the pictures")
    _, slide = phantom_file(PhantomOptions("cytology-dense", 2048, 2048, 9))
    with tempfile.TemporaryDirectory() as served:
        shutil.copyfile(slide, Path(served) / "Pap 26-1042.svs")
        with service(Path(served)) as running, sync_playwright() as playwright:
            number = running.ids()["Pap 26-1042.svs"]
            running.make_best(number)
            chromium = playwright.chromium.launch(
                executable_path=browser, args=["--no-sandbox", "--disable-dev-shm-usage"]
            )
            for name, view in SHOTS.items():
                page = chromium.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce")
                page.goto(f"{running.root}/?drawer=canvas#slide={number}&{view}")
                page.wait_for_selector('.pane[data-plane="best"][data-whole="true"]', timeout=60_000)
                page.mouse.move(300, 330)
                page.wait_for_timeout(1500)
                Image.open(BytesIO(page.screenshot())).convert("RGB").save(folder / name, quality=85)
                page.close()
            chromium.close()


if __name__ == "__main__":
    main()
