"""Slides, poison and nights for `bench_night.py`: real files, real processes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

from planish.phantom.containers import ContainerOptions, write_container
from planish.phantom.specimen import PhantomOptions, PhantomSlide
from planish.verification import verify_file

PLANISH = (sys.executable, "-m", "planish.cli")
POISON = Path(__file__).with_name("poison")
KINDS = ("segfault", "kill", "abort", "hang", "memory", "exception", "truncated", "noslide")
EXPECTED = {
    "segfault": "crashed", "kill": "killed", "abort": "crashed", "hang": "too long", "memory": "memory",
    "exception": "error", "truncated": "damaged", "noslide": "not supported",
}  # fmt: skip
FAST = ("--retry-wait", "0.2", "--reserve", "0", "--time-limit", "20", "--memory-limit", "1G")


def exports(folder: Path, count: int, size: int = 512, planes: int = 3) -> list[Path]:
    """Make so many slides of a few kinds, in three folders with awkward names."""
    kinds = [(kind, seed) for kind in ("svs", "ndpi", "ome-tiff") for seed in (0, 1)]
    suffixes = {"svs": ".svs", "ndpi": ".ndpi", "ome-tiff": ".ome.tif"}
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for index, (kind, seed) in enumerate(kinds[: max(1, count)]):
        phantom = PhantomSlide(PhantomOptions("cytology-dense", size, size, planes, seed=seed))
        path = folder / f"slide {index:04d}{suffixes[kind]}"
        write_container(phantom, path, ContainerOptions(kind))
        made.append(path)
    for index in range(len(made), count):
        place = folder / ("", "Tag 1", "Tag 1/größer")[index % 3]
        place.mkdir(parents=True, exist_ok=True)
        source = made[index % len(kinds)]
        made.append(Path(shutil.copyfile(source, place / f"slide {index:04d}{''.join(source.suffixes)}")))
    return made


def poison(folder: Path, count: int, good: Path) -> list[Path]:
    """Add slides that end badly, of all kinds."""
    made = []
    for index in range(count):
        kind = KINDS[index % len(KINDS)]
        path = folder / f"poison-{kind}-{index}{good.suffix}"
        data = good.read_bytes()
        path.write_bytes(
            data[: len(data) // 3] if kind == "truncated" else b"no slide " * 99 if kind == "noslide" else data
        )
        made.append(path)
    return made


def batch(source: Path, output: Path, *more: str, poisoned: bool = False, **options: Any) -> subprocess.Popen[bytes]:
    """Start a night."""
    environment = {**os.environ, "PYTHONPATH": str(POISON)} if poisoned else dict(os.environ)
    command = [*PLANISH, "batch", str(source), str(output), *FAST, *more]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **options)


def log(output: Path) -> list[dict[str, Any]]:
    """Return the events of all nights so far."""
    path = output / "planish-batch.log"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def rows(output: Path) -> list[sqlite3.Row]:
    """Return the ledger."""
    database = sqlite3.connect(output / "planish-ledger.sqlite")
    database.row_factory = sqlite3.Row
    try:
        assert database.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        return database.execute("SELECT * FROM slides").fetchall()
    finally:
        database.close()


def temporary(output: Path) -> list[Path]:
    """Return what should not be left."""
    return [path for path in output.rglob(".planish-*") if path.name != ".planish.lock"]


def whole(source: Path, output: Path) -> int:
    """Verify every flat slide in full against its source; return how many there are."""
    flats = sorted(output.rglob("*.flat.tif"))
    by_stem = {path.relative_to(source).with_name(path.name.split(".")[0]): path for path in source.rglob("slide *.*")}
    for flat in flats:
        verify_file(flat, by_stem[flat.relative_to(output).with_name(flat.name.split(".")[0])], every_tile=True)
    return len(flats)


def children(output: Path) -> list[int]:
    """Return the processes that work for a night."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"flatten" in words and any(word.startswith(os.fsencode(output)) for word in words):
            found.append(int(path.parent.name))
    return found


def hashes(output: Path) -> dict[Path, str]:
    """Return the SHA-256 of flat slides, maps and heatmaps; records hold times."""
    return {
        path.relative_to(output): hashlib.sha256(path.read_bytes()).hexdigest()
        for kind in ("tif", "map.json", "heatmap.png") for path in output.rglob(f"*.flat.{kind}")
    }  # fmt: skip
