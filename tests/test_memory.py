"""How much memory there is, by machine and group, and what is said where it is not enough."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from planish import fuse_stack, memory
from planish.errors import OptionError

STACK = np.random.default_rng(0).integers(0, 65536, (4, 512, 600), np.uint16)
MIB = 1 << 20


def group(monkeypatch: pytest.MonkeyPatch, folder: Path, limit: str, used: int, stat: str) -> None:
    for name, text in (("limit", limit), ("used", str(used)), ("memory.stat", stat)):
        (folder / name).write_text(f"{text}\n", encoding="ascii")
    files = folder / "limit", folder / "used", "inactive_file"
    monkeypatch.setattr(memory, "_GROUPS", ((folder / "none", folder / "none", "inactive_file"), files))


@pytest.mark.parametrize(
    ("limit", "stat", "left"),
    [
        ("1000", "anon 500\ninactive_file 300", 400),
        ("1000", "anon 900", 100),
        ("100", "inactive_file 300", 0),
    ],
)
def test_a_group_may_take_what_its_limit_leaves_and_what_files_hold_idle(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str, stat: str, left: int
) -> None:
    group(monkeypatch, tmp_path, limit, 900, stat)
    assert memory.available_memory() == left


@pytest.mark.parametrize("limit", ["max", "9223372036854771712", "none of these"])
def test_without_a_limit_the_machine_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, limit: str) -> None:
    monkeypatch.setattr(memory, "_of_machine", lambda: 12345)
    group(monkeypatch, tmp_path, limit, 900, "inactive_file 0")
    assert memory.available_memory() == 12345


def there(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr("planish.fuse.budget.available_memory", lambda: size)


def test_too_little_memory_is_said_before_work(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 5 * MIB)
    with pytest.raises(OptionError, match=r"tile_size: tiles of 600 × 512 px, 1 at once, need 8 MiB .*5 MiB are free"):
        fuse_stack(STACK, "pick", tile_size=(600, 512), jobs=1)
    assert fuse_stack(STACK, "pick", tile_size=100, jobs=1).image.shape == (512, 600)


def test_where_fewer_threads_would_do_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 8 * MIB)
    with pytest.raises(OptionError, match=r"jobs=64: tiles of .* one for each, need .*; jobs=\d+ will do") as caught:
        fuse_stack(STACK, "pick", tile_size=256, jobs=64)
    jobs = int(str(caught.value).split("jobs=")[2].split()[0])
    assert fuse_stack(STACK, "pick", tile_size=256, jobs=jobs).image.shape == (512, 600)
    with pytest.raises(OptionError, match=f"jobs={jobs + 1}"):
        fuse_stack(STACK, "pick", tile_size=256, jobs=jobs + 1)


def test_an_image_that_does_not_fit_is_pointed_to_files(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 1 << 30)
    huge = np.broadcast_to(np.uint16(1), (2, 1 << 20, 1 << 20))
    with pytest.raises(OptionError, match=r"stack: an image of 1048576 × 1048576 px needs 4.* MiB .*`planish fuse`"):
        fuse_stack(huge, "pick")


def test_the_depth_counts_in_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, 5 * STACK[0].size)
    for depth, said in ((True, "stack: an image"), (False, "tile_size: tiles of")):
        with pytest.raises(OptionError, match=said):
            fuse_stack(STACK, "soft", depth=depth, tile_size=512, jobs=1)
