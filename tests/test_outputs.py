"""What `planish flatten` writes is chosen by the output's name: the same flat slide in every kind of file."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from planish.cli import main
from planish.errors import PlanishError
from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.slide.open import open_slide
from planish.verification import verify_file
from planish.write.kinds import KINDS

NAMES = {"TIFF": "flat.tif", "DICOM": "flat.dicom", "OME-Zarr": "flat.zarr", "Deep Zoom": "flat.dzi"}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("source") / "scan.svs"
    slide = PhantomSlide(PhantomOptions("cytology-dense", 700, 600, 5, seed=2))
    write_container(slide, path, ContainerOptions(kind="svs"))
    return path


def flattened(source: Path, output: Path, *more: str) -> None:
    assert main(["flatten", str(source), str(output), "--quiet", *more]) == 0


def test_every_kind_has_a_name_here() -> None:
    assert {kind.name for kind in KINDS.values()} == set(NAMES)


@pytest.mark.parametrize("name", NAMES.values())
def test_each_kind_holds_the_same_flat_slide(source: Path, tmp_path: Path, name: str) -> None:
    flattened(source, tmp_path / "wanted.tif", "--write", "encode", "--quality", "100")
    flattened(source, tmp_path / name)
    if name.endswith(".dzi"):
        tiles = tmp_path / "flat_files" / "10"
        found = np.asarray(Image.open(tiles / "0_0.jpg"))[:255, :255]
    else:
        with open_slide(tmp_path / name) as slide:
            assert len(slide.planes) == 1
            found = slide.read_region(0, 0, 0, 0, 255, 255)
    with open_slide(tmp_path / "wanted.tif") as slide:
        wanted = slide.read_region(0, 0, 0, 0, 255, 255)
    assert np.abs(found.astype(int) - wanted).mean() < 1.5
    record = json.loads((tmp_path / "flat.record.json").read_text())
    assert record["output"]["tiles_read_back"] > 0
    assert {"flat.map.json", "flat.record.json"} < {path.name for path in tmp_path.iterdir()}
    assert not list(tmp_path.glob(".planish-*"))


@pytest.mark.parametrize("name", ["flat.tif", "flat.dicom", "flat.zarr"])
def test_each_kind_is_verified_against_its_source(source: Path, tmp_path: Path, name: str) -> None:
    flattened(source, tmp_path / name)
    assert main(["verify", str(tmp_path / name), str(source), "--all"]) == 0


def test_deep_zoom_says_why_it_is_not_verified(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flattened(source, tmp_path / "flat.dzi")
    assert main(["verify", str(tmp_path / "flat.dzi"), str(source)]) == 2
    assert "cut anew" in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES.values())
def test_what_is_there_is_replaced_only_when_that_is_asked_for(source: Path, tmp_path: Path, name: str) -> None:
    flattened(source, tmp_path / name, "--region", "0,0,300,300")
    assert main(["flatten", str(source), str(tmp_path / name), "--quiet"]) == 1
    flattened(source, tmp_path / name, "--overwrite")
    if not name.endswith(".dzi"):
        with open_slide(tmp_path / name) as slide:
            assert slide.levels[0].width == 700


@pytest.mark.parametrize(
    ("inside", "output"), [("own.dicom", "own.dicom"), ("own.zarr/0", "own.zarr"), ("own_files/0", "own.dzi")]
)
def test_a_folder_that_holds_the_source_is_not_replaced(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], inside: str, output: str
) -> None:
    own = tmp_path / inside / source.name
    own.parent.mkdir(parents=True)
    shutil.copyfile(source, own)
    assert main(["flatten", str(own), str(tmp_path / output), "--overwrite", "--quiet"]) == 1
    assert "which is needed" in capsys.readouterr().err
    (tmp_path / "planes").mkdir()
    (tmp_path / "planes" / "0.svs").symlink_to(own)
    assert main(["flatten", str(tmp_path / "planes"), str(tmp_path / output), "--overwrite", "--quiet"]) == 1
    assert "which is needed" in capsys.readouterr().err
    assert own.read_bytes() == source.read_bytes()


def test_a_folder_that_holds_a_side_file_or_the_map_is_not_replaced(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flattened(source, tmp_path / "flat.zarr")
    given = tmp_path / "flat.zarr" / "mine.json"
    shutil.copyfile(tmp_path / "flat.map.json", given)
    for words in (["--map", str(given)], ["--heatmap", str(tmp_path / "flat.zarr" / "mine.png")]):
        assert main(["flatten", str(source), str(tmp_path / "flat.zarr"), "--overwrite", "--quiet", *words]) == 1
        assert "which is needed" in capsys.readouterr().err
    assert given.exists()


@pytest.mark.parametrize("fuse", ["select", "hybrid"])
@pytest.mark.parametrize("name", ["flat.tif", "flat.dicom"])
def test_a_single_flipped_bit_of_a_tile_is_found(source: Path, tmp_path: Path, name: str, fuse: str) -> None:
    flattened(source, tmp_path / name, "--fuse", fuse)
    assert main(["verify", str(tmp_path / name), str(source), "--all"]) == 0
    file = tmp_path / name / "level-0.dcm" if name.endswith(".dicom") else tmp_path / name
    good = file.read_bytes()
    first, last = good.index(b"\xff\xda"), good.rindex(b"\xff\xd9")
    generator = np.random.default_rng(0)
    for place, bit in zip(generator.integers(first, last, 8), generator.integers(0, 8, 8), strict=True):
        bad = bytearray(good)
        bad[place] ^= 1 << int(bit)
        file.write_bytes(bad)
        with pytest.raises(PlanishError):
            verify_file(tmp_path / name, source, every_tile=True)


@pytest.mark.parametrize(
    ("name", "words", "said"),
    [
        ("flat.png", [], "the name says what kind"),
        ("flat.zarr", ["--quality", "80"], "without loss"),
        ("flat.dzi", ["--macro"], "leave it out"),
        ("flat.tif", ["--study", "1.2.3"], "only a DICOM series"),
        ("flat.dicom", ["--layout", "aperio"], "TIFF"),
    ],
)
def test_what_a_kind_cannot_hold_is_refused_before_the_survey(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, words: list[str], said: str
) -> None:
    assert main(["flatten", str(source), str(tmp_path / name), "--quiet", *words]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


class _Missing(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name.partition(".")[0] in ("zarr", "wsidicom", "pydicom"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(("name", "extra"), [("flat.zarr", "zarr"), ("flat.dicom", "dicom")])
def test_a_missing_library_is_named_with_its_extra(
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    extra: str,
) -> None:
    for module in [module for module in sys.modules if module.partition(".")[0] in ("zarr", "wsidicom", "pydicom")]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("planish.write.omezarr", "planish.write.dicom", "planish.slide.omezarr", "planish.slide.dicom"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [_Missing(), *sys.meta_path])
    output = source.with_name(f"flat.{extra.replace('dicom', 'dcm')}")
    assert main(["flatten", str(source), str(output), "--quiet"]) == 2
    assert f"planish[{extra}]" in capsys.readouterr().err


def test_dicom_to_dicom_copies_the_frames_byte_for_byte(data: Callable[[str], Path], tmp_path: Path) -> None:
    inner = data("slides/dicom-cmu")
    flattened(inner, tmp_path / "flat.dicom", "--fuse", "select", "--write", "copy", "--levels", "source")
    copied = 0
    with open_slide(inner) as wanted, open_slide(tmp_path / "flat.dicom") as found:
        assert len(wanted.levels) == len(found.levels) == 12
        for index, level in enumerate(wanted.levels):
            if level != found.levels[index]:
                continue  # upper levels have smaller tiles there
            for row in range(level.rows):
                for column in range(level.columns):
                    assert wanted.encoded_tile(index, 0, column, row) == found.encoded_tile(index, 0, column, row)
                    copied += 1
    assert copied == 30 + 9 + 4
