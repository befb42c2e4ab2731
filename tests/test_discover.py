"""What `discover` finds in folders of scanner exports: one slide for each, whatever it is made of."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from makers import container, image_list, make_stack
from planish.batch import heads
from planish.batch.discover import Discovery, clashes, discover
from planish.batch.entry import Found
from planish.errors import SlideError, SlideNotFound
from planish.slide.open import open_slide
from test_odd_files import shared_ome

Data = Callable[[str], Path]
UID = b"1.2.276.0.7230010.3.1.3.5"


def put(folder: Path, *names: str, text: bytes = b"x") -> None:
    """Write small files, with the folders above them."""
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text)


def stems(found: Discovery) -> dict[str, str]:
    return {str(each.relative): str(each.stem) for each in found.found}


def only(found: Discovery) -> Found:
    assert not found.notes
    (slide,) = found.found
    return slide


def series(uid: bytes = UID, *, before: bytes = b"") -> bytes:
    """Return the head of a DICOM file."""
    study = b"\x20\x00\x0d\x00UI" + struct.pack("<H", 4) + b"1.2\0"
    return bytes(128) + b"DICM" + before + study + b"\x20\x00\x0e\x00UI" + struct.pack("<H", len(uid)) + uid + b"\x20\0"


# Files


def test_slides_are_found_by_suffix_in_either_case_and_sorted(tmp_path: Path) -> None:
    put(tmp_path, "b.svs", "a/z.NDPI", "a/b/c.Tif", "x.czi", "n.npy", "y.qptiff", "s.btf", "o.ome.tif")
    put(tmp_path, "notes.txt", "one.jpg", ".hidden.svs", ".cache/x.svs", "README")
    found = discover(tmp_path)
    assert stems(found) == {
        **{"a/b/c.Tif": "a/b/c", "a/z.NDPI": "a/z", "b.svs": "b", "n.npy": "n", "o.ome.tif": "o"},
        **{"s.btf": "s", "x.czi": "x", "y.qptiff": "y"},
    }
    assert list(stems(found)) == sorted(stems(found))
    assert all(each.path == tmp_path / each.relative for each in found.found)
    assert not found.notes


def test_size_and_time_are_those_of_the_file(tmp_path: Path) -> None:
    put(tmp_path, "a.svs", text=bytes(77))
    os.utime(tmp_path / "a.svs", ns=(5, 1_234_567_890_123_456_789))
    found = only(discover(tmp_path))
    assert (found.size, found.mtime_ns) == (77, 1_234_567_890_123_456_789)


def test_results_are_no_slides(tmp_path: Path) -> None:
    put(tmp_path, "a.svs", "a.flat.tif", "a.flat.heatmap.png", "a.flat.map.json", "a.flat.record.json")
    put(tmp_path, "other.tif", "other.record.json", ".planish-12.tif")
    found = discover(tmp_path)
    assert stems(found) == {"a.svs": "a"}
    assert len(found.notes) == 1
    assert "6 results of planish" in found.notes[0]


def test_flat_slides_are_found_where_they_are_asked_for(tmp_path: Path) -> None:
    put(tmp_path, "a.svs", "a.flat.tif", "a.flat.heatmap.png", "a.flat.map.json", "a.flat.record.json")
    put(tmp_path, "p/p_0.png", "p/p_1.png", "d/other.tif", "d/other.record.json", ".planish-12.tif")
    found = discover(tmp_path, flat=True)
    assert {str(each.relative): each.flat for each in found.found} == {
        **{"a.svs": False, "a.flat.tif": True, "d/other.tif": True, "p": False}
    }
    assert "4 results of planish" in found.notes[0]


def test_an_empty_folder_holds_nothing(tmp_path: Path) -> None:
    assert discover(tmp_path) == Discovery((), ())


def test_a_missing_folder_and_a_file_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.svs")
    for missing in (tmp_path / "none", tmp_path / "a.svs" / "inner"):
        with pytest.raises(SlideNotFound, match="no such folder"):
            discover(missing)
    with pytest.raises(SlideError, match="planish flatten"):
        discover(tmp_path / "a.svs")


def test_unreadable_folders_are_noted_below_and_refused_at_the_top(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "shut/a.svs", "open/b.svs")
    scandir = os.scandir

    def refuse(path: Any) -> Any:
        if Path(path).name == "shut":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    found = discover(tmp_path)
    assert stems(found) == {"open/b.svs": "open/b"}
    assert found.notes == ("shut: cannot be listed (Permission denied); allow reading it",)
    with pytest.raises(SlideError, match="cannot be listed"):
        discover(tmp_path / "shut")


def test_odd_names_work(tmp_path: Path) -> None:
    names = ["a b.svs", "new\nline.svs", "größe µ.svs", os.fsdecode(b"\xff\xfe.svs"), "[x]*.svs", "x.y.z.svs"]
    put(tmp_path, *names)
    (tmp_path / os.fsdecode(b"\xff\n")).symlink_to("nowhere")
    found = discover(tmp_path)
    assert {str(each.relative) for each in found.found} == set(names)
    assert {str(each.stem) for each in found.found} == {name.removesuffix(".svs") for name in names}
    assert found.notes[0].startswith("\\udcff\\n: a link that leads nowhere")


def test_what_is_no_file_is_noted_and_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "s.svs"))
    found = discover(tmp_path)
    assert not found.found
    assert len(found.notes) == 2


# Patterns


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.NDPI", {"a.ndpi", "d/b.ndpi"}),
        ("d/*", {"d/b.ndpi", "d/e/c.svs", "d/planes"}),
        ("[bc].*", {"d/b.ndpi", "d/e/c.svs"}),
        ("*.dat", {"d/raw.DAT"}),
        ("one*", {"one"}),
        ("*.jpg", {"lone.jpg", "d/planes"}),
        ("planes", {"d/planes"}),
        ("*.flat.tif", set()),
        ("*", {"a.ndpi", "d/b.ndpi", "d/e/c.svs", "d/planes"}),
    ],
)
def test_patterns(pattern: str, expected: set[str], tmp_path: Path) -> None:
    put(tmp_path, "a.ndpi", "d/b.ndpi", "d/e/c.svs", "d/raw.DAT", "d/notes.txt", "one", "lone.jpg", "a.flat.tif")
    put(tmp_path, "d/planes/p1.jpg", "d/planes/p2.jpg")
    assert set(stems(discover(tmp_path, [pattern]))) == expected


def test_several_patterns_add_up_and_keep_other_notes_out(tmp_path: Path) -> None:
    put(tmp_path, "a.ndpi", "b.svs", "c.tif", "s/a_z1.tif", "s/a_z2.tif", "s/b_z1.tif", "s/b_z2.tif")
    found = discover(tmp_path, ["*.ndpi", "b*s"])
    assert set(stems(found)) == {"a.ndpi", "b.svs"}
    assert not found.notes
    assert discover(tmp_path, ["s/*"]).notes


# Links


def test_links_are_followed_and_the_target_counts(tmp_path: Path) -> None:
    put(tmp_path, "store/big.svs", text=bytes(99))
    put(tmp_path, "store/folder/c.svs")
    inside = tmp_path / "in"
    inside.mkdir()
    (inside / "a.svs").symlink_to("../store/big.svs")
    (inside / "linked").symlink_to("../store/folder")
    found = discover(inside)
    assert stems(found) == {"a.svs": "a", "linked/c.svs": "linked/c"}
    assert (found.found[0].size, found.found[0].path) == (99, inside / "a.svs")
    assert not found.notes


def test_a_slide_reached_twice_is_found_where_it_lies(tmp_path: Path) -> None:
    put(tmp_path, "z/real.svs")
    (tmp_path / "a.svs").symlink_to("z/real.svs")
    (tmp_path / "b").symlink_to("z")
    os.link(tmp_path / "z/real.svs", tmp_path / "z/same.svs")
    found = discover(tmp_path)
    assert stems(found) == {"z/real.svs": "z/real"}
    assert found.notes == (
        "a.svs: is the same as z/real.svs, under which it is kept",
        "b: is the folder z again; its slides are found there",
        "z/same.svs: is the same as z/real.svs, under which it is kept",
    )


def test_loops_end_with_a_note(tmp_path: Path) -> None:
    put(tmp_path, "in/a/x.svs", "outside.svs")
    (tmp_path / "in/a/up").symlink_to("..")
    (tmp_path / "in/itself").symlink_to("itself")
    (tmp_path / "in/above").symlink_to("..")
    found = discover(tmp_path / "in")
    assert stems(found) == {"a/x.svs": "a/x", "above/outside.svs": "above/outside"}
    assert [note.partition(";")[0] for note in found.notes] == [
        "a/up: leads back to a folder above it and was not followed",
        "above/in: leads back to a folder above it and was not followed",
        "itself: a link that leads nowhere (Too many levels of symbolic links)",
    ]


def test_a_net_of_links_is_walked_once(tmp_path: Path) -> None:
    for depth in range(30):
        put(tmp_path, f"d{depth}/{depth}.svs")
        for name in "xy":
            (tmp_path / f"d{depth}" / name).symlink_to(f"../d{depth + 1}")
    found = discover(tmp_path / "d0")
    assert len(found.found) == 30
    assert len(found.notes) == 31


# DICOM


def test_a_dicom_series_is_one_slide_named_by_its_folder(data: Data) -> None:
    folder = data("slides/dicom-cmu")
    found = only(discover(folder))
    assert (found.relative, found.stem) == (Path("level-0-frames-0-30.dcm"), Path("dicom-cmu"))
    assert found.size == sum(path.stat().st_size for path in folder.iterdir())
    for path in (found.path, folder / "level-9-frames-0-1.dcm"):
        with open_slide(path) as slide:
            assert len(slide.levels) == 12
    above = discover(folder.parent, ["dicom-cmu/*"])
    assert stems(above) == {"dicom-cmu/level-0-frames-0-30.dcm": "dicom-cmu"}


def test_several_series_in_a_folder_are_slides_each(tmp_path: Path) -> None:
    put(tmp_path, "s/a1.dcm", "s/a2.DCM", "s/IM0", text=series())
    other = b"\x20\x00\x0e\x00UI" + struct.pack("<H", len(UID)) + UID
    put(tmp_path, "s/b1.dcm", "s/1.2.840.77", text=series(b"1.9", before=other))
    put(tmp_path, "s/DICOMDIR", text=series())
    put(tmp_path, "s/plain", "s/1.2.3")
    assert stems(discover(tmp_path)) == {"s/1.2.840.77": "s/1.2.840.77", "s/IM0": "s/IM0"}


def test_dicom_without_a_series_is_one_slide_a_folder(tmp_path: Path) -> None:
    put(tmp_path, "s/a.dcm", "s/b.dcm")
    assert stems(discover(tmp_path)) == {"s/a.dcm": "s"}
    implicit = bytes(128) + b"DICM" + b"\x20\x00\x0e\x00" + struct.pack("<I", 3) + b"1.5"
    put(tmp_path, "t/a.dcm", text=implicit)
    assert heads.dicom_series(tmp_path / "t/a.dcm") == b"1.5"


# An image per plane


def test_a_folder_with_an_image_per_plane_is_a_slide(data: Data) -> None:
    folder = data("focal-stacks/pcb")
    found = only(discover(folder.parent, ["pcb*"]))
    assert (found.relative, found.stem, found.path) == (Path("pcb"), Path("pcb"), folder)
    assert found.size == sum(path.stat().st_size for path in folder.iterdir())
    itself = only(discover(folder))
    assert (itself.relative, itself.stem, itself.path) == (Path(), Path("pcb"), folder)


def test_the_searched_folder_has_a_name_even_as_a_dot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "scan/p1.png", "scan/p2.png")
    monkeypatch.chdir(tmp_path / "scan")
    assert only(discover(Path())).stem == Path("scan")


@pytest.mark.parametrize(
    "names",
    [
        ["9.jpg", "10.JPG"],
        ["a_z-1.5um.png", "a_z0.0um.png", "a_z3.25um.png"],
        ["s_z0.tif", "s_z1.tif", "s_z2.TIF"],
        ["s_z0_c1.tiff", "s_z1_c1.tiff"],
        ["z10_001.webp", "z10_002.webp"],
        ["x_z0.ome.tif", "x_z1.ome.tif"],
        ["pic 1.bmp", "pic 2.bmp"],
    ],
)
def test_names_that_make_a_stack(names: list[str], tmp_path: Path) -> None:
    put(tmp_path, *(f"scan/{name}" for name in names))
    put(tmp_path, "scan/notes.txt", "scan/.thumb.jpg", "scan/more/b.svs")
    assert stems(discover(tmp_path)) == {"scan": "scan", "scan/more/b.svs": "scan/more/b"}


@pytest.mark.parametrize(
    ("names", "slides", "said"),
    [
        (["a1.tif", "a2.tif"], {"a1.tif", "a2.tif"}, ""),
        (["a_z1.tif", "b_z2.tif"], {"a_z1.tif", "b_z2.tif"}, ""),
        (["a1.jpg", "b2.jpg", "c.png"], set(), ""),
        (["a.svs", "a1.jpg", "a2.jpg"], {"a.svs"}, ""),
        (["a_z1.tif", "a_z2.tif", "b_z1.tif", "b_z2.tif"], set(), "planes of 2 stacks"),
        (["a1.jpg", "a2.jpg", "a1.png", "a2.png"], set(), "planes of 2 stacks"),
        (["s1_001.jpg", "s1_002.jpg", "s2_001.jpg"], set(), "several numbers"),
        (["p1.jpg", "p2.jpg", "sharp.jpg"], set(), "such as sharp.jpg"),
        (["p1.jpg", "p2.jpg", "sharp.tif"], {"sharp.tif"}, "such as sharp.tif"),
        (["a_z1.tif", "a_z2.tif", "b.czi"], {"b.czi"}, "such as b.czi"),
        (["a_z1.tif", "a_z2.tif", "a_z1.heatmap.png"], set(), "such as a_z1.heatmap.png"),
    ],
)
def test_names_that_make_none(names: list[str], slides: set[str], said: str, tmp_path: Path) -> None:
    put(tmp_path, *(f"scan/{name}" for name in names))
    found = discover(tmp_path)
    assert set(stems(found)) == {f"scan/{name}" for name in slides}
    notes = [note for note in found.notes if "results" not in note]
    assert [note.startswith("scan: ") and said in note and "folder of its own" in note for note in notes] == (
        [True] if said else []
    )


def test_a_found_stack_is_what_the_reader_opens(tmp_path: Path) -> None:
    image_list(tmp_path, make_stack())
    found = only(discover(tmp_path))
    with open_slide(found.path) as slide:
        assert len(slide.planes) == 4


def test_a_change_in_any_plane_shows(tmp_path: Path) -> None:
    put(tmp_path, "p1.jpg", "p2.jpg", "p3.jpg")
    before = only(discover(tmp_path))
    os.utime(tmp_path / "p2.jpg", ns=(0, before.mtime_ns + 1))
    assert only(discover(tmp_path)).mtime_ns == before.mtime_ns + 1
    put(tmp_path, "p4.jpg")
    assert only(discover(tmp_path)).size == before.size + 1


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None)
@given(
    st.text("abcxy_- ", min_size=1, max_size=8),
    st.text("abcxy_- ", max_size=4),
    st.sets(st.integers(0, 10**6), min_size=2, max_size=8),
)
def test_numbered_pictures_are_a_stack(
    tmp_path_factory: pytest.TempPathFactory, before: str, after: str, numbers: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("stack") / "s"
    put(folder, *(f"{before}{number}{after}.png" for number in numbers))
    found = only(discover(folder))
    assert (found.path, found.size) == (folder, len(numbers))


# Sets and companions


def test_an_ome_set_is_one_slide(tmp_path: Path) -> None:
    planes = make_stack(3, 1, np.uint16)[..., 0]
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        paths = shared_ome(tmp_path / name, planes)
    container(tmp_path / "one", make_stack())
    paths[0].rename(paths[0].with_name("a.ome.tif"))
    found = discover(tmp_path)
    assert stems(found) == {
        **{"one/set_0.ome.tif": "one/set_0", "one/stack.ome.tif": "one/stack"},
        "two/a.ome.tif": "two/a",
    }
    assert found.found[0].size == sum(path.stat().st_size for path in (tmp_path / "one").glob("set*"))
    with open_slide(found.found[2].path) as slide:
        assert len(slide.planes) == 3


def described(xml: bytes, *, big: bool = False, count: int | None = None) -> bytes:
    """Return a TIFF that has nothing but a description."""
    size = len(xml) if count is None else count
    if big:
        return struct.pack(">2sHHHQQHHQQQ", b"MM", 43, 8, 0, 16, 1, 270, 2, size, 52, 0) + xml
    return struct.pack("<2sHIHHHIII", b"II", 42, 8, 1, 270, 2, size, 26, 0) + xml


def test_files_without_xml_of_their_own_join_the_set_that_names_them(tmp_path: Path) -> None:
    xml = b"<OME><UUID FileName=\"m.ome.tif\">1</UUID><UUID FileName='a&amp;b.ome.tif'>2</UUID></OME>"
    put(tmp_path, "m.ome.tif", text=described(xml, big=True))
    put(tmp_path, "a&b.ome.tif", text=described(b'<OME><BinaryOnly MetadataFile="m.ome.tif" UUID="2"/></OME>'))
    assert stems(discover(tmp_path)) == {"m.ome.tif": "m"}


def test_no_file_can_claim_another(tmp_path: Path) -> None:
    xml = b'<UUID FileName="evil.ome.tif"/><UUID FileName="good.ome.tif"/><UUID FileName="a.svs"/>'
    put(tmp_path, "evil.ome.tif", text=described(xml, count=2**32 - 1))
    put(tmp_path, "good.ome.tif", text=described(b'<UUID FileName="good.ome.tif"/>'))
    put(tmp_path, "a.svs")
    found = discover(tmp_path)
    assert len(found.found) == 3
    assert not found.notes


@given(st.binary(max_size=200), st.sampled_from([b"", b"II*\0", b"MM\0*", b"II+\0\x08\0\0\0", b"MM\0+\0\x08\0\0"]))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_damaged_heads_tell_nothing(tmp_path_factory: pytest.TempPathFactory, junk: bytes, magic: bytes) -> None:
    folder = tmp_path_factory.mktemp("junk")
    put(folder, "a.ome.tif", "b.dcm", "c", "d.vms", text=magic + junk)
    assert {"a.ome.tif", "b.dcm", "d.vms"} <= set(stems(discover(folder)))


def test_folders_that_belong_to_a_slide_are_not_walked(tmp_path: Path, data: Data) -> None:
    put(tmp_path, "m.mrxs", "m/Slidedat.ini", "m/Data0.dat", "m/x.tif", "n.mrxs", "n/y.tif")
    put(tmp_path, "v.vsi", "_v_/stack1/frame_t_0.ets", "_v_/x.tif", "z.ome.zarr/0/0/1.tif", "z.ome.zarr/.zattrs")
    found = discover(tmp_path)
    assert stems(found) == {"m.mrxs": "m", "n.mrxs": "n", "n/y.tif": "n/y", "v.vsi": "v", "z.ome.zarr": "z"}
    assert [each.size for each in found.found] == [4, 1, 1, 3, 2]
    itself = only(discover(tmp_path / "z.ome.zarr"))
    assert (itself.path, itself.stem, itself.size) == (tmp_path / "z.ome.zarr", Path("z"), 2)
    olympus = only(discover(data("slides/olympus")))
    assert olympus.relative == Path("vsi-ets-test-jpg2k.vsi")
    assert olympus.size > 199_000


def test_the_pictures_of_a_vms_are_no_planes(tmp_path: Path) -> None:
    index = b"[Virtual Microscope Specimen]\r\nImageFile=s.jpg\r\nImageFile(1,0)=s(1,0).jpg\r\nMacroImage=m.jpg\r\n"
    put(tmp_path, "s.vms", text=index)
    put(tmp_path, "s.jpg", "s(1,0).jpg", "s(2,0).jpg", "m.jpg")
    found = only(discover(tmp_path))
    assert (found.relative, found.size) == (Path("s.vms"), len(index) + 3)


def test_slides_with_one_output_name_are_both_found(tmp_path: Path) -> None:
    put(tmp_path, "a.svs", "a.ndpi", "scan1.svs", "scan1/p1.jpg", "scan1/p2.jpg", "b.svs")
    found = discover(tmp_path).found
    assert len(found) == 5
    named = {str(stem): [str(each.relative) for each in group] for stem, group in clashes(found).items()}
    assert named == {"a": ["a.ndpi", "a.svs"], "scan1": ["scan1", "scan1.svs"]}
