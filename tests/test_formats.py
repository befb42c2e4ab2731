"""docs/formats.md, the registry and the extras say the same; a missing extra is named in one line."""

from __future__ import annotations

import importlib
import runpy
import sys
import tomllib
from collections.abc import Callable, Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import pytest

from planish.cli import main
from planish.slide.base import Slide
from planish.slide.readers import READERS, Reader

ROOT = Path(__file__).parents[1]
EXTRAS = {reader.extra: reader for reader in READERS if reader.extra}
LIBRARIES = {"czi": "pylibCZIrw", "dicom": "wsidicom", "vsi": "slideio", "zarr": "zarr"}
"""Modules that the extras bring."""
FILES = {
    "czi": "slides/tiles_z.czi",
    "dicom": "slides/dicom-camelyon",
    "vsi": "slides/olympus/vsi-ets-test-jpg2k.vsi",
}
Say = pytest.CaptureFixture[str]


class Absent(MetaPathFinder):
    """Finds that a library is not installed."""

    def __init__(self, library: str) -> None:
        self.library = library

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Raise as Python does where there is no such module."""
        if fullname.partition(".")[0] == self.library:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


@pytest.fixture
def without(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Take an extra's library and the reader that has imported it away."""
    extra: str = request.param
    ours = EXTRAS[extra].target.partition(":")[0]
    for name in list(sys.modules):
        if name.partition(".")[0] == LIBRARIES[extra] or name.startswith(ours):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [Absent(LIBRARIES[extra]), *sys.meta_path])
    yield extra
    for name in [name for name in sys.modules if name.startswith(ours)]:
        del sys.modules[name]  # half imported; monkeypatch puts the whole one back


def test_the_page_is_what_the_registry_gives() -> None:
    page = runpy.run_path(str(ROOT / "scripts" / "formats.py"))["formats_page"]()
    assert (ROOT / "docs" / "formats.md").read_text(encoding="utf-8") == page, "run scripts/docs"
    for each in (each for reader in READERS for each in reader.formats):
        assert f"| {each.name} |" in page


@pytest.mark.parametrize("reader", READERS, ids=lambda reader: reader.name)
def test_every_target_is_a_slide(reader: Reader) -> None:
    module, _, name = reader.target.partition(":")
    kind = getattr(importlib.import_module(module), name)
    assert issubclass(kind, Slide)
    assert reader.formats
    assert all(each.name and each.files and each.planes for each in reader.formats)


def test_every_extra_is_installable_and_in_all() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    (everything,) = extras["all"]
    named = everything.partition("[")[2].rstrip("]").split(",")
    assert set(EXTRAS) == set(LIBRARIES) <= set(named)
    for extra, reader in EXTRAS.items():
        assert any(line.lower().startswith(reader.library.lower()) for line in extras[extra])


@pytest.mark.parametrize("without", sorted(LIBRARIES), indirect=True)
def test_a_missing_extra_is_named_in_one_line(
    without: str, data: Callable[[str], Path], tmp_path: Path, capsys: Say
) -> None:
    if without == "zarr":
        path = tmp_path / "stack.zarr"
        path.mkdir()
        (path / "zarr.json").write_text("{}", encoding="utf-8")
    else:
        path = data(FILES[without])
    assert main(["info", str(path)]) == 1
    said = capsys.readouterr()
    assert not said.out
    assert said.err.count("\n") == 1
    assert said.err.startswith(f"planish: {path}: ")
    assert f"pip install 'planish[{without}]'" in said.err
