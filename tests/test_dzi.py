"""Deep Zoom outputs: sizes, tiles, pixels by another decoder, both names or none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import pyvips
from numpy.typing import NDArray
from openslide import OpenSlide
from openslide.deepzoom import DeepZoomGenerator
from PIL import Image

from arrays import ArraySlide
from makers import container, make_stack
from planish.errors import Cancelled, OptionError, OutputExists, WriteError
from planish.slide.open import open_slide
from planish.write import dzi, dzitiles
from planish.write.options import WriteOptions
from planish.write.output import write


def picture(channels: int = 3) -> NDArray[Any]:
    return np.tile(make_stack(planes=1, channels=channels), (1, 2, 2, 1))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def tile(folder: Path, level: int, name: str) -> NDArray[Any]:
    with Image.open(folder / str(level) / name) as image:
        return np.asarray(image)


@pytest.mark.parametrize("channels", [1, 3])
def test_lossless_tiles_are_the_pixels_with_their_neighbours(tmp_path: Path, channels: int) -> None:
    stack = picture(channels)
    written = write(ArraySlide(stack), tmp_path / "flat.dzi", WriteOptions(lossless=True))
    assert names(tmp_path) == ["flat.dzi", "flat_files"]
    root = ElementTree.parse(written.path).getroot()
    assert (root.get("Format"), root.get("TileSize"), root.get("Overlap")) == ("png", "254", "1")
    assert {key: root[0].get(key) for key in ("Width", "Height")} == {"Width": "1040", "Height": "784"}
    files = tmp_path / "flat_files"
    assert names(files) == sorted(str(level) for level in range(12))
    assert len(names(files / "11")) == 5 * 4
    wanted = stack[0] if channels == 3 else stack[0, ..., 0]
    assert np.array_equal(tile(files, 11, "0_0.png"), wanted[:255, :255])
    assert np.array_equal(tile(files, 11, "2_1.png"), wanted[253:509, 507:763])
    assert tile(files, 0, "0_0.png").shape[:2] == (1, 1)


def test_jpeg_tiles_are_those_of_openslides_own_generator_to_within_the_quality(tmp_path: Path) -> None:
    slide = ArraySlide(picture())
    write(slide, tmp_path / "flat.dzi", WriteOptions(quality=95))
    write(slide, tmp_path / "flat.tif", WriteOptions(lossless=True))
    with OpenSlide(tmp_path / "flat.tif") as opened:
        reference = DeepZoomGenerator(opened, tile_size=254, overlap=1)
        assert reference.level_count == 12
        for level, column, row in ((11, 1, 1), (11, 4, 3), (10, 1, 0), (9, 0, 0)):
            found = tile(tmp_path / "flat_files", level, f"{column}_{row}.jpg")
            wanted = np.asarray(reference.get_tile(level, (column, row)))[..., :3]
            assert np.abs(found.astype(int) - wanted).mean() < 1.5


def test_tiles_that_a_slide_hands_out_pass_unchanged(tmp_path: Path) -> None:
    source = container(tmp_path, make_stack(), kind="svs", color="rgb", quality=90)
    with open_slide(source) as slide:
        one = slide.view(planes=[1])
        assert dzi._hands_out_tiles(one)
        write(one, tmp_path / "flat.dzi", WriteOptions(lossless=True))
        wanted = one.read_region(0, 0, 253, 0, 256, 255)
    assert np.array_equal(tile(tmp_path / "flat_files", 10, "1_0.png"), wanted)


def test_quality_is_kept_and_lower_quality_is_smaller(tmp_path: Path) -> None:
    slide = ArraySlide(picture())
    fine = write(slide, tmp_path / "fine.dzi")
    small = write(slide, tmp_path / "small.dzi", WriteOptions(quality=40))
    assert small.size < fine.size
    assert fine.encoding.codec == small.encoding.codec == "jpeg"
    assert fine.tiles_checked > 16


@pytest.mark.parametrize(
    "options",
    [{"mode": "copy"}, {"levels": "source"}, {"layout": "aperio"}, {"label": True}, {"macro": True}],
)
def test_what_the_format_cannot_hold_is_refused(tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="leave it out"):
        write(ArraySlide(picture()), tmp_path / "flat.dzi", WriteOptions(**options))
    assert not names(tmp_path)


@pytest.mark.parametrize("stack", [make_stack(planes=1, channels=2), make_stack(planes=1, channels=1, dtype=np.uint16)])
def test_pixels_that_no_tile_can_hold_are_refused(tmp_path: Path, stack: NDArray[Any]) -> None:
    with pytest.raises(OptionError, match="8-bit grey or RGB"):
        write(ArraySlide(stack), tmp_path / "flat.dzi")
    with pytest.raises(OptionError, match="flatten it"):
        write(ArraySlide(make_stack()), tmp_path / "flat.dzi")


@pytest.mark.parametrize("stage", ["writing", "cutting tiles"])
def test_a_cancelled_output_leaves_nothing(tmp_path: Path, stage: str) -> None:
    def cancel(now: str, done: int, total: int) -> None:
        if now == stage:
            raise Cancelled("enough")

    with pytest.raises(Cancelled, match="enough"):
        write(ArraySlide(picture()), tmp_path / "flat.dzi", progress=cancel)
    assert not names(tmp_path)


def test_old_tiles_are_replaced_only_when_allowed_and_other_folders_never(tmp_path: Path) -> None:
    slide, path = ArraySlide(picture()), tmp_path / "flat.dzi"
    write(slide, path)
    with pytest.raises(OutputExists):
        write(slide, path)
    write(ArraySlide(picture()[:, :300, :300]), path, WriteOptions(overwrite=True))
    assert names(tmp_path) == ["flat.dzi", "flat_files"]
    assert len(names(tmp_path / "flat_files")) == 10
    shutil.rmtree(tmp_path / "flat_files")
    (tmp_path / "flat_files").mkdir()
    (tmp_path / "flat_files" / "chapter.txt").touch()
    with pytest.raises(WriteError, match="not of the kind"):
        write(slide, path, WriteOptions(overwrite=True))


@pytest.mark.parametrize("damage", ["tile", "count", "description"])
def test_what_does_not_read_back_is_no_output(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    save = dzi._save

    def spoil(flat: Path, base: Path, suffix: str, progress: Any) -> None:
        save(flat, base, suffix, progress)
        level = base.with_name("image_files") / "11"
        if damage == "tile":
            shutil.copyfile(level / "1_1.jpg", level / "1_2.jpg")
        elif damage == "count":
            (level / "0_0.jpg").unlink()
        else:
            file = base.with_suffix(".dzi")
            file.write_text(file.read_text().replace("1040", "1041"))

    monkeypatch.setattr(dzi, "_save", spoil)
    monkeypatch.setattr(dzitiles, "SAMPLE", 64)
    with pytest.raises(WriteError, match="write it again"):
        write(ArraySlide(picture()), tmp_path / "flat.dzi")
    assert not names(tmp_path)


def test_folders_of_others_that_are_called_like_tiles_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "flat_files" / "2023").mkdir(parents=True)
    photo = tmp_path / "flat_files" / "2023" / "precious.txt"
    for name in (None, "0_0.jpg", "flat.dzi"):
        photo.touch()
        if name == "flat.dzi":
            (tmp_path / name).touch()
        elif name:
            photo = photo.rename(photo.with_name(name))  # tiles, but without a .dzi
        with pytest.raises(WriteError, match="not of the kind"):
            write(ArraySlide(picture()), tmp_path / "flat.dzi", WriteOptions(overwrite=True))
        assert photo.exists()
        photo = photo.rename(photo.with_name("precious.txt"))


def test_a_full_disk_is_said_in_one_line_with_the_systems_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise pyvips.Error(f"unable to call dzsave\nwbuffer_write: write failed\nunix error: {os.strerror(28)}\n")

    monkeypatch.setattr(pyvips.Image, "dzsave", fail, raising=False)
    with pytest.raises(WriteError, match=r"flat\S*: writing failed \(No space left on device\)") as caught:
        write(ArraySlide(picture()), tmp_path / "flat.dzi")
    assert isinstance(caught.value.__cause__, OSError)
    assert not names(tmp_path)
