"""Draws the morning report of README: a night over phantoms, one of them poisoned, in Chromium's own rendering."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from night_case import POISON

from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.specimen import PhantomOptions, PhantomSlide

CASES = {
    "2026-11-19/K-1041": ("cytology-sparse", 0), "2026-11-19/K-1042": ("cytology-dense", 0),
    "2026-11-19/K-1043": ("tissue", 0), "2026-11-20/K-1044": ("cytology-sparse", 1),
    "2026-11-20/poison-segfault": ("cytology-sparse", 1),
}  # fmt: skip


def main() -> None:
    """Write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("picture", type=Path)
    picture = parser.parse_args().picture
    browser = shutil.which("chromium") or sys.exit("report_picture: needs Chromium; install it, or leave the picture")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case, (kind, seed) in CASES.items():
            slide = PhantomSlide(PhantomOptions(kind, 1536, 1024, 7, seed=seed))
            path = folder / "exports" / f"{case}.svs"
            path.parent.mkdir(parents=True, exist_ok=True)
            write_container(slide, path, ContainerOptions("svs"))
        night = [sys.executable, "-m", "planish.cli", "batch", "exports", "flats", "--quiet"]
        subprocess.run(night, cwd=folder, env={**os.environ, "PYTHONPATH": str(POISON)}, check=False)
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--window-size=1200,1270"]
        page = (folder / "flats" / "planish-report.html").as_uri()
        subprocess.run([browser, *options, f"--screenshot={picture.absolute()}", page], check=True, capture_output=True)


if __name__ == "__main__":
    main()
