"""`planish info`: the table for people and the object for programs."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from arrays import ArraySlide
from made_dicom import write_dicom_stack
from made_zarr import ZarrForm, make_zarr
from makers import Z_UM, container, images, make_stack, multi_page
from planish.batch.discover import discover
from planish.cli import main
from planish.errors import TileError
from planish.model import EncodedTile, Encoding
from planish.report.description import describe, format_table
from planish.slide.open import open_slide

Data = Callable[[str], Path]
Say = pytest.CaptureFixture[str]
KEYS = {
    "bytes", "modified", "format", "vendor", "width", "height", "planes", "levels", "dtype", "channels", "mpp_x",
    "mpp_y", "objective_power", "icc_profile", "associated", "encoding", "notes", "scenes", "times", "byte_counts",
    "copied_levels",
}  # fmt: skip
"""What batch, records and the service read, and people's programs."""
REAL = {
    "slides/CMU-1-Small-Region.svs": (1, "jpeg", [0], True),
    "slides/hamamatsu-dapi.ndpi": (1, "jpeg", [0, 1, 2, 3], True),
    "slides/olympus/vsi-ets-test-jpg2k.vsi": (11, "jpeg2000", [], False),
    "slides/tiles_z.czi": (2, None, [], False),
    "slides/LLS7_small.czi": (3, None, [], False),
    "slides/CellDivision_T3_Z6_CH1_X300_Y200_DCV_ZSTD.czi": (6, None, [], False),
    "slides/dicom-camelyon": (1, "jpeg", [0], True),
    "slides/dicom-cmu": (1, "jpeg", list(range(12)), True),
    "slides/multi-channel-z-series.ome.tif": (5, None, [], False),
    "focal-stacks/pcb": (7, "jpeg", [], False),
    "focal-stacks/radiolarian.tif": (3, "none", [], False),
}
"""Planes, codec, levels whose tiles are copied, whether byte counts are comparable."""


