"""The viewer's files: nothing comes from elsewhere, nothing that the content security policy forbids is needed."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest

import planish

FOLDER = Path(planish.__file__).parent / "serve" / "viewer"
OWN = sorted(path for path in FOLDER.iterdir() if path.suffix in (".js", ".html", ".css"))
OPENSEADRAGON = "14d587cd3ee7c4861f1a41077ce642029364a21029956ba635bd8fb1202cf9ad"
"""SHA-256 of openseadragon.min.js in openseadragon@6.1.1 on npm."""


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_nothing_comes_from_elsewhere_or_runs_inline(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"https?:|[\"'(]//|@import|<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function", text)


def test_names_asked_for_are_there() -> None:
    page = (FOLDER / "index.html").read_text(encoding="utf-8")
    for name in re.findall(r'(?:src|href)="viewer/([^"]+)"', page):
        assert (FOLDER / name).is_file(), name
    for path in FOLDER.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        for name in re.findall(r'from "\./([^"]+)"', text):
            assert (FOLDER / name).is_file(), f"{path.name}: {name}"
        for name in re.findall(r'\$\("([a-z-]+)"\)', text):
            assert f'id="{name}"' in page, f"{path.name}: {name}"


def test_files_are_short() -> None:
    assert max(len(path.read_text(encoding="utf-8").splitlines()) for path in OWN) <= 300


def test_openseadragon_is_the_published_one_with_its_licence() -> None:
    vendored = FOLDER / "openseadragon"
    assert hashlib.sha256((vendored / "openseadragon.min.js").read_bytes()).hexdigest() == OPENSEADRAGON
    assert "OpenSeadragon contributors" in (vendored / "LICENSE.txt").read_text(encoding="utf-8")
