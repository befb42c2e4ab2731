"""Bad input: one clear line, exit code 1, and nothing left behind."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from arrays import ArraySlide
from makers import container, images, make_stack, tiled_page
from planish.cli import main
from planish.phantom.containers import ContainerOptions, write_container
from planish.write.assembler import Ifd, TiffAssembler

Say = pytest.CaptureFixture[str]
Bad = Callable[[Path], Path]


def missing(folder: Path) -> Path:
    return folder / "nowhere.svs"


def empty(folder: Path) -> Path:
    path = folder / "empty.svs"
    path.touch()
    return path


def empty_folder(folder: Path) -> Path:
    path = folder / "none"
    path.mkdir()
    return path


def text(folder: Path) -> Path:
    path = folder / "letter.tif"
    path.write_text("Dear colleague, attached is no slide.\n" * 40)
    return path


def header_only(folder: Path) -> Path:
    path = folder / "header.tif"
    path.write_bytes(b"II*\0\x08\0\0\0")
    return path


def cut(kind: str, share: float) -> Bad:
    def make(folder: Path) -> Path:
        path = container(folder, make_stack(), kind=kind)
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
        return path

    make.__name__ = f"{kind}_cut_at_{share}"
    return make


def cut_with_directory_in_front(folder: Path) -> Path:
    path = folder / "front.tif"
    with tifffile.TiffWriter(path) as writer:
        for plane in make_stack():
            writer.write(plane, tile=(128, 128), photometric="rgb", contiguous=False)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 3])
    return path


def cut_jpeg(folder: Path) -> Path:
    inside = folder / "stack"
    inside.mkdir()
    for index, plane in enumerate(make_stack()):
        data = bytes(imagecodecs.jpeg8_encode(plane, level=90))
        (inside / f"{index}.jpg").write_bytes(data[: len(data) // 2] if index == 2 else data)
    return inside


def planes_of_different_size(folder: Path) -> Path:
    inside = images(folder, make_stack())
    (inside / "plane20.png").write_bytes(bytes(imagecodecs.png_encode(np.zeros((50, 60, 3), np.uint8))))
    return inside


def levels_of_different_size(folder: Path) -> Path:
    path = folder / "mixed.ome.tif"
    stack = make_stack()
    write_container(ArraySlide(stack, z_um=[0, 1, 2, 3]), path, ContainerOptions(codec="none", shuffle=None))
    with tifffile.TiffFile(path, mode="r+") as tif:
        page = tif.pages[1].aspage()
        page.tags["ImageLength"].overwrite(300)
    return path


def absurd(width: int, height: int, tile: int) -> Bad:
    def make(folder: Path) -> Path:
        path = folder / "absurd.tif"
        with path.open("xb") as file:
            assembler = TiffAssembler(file)
            place = assembler.append(bytes(100))
            assembler.finish([Ifd(tiled_page(assembler, (width, height), tile, [place], [100]))])
        return path

    make.__name__ = f"absurd_{width}x{height}"
    return make


def unreadable_tile(folder: Path) -> Path:
    """Overwrite the tile in the middle of every plane."""
    path = container(folder, make_stack(), kind="svs", tile=128, downsamples=(1,))
    with tifffile.TiffFile(path) as tif:
        places = [
            (page.dataoffsets[7], page.databytecounts[7])
            for page in (page.aspage() for page in tif.pages)
            if page.is_tiled
        ]
    with path.open("rb+") as file:
        for offset, size in places:
            file.seek(offset)
            file.write(bytes(size))
    return path


def float_stack(folder: Path) -> Path:
    path = folder / "float.npy"
    np.save(path, np.zeros((3, 90, 90), np.float32))
    return path


def pickled(folder: Path) -> Path:
    path = folder / "pickled.npy"
    np.save(path, np.array([{"a": 1}], object), allow_pickle=True)
    return path


def several_planes_in_a_folder(folder: Path) -> Path:
    inside = folder / "stacks"
    inside.mkdir()
    container(inside, make_stack(), kind="svs")
    return inside


BAD: list[Bad] = [
    missing, empty, empty_folder, text, header_only, cut("ome-tiff", 0.5), cut("svs", 0.9), cut("ndpi", 0.5),
    cut_with_directory_in_front, cut_jpeg, planes_of_different_size, levels_of_different_size,
    absurd(2**31, 2**31, 256), absurd(100_000, 100_000, 256), absurd(60_000, 60_000, 60_000), absurd(256, 256, 256),
    unreadable_tile, float_stack, pickled, several_planes_in_a_folder,
]  # fmt: skip


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_one_clear_line_and_nothing_left(make: Bad, tmp_path: Path, capsys: Say) -> None:
    slide, out = make(tmp_path), tmp_path / "out"
    out.mkdir()
    assert main(["flatten", str(slide), str(out / "flat.tif"), "--quiet"]) == 1
    said = capsys.readouterr()
    assert not said.out
    lines = said.err.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("planish: ")
    assert slide.name in lines[0] or slide.parent.name in lines[0]
    assert not list(out.iterdir())


@pytest.mark.parametrize("command", ["flatten", "heatmap", "focus"])
def test_an_output_folder_that_is_missing_or_read_only(command: str, tmp_path: Path, capsys: Say) -> None:
    slide = container(tmp_path, make_stack())
    # Not even root can write to /proc.
    for folder in (tmp_path / "missing", Path("/proc")):
        name = "out.tif" if command == "flatten" else "out.png"
        assert main([command, str(slide), str(folder / name)]) == 1
        said = capsys.readouterr().err.strip()
        assert str(folder) in said
        assert len(said.splitlines()) == 1


def test_an_existing_output_is_not_touched(tmp_path: Path, capsys: Say) -> None:
    slide = container(tmp_path, make_stack())
    for name in ("flat.tif", "flat.map.json", "flat.record.json"):
        path = tmp_path / name
        path.write_text("mine")
        assert main(["flatten", str(slide), str(tmp_path / "flat.tif")]) == 1
        assert "--overwrite" in capsys.readouterr().err
        assert path.read_text() == "mine"
        path.unlink()
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif")]) == 0
    assert main(["flatten", str(slide), str(tmp_path / "flat.tif"), "--overwrite"]) == 0


LIMITED = """
import resource, sys
from planish.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("limit", [100, 5_000, 60_000])
def test_a_full_disk(limit: int, tmp_path: Path) -> None:
    """A limit on the size of files fails writes as a full disk does, at any user's hand."""
    slide, out = container(tmp_path, make_stack(), codec="deflate"), tmp_path / "out"
    out.mkdir()
    arguments = [sys.executable, "-c", LIMITED, str(limit), "flatten", str(slide), str(out / "flat.tif"), "--quiet"]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert len(ended.stderr.strip().splitlines()) == 1
    assert "nothing was left there" in ended.stderr
    assert not list(out.iterdir())


def test_a_folder_as_output(tmp_path: Path, capsys: Say) -> None:
    slide = container(tmp_path, make_stack())
    assert main(["flatten", str(slide), str(tmp_path), "--overwrite"]) == 1
    assert "folder" in capsys.readouterr().err


def test_a_zero_length_tile_is_white_glass(tmp_path: Path) -> None:
    path = tmp_path / "sparse.tif"
    with path.open("xb") as file:
        assembler = TiffAssembler(file)
        place = assembler.append(bytes(128 * 128 * 3))
        page = tiled_page(assembler, (256, 128), 128, [place, 0], [128 * 128 * 3, 0])
        assembler.finish([Ifd(page)])
    from planish.slide.open import open_slide

    with open_slide(path) as slide:
        assert not slide.read_tile(0, 0, 0, 0).any()
        assert (slide.read_tile(0, 0, 1, 0) == 255).all()


def test_a_slide_that_vanishes_is_an_error(tmp_path: Path, capsys: Say) -> None:
    slide = container(tmp_path, make_stack())
    shutil.rmtree(tmp_path)
    assert main(["info", str(slide)]) == 1
    assert "no such file" in capsys.readouterr().err