def told(path: Path, capsys: Say) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what `planish info` says of a file: the object, and the rows of the table."""
    assert main(["info", str(path), "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert main(["info", str(path)]) == 0
    rows, _, levels = capsys.readouterr().out.partition("\n\n")
    assert len([line for line in levels.splitlines() if not line.startswith("note: ")]) == 1 + len(described["levels"])
    return described, {line[:12].strip(): line[12:] for line in rows.splitlines()}


def test_json_has_every_key_and_planes_as_a_list(tmp_path: Path, capsys: Say) -> None:
    described, rows = told(container(tmp_path, make_stack(), kind="svs", quality=90), capsys)
    assert set(described) == KEYS | {"name"}
    assert described["planes"] == [{"index": index, "z_um": z} for index, z in enumerate(Z_UM)]
    assert described["byte_counts"] == {"comparable": True, "why_not": None}
    assert described["copied_levels"] == list(range(len(described["levels"])))
    assert (described["scenes"], described["times"]) == ([""], 1)
    assert rows["planes"] == "4, z -1.5, 0, 1.5, 3.25 µm"
    assert rows["byte counts"] == "comparable: they tell the sharpest plane"
    assert rows["copying"] == "JPEG tiles of all levels, byte for byte"
    assert rows["pixels"] == "uint8, RGB"
    assert "scenes" not in rows


@pytest.mark.parametrize(
    ("make", "why_not"),
    [
        (partial(container, codec="lzw"), "lzw compression is lossless, so bytes follow the noise"),
        (multi_page, "the file has strips instead of tiles"),
        (images, "the reader knows no byte counts"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_reason(
    make: Callable[[Path, Any], Path], why_not: str, tmp_path: Path, capsys: Say
) -> None:
    described, rows = told(make(tmp_path, make_stack()), capsys)
    assert described["byte_counts"] == {"comparable": False, "why_not": why_not}
    assert described["copied_levels"] == []
    assert rows["byte counts"] == f"not used: {why_not}"
    assert rows["copying"] == "no stored tiles; pixels are encoded anew"


@pytest.mark.parametrize("name", REAL)
def test_real_files_are_told_whole(name: str, data: Data, capsys: Say) -> None:
    planes, codec, copied, comparable = REAL[name]
    described, rows = told(data(name), capsys)
    assert len(described["planes"]) == planes
    assert (described["encoding"] or {}).get("codec") == codec
    assert described["copied_levels"] == copied
    assert described["byte_counts"]["comparable"] is comparable
    assert bool(described["byte_counts"]["why_not"]) is not comparable
    assert rows["format"].startswith(described["format"])
    assert rows["planes"].startswith(str(planes))
    assert all(rows.values())


def test_the_real_vsi_is_told_with_its_folder(data: Data, capsys: Say) -> None:
    described, rows = told(data("slides/olympus/vsi-ets-test-jpg2k.vsi"), capsys)
    assert described["bytes"] == 103_667 + 95_837
    assert described["scenes"] == ["001 C405, C488"]
    assert rows["pixels"] == "uint16, 2 channels: C405, C488"
    assert rows["planes"] == "11, z 5074.94 to 5084.94 µm in steps of 1"
    assert rows["pixel size"] == "0.1083 × 0.1083 µm, 60× objective"


def test_time_points_are_told(data: Data, capsys: Say) -> None:
    described, rows = told(data("slides/LLS7_small.czi"), capsys)
    assert (described["times"], rows["time points"]) == (2, "2")


def test_many_scenes_and_channels_are_counted_not_listed() -> None:
    slide = ArraySlide(np.zeros((2, 64, 64, 12), np.uint16))
    slide.scenes = ("", *(f"region {index}" for index in range(1, 12)))
    table = format_table(describe(slide))
    assert (
        "\nscenes      12: 0, region 1, region 2, region 3, region 4, region 5, region 6, region 7 and 4 more\n"
        in table
    )
    assert "pixels      uint16, 12 channels\n" in table
    slide.channels = tuple(f"dye {index}" for index in range(12))
    assert "12 channels: dye 0, dye 1, dye 2, dye 3, dye 4, dye 5, dye 6, dye 7 and 4 more\n" in format_table(
        describe(slide)
    )


def test_a_damaged_tile_does_not_hide_the_rest() -> None:
    class Damaged(ArraySlide):
        def encoding(self, level: int, plane: int) -> Encoding:
            return Encoding("jpeg", "ycbcr")

        def encoded_tile(self, level: int, plane: int, column: int, row: int) -> EncodedTile | None:
            raise TileError("tile (0, 0) is cut")

    assert describe(Damaged(make_stack()))["copied_levels"] == []


def size(*paths: Path) -> int:
    return sum(path.stat().st_size for path in paths)


def test_the_bytes_are_those_of_the_files_that_are_read(tmp_path: Path, capsys: Say) -> None:
    folder = images(tmp_path, make_stack())
    planes = [*folder.iterdir()]
    (folder / "more").mkdir()
    for other in (folder / "notes.txt", folder / "more" / "other.tif"):
        other.write_bytes(bytes(1000))
    assert told(folder, capsys)[0]["bytes"] == size(*planes)


def test_a_file_of_a_series_is_told_with_the_others(tmp_path: Path, capsys: Say) -> None:
    folder = write_dicom_stack(tmp_path, make_stack(), (-1.5, 0.0, 1.5, 3.0))
    files = [*folder.iterdir()]
    (folder / "preview.png").write_bytes(bytes(1000))
    for source in (folder, files[0]):
        assert told(source, capsys)[0]["bytes"] == size(*files)


def test_discovery_and_description_agree_on_bytes(tmp_path: Path, capsys: Say) -> None:
    container(tmp_path, make_stack(), kind="svs", quality=90)
    make_zarr(tmp_path, make_stack(), ZarrForm())
    images(tmp_path, make_stack())
    write_dicom_stack(tmp_path / "dicom", make_stack(), (-1.5, 0.0, 1.5, 3.0))
    found = discover(tmp_path).found
    assert len(found) == 4
    for slide in found:
        assert told(slide.path, capsys)[0]["bytes"] == slide.size


def test_of_a_folder_of_very_many_files_no_bytes_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_zarr(tmp_path, make_stack(), ZarrForm())
    monkeypatch.setattr("planish.report.description._MOST_FILES", 20)
    looked: Counter[Path] = Counter()
    stat = Path.stat

    def counted(file: Path, **options: Any) -> os.stat_result:
        looked[file] += 1
        return stat(file, **options)

    with open_slide(path) as slide:
        monkeypatch.setattr(Path, "stat", counted)
        facts = describe(slide)
    assert (facts["bytes"], facts["modified"]) == (None, None)
    assert 20 <= len(looked) < 30
    assert "bytes" not in format_table(facts).partition("byte counts")[0]
