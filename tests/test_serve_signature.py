"""What tells that a slide was replaced: all of its files, however many it has."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from makers import dicom, images, make_stack, ome_zarr
from planish.batch.discover import discover
from planish.batch.entry import Found
from planish.batch.walk import measured
from planish.serve.answers import Answers
from planish.serve.registry import Registry
from planish.serve.signature import MOST_FILES, signature, signed
from planish.serve.wanted import Refused, Want
from stacks import focus_stack
from test_odd_files import shared_ome


def put(folder: Path, *names: str, text: bytes = b"x") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(text)


def set_of_files(folder: Path) -> str:
    return shared_ome(folder, make_stack(3, 1, np.uint16)[..., 0])[1].name


def series(folder: Path) -> str:
    dicom(folder, make_stack(3))
    return str(sorted(folder.rglob("*.dcm"))[-1].relative_to(folder))


def zarr(folder: Path) -> str:
    made = ome_zarr(folder, make_stack(3))
    described = next(made.rglob("0/.zarray"), None) or next(made.rglob("0/zarr.json"))
    return str(described.relative_to(folder))


def vsi(folder: Path) -> str:
    put(folder, "a.vsi", "_a_/stack1/frame_t.ets", "_a_/stack10001/frame_t.ets")
    return "_a_/stack10001/frame_t.ets"


def mirax(folder: Path) -> str:
    put(folder, "a.mrxs", "a/Slidedat.ini", "a/Data0000.dat", "a/Data0001.dat")
    return "a/Data0001.dat"


def vms(folder: Path) -> str:
    put(folder, "a.vms", text=b"[Virtual Microscope Specimen]\nImageFile=a.jpg\nImageFile(1,0)=b.jpg\n")
    put(folder, "a.jpg", "b.jpg")
    return "b.jpg"


def pictures(folder: Path) -> str:
    return str(sorted(images(folder, make_stack(3)).rglob("*.png"))[-1].relative_to(folder))


KINDS = [set_of_files, series, zarr, vsi, mirax, vms, pictures]


def only(folder: Path) -> Found:
    (found,) = discover(folder).found
    return found


def seen(found: Found) -> str:
    return signature(str(found.path), signed(found))


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_a_change_in_any_file_of_a_slide_is_seen(make: Callable[[Path], str], tmp_path: Path) -> None:
    member = tmp_path / make(tmp_path)
    found = only(tmp_path)
    before, size = seen(found), measured(found)
    assert size == (found.size, found.mtime_ns)
    assert seen(found) == before
    kept, content = member.stat(), member.read_bytes()
    member.write_bytes(content[::-1])  # in place, and as if it had never been
    os.utime(member, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    changed = seen(found)
    assert changed != before
    member.unlink()
    assert seen(found) not in (before, changed)
    if found.path != member:
        found.path.rename(tmp_path.with_name(f"{tmp_path.name}-away"))
        with pytest.raises(Refused, match="no longer there"):
            seen(found)


def test_of_many_files_the_folders_are_looked_at_and_of_a_zarr_no_chunk(tmp_path: Path) -> None:
    put(tmp_path, "v/a.vsi", *(f"v/_a_/stack{index}/frame_t.ets" for index in range(MOST_FILES + 1)))
    put(tmp_path, "z/a.ome.zarr/.zgroup", "z/a.ome.zarr/0/.zarray", *(f"z/a.ome.zarr/0/{n}.0.0" for n in range(400)))
    many, zarr = discover(tmp_path).found
    assert len(signed(many)) <= MOST_FILES and "_a_/stack100" in signed(many)
    assert "." not in signed(many)
    assert set(signed(zarr)) == {"a.ome.zarr/.zgroup", "a.ome.zarr/0", "a.ome.zarr/0/.zarray"}
    before = seen(many), seen(zarr)
    for folder in ("v/_a_/stack100", "z/a.ome.zarr/0"):
        put(tmp_path, f"{folder}/new")
    assert all(one != other for one, other in zip(before, (seen(many), seen(zarr)), strict=True))


def test_pixels_of_two_versions_of_a_set_are_never_mixed(tmp_path: Path) -> None:
    for index, plane in enumerate(focus_stack()):
        (tmp_path / f"{index}.png").write_bytes(bytes(imagecodecs.png_encode(plane)))
    registry, answers = Registry(tmp_path), Answers()
    registry.search()
    (slide,) = asyncio.run(registry.slides())
    want = Want.from_json(Want("tile", slide.subject, level=10).to_json())
    answers.answer(want)
    (tmp_path / "1.png").write_bytes(bytes(imagecodecs.png_encode(255 - focus_stack()[1])))
    with pytest.raises(Refused) as caught:
        answers.answer(want)
    assert caught.value.kind == "changed"
    after = asyncio.run(registry.slide(slide.id, look=True))
    assert after.version != slide.version
    answers.answer(Want("tile", after.subject, level=10))
    answers.close()
