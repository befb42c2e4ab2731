"""What a slide is, for people and programs.

File names can hold a patient's name, so a description has them only where the caller asks for them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

from planish.errors import TileError
from planish.report.plain import plain
from planish.slide.base import Slide

_NAME_WIDTH = 12
_VENDORS = (
    "3DHISTECH", "Aperio", "Evident", "generic-tiff", "Grundium", "Hamamatsu", "Huron", "Leica", "MIRAX", "Motic",
    "Nikon", "Olympus", "Philips", "planish", "Roche", "Sakura", "synthetic", "Trestle", "Ventana", "Zeiss",
)  # fmt: skip
_MOST_FILES = 10_000
"""Looked at for size and time; a Zarr can have more, and on a network each takes a while."""
_MANY = 8
"""Names or places in one line; of more, the rest is counted."""


def describe(slide: Slide, *, source_name: bool = False) -> dict[str, Any]:
    """Return what a slide is, as plain values for JSON.

    Parameters
    ----------
    slide : Slide
        Nothing is decoded.
    source_name : bool, optional
        Whether to tell the name of the file.

    Returns
    -------
    dict
        Among others ``planes``, a list of ``{"index", "z_um"}``; ``byte_counts``, whether tiles' bytes tell which plane
        is sharp, ``{"comparable", "why_not"}``; ``copied_levels``, the levels whose JPEG tiles are copied as they are.
    """
    metadata, full = slide.metadata, slide.levels[0]
    names = {"name": plain(_path(slide).name)} if source_name else {}
    encoding = slide.encoding(0, 0)
    return names | {
        **_file_facts(slide),
        "format": metadata.format,
        "vendor": _vendor(metadata.vendor),
        "width": full.width,
        "height": full.height,
        "planes": [plain(plane) for plane in slide.planes],
        "levels": [plain(level) for level in slide.levels],
        "dtype": str(slide.dtype),
        "channels": list(slide.channels),
        "scenes": list(slide.scenes),
        "times": slide.times,
        "mpp_x": plain(metadata.mpp_x),
        "mpp_y": plain(metadata.mpp_y),
        "objective_power": plain(metadata.objective_power),
        "icc_profile": len(metadata.icc_profile) if metadata.icc_profile else None,
        "associated": sorted(slide.associated),
        "encoding": encoding
        and {"codec": encoding.codec, "color": encoding.color, "subsampling": list(encoding.subsampling)},
        "byte_counts": _byte_counts(slide),
        "copied_levels": [index for index in range(len(slide.levels)) if _copied(slide, index)],
        "notes": [str(note) for note in metadata.notes],
    }


def _vendor(told: str | None) -> str | None:
    """Return the known name in what a file says of its maker, which may be any text."""
    found = re.search("|".join(_VENDORS), told or "", re.IGNORECASE)
    return found and found.group()


def _path(slide: Slide) -> Path:
    return slide.source if isinstance(slide.source, Path) else slide.source[0].parent


def _byte_counts(slide: Slide) -> dict[str, Any]:
    refusal = slide.sizes_refusal(0)
    return {"comparable": refusal is None, "why_not": refusal}


def _copied(slide: Slide, level: int) -> bool:
    """Whether stored tiles of a level are JPEGs that writers can copy; a blank corner must not decide it."""
    encoding, grid = slide.encoding(level, 0), slide.levels[level]
    if encoding is None or encoding.codec != "jpeg":
        return False
    places = ((0, 0), (grid.columns // 2, grid.rows // 2), (grid.columns - 1, grid.rows - 1))
    try:
        return any(slide.encoded_tile(level, 0, *place) is not None for place in places)
    except TileError:  # a damaged tile is told where it is needed; the rest of the file can be told of
        return False


def _file_facts(slide: Slide) -> dict[str, Any]:
    """Return the bytes of all source files and when the newest changed; null for no file, or too many to look at."""
    found = (facts for path in slide.files for facts in _facts(path))
    facts = list(islice(found, _MOST_FILES + 1))
    if len(facts) > _MOST_FILES:
        return {"bytes": None, "modified": None}
    newest = max((fact.st_mtime for fact in facts), default=None)
    return {
        "bytes": sum(fact.st_size for fact in facts) if facts else None,
        "modified": None if newest is None else datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds"),
    }


def _facts(path: Path) -> Iterator[os.stat_result]:
    """Yield the facts of a file and of those in the folder that some formats have beside it, or of all in a folder."""
    beside = {".vsi": f"_{path.stem}_", ".mrxs": path.stem}.get(path.suffix.lower())
    for each in (path, path.with_name(beside)) if beside else (path,):
        inside = (Path(folder, name) for folder, _, names in os.walk(each) for name in names)
        for file in inside if each.is_dir() else (each,):
            with suppress(OSError):  # it vanished, or there is none; whoever reads it says so
                yield file.stat()


def format_table(description: Mapping[str, Any]) -> str:
    """Return what `describe` found as aligned lines for people, without what is unknown."""
    rows = {
        "name": description.get("name"),
        "format": _joined(description["format"], description["vendor"], sep=", "),
        "file": _joined(_bytes(description["bytes"]), description["modified"], sep=", "),
        "size": _size(description),
        "pixels": f"{description['dtype']}, {_channels(description['channels'])}",
        "pixel size": _pixel_size(description),
        "planes": _planes([plane["z_um"] for plane in description["planes"]]),
        "scenes": _scenes(description["scenes"]),
        "time points": str(description["times"]) if description["times"] > 1 else None,
        "encoding": _encoding(description["encoding"]),
        "copying": _copying(description),
        "byte counts": _byte_counts_row(description),
        "ICC profile": _bytes(description["icc_profile"]),
        "associated": ", ".join(description["associated"]),
    }
    lines = [f"{name:<{_NAME_WIDTH}}{value}" for name, value in rows.items() if value]
    lines += ["", *_levels(description["levels"])]
    lines += [f"note: {note}" for note in description["notes"]]
    return "\n".join(lines)


def _joined(*parts: str | None, sep: str) -> str:
    return sep.join(part for part in parts if part)


def _bytes(count: int | None) -> str | None:
    return None if count is None else f"{count:,} bytes"


def _size(description: Mapping[str, Any]) -> str:
    width, height, x, y = (description[key] for key in ("width", "height", "mpp_x", "mpp_y"))
    extent = f"{x * width / 1000:.3g} × {y * height / 1000:.3g} mm" if x and y else None
    return _joined(f"{width:,} × {height:,} px", extent, sep=", ")


def _pixel_size(description: Mapping[str, Any]) -> str:
    x, y, power = (description[key] for key in ("mpp_x", "mpp_y", "objective_power"))
    size = f"{x:.4g} × {y:.4g} µm" if x and y else "unknown"
    return _joined(size, f"{power:g}× objective" if power else None, sep=", ")


def _planes(z_um: list[float | None]) -> str:
    known = [z for z in z_um if z is not None]
    if len(known) < len(z_um):
        return f"{len(z_um)}, z unknown"
    if len(known) == 1:
        return f"1, z {known[0]:g} µm"
    if len(known) <= _MANY:
        return f"{len(known)}, z {', '.join(f'{z:.6g}' for z in known)} µm"
    steps = [high - low for low, high in pairwise(known)]
    least, most = f"{min(steps):.3g}", f"{max(steps):.3g}"
    step = least if least == most else f"{least} to {most}"
    return f"{len(z_um)}, z {known[0]:g} to {known[-1]:g} µm in steps of {step}"


def _channels(names: list[str]) -> str:
    if names == ["R", "G", "B"]:
        return "RGB"
    count = f"{len(names)} channel{'s'[: len(names) > 1]}"
    return count if names == [str(index) for index in range(len(names))] else f"{count}: {_listed(names)}"


def _byte_counts_row(description: Mapping[str, Any]) -> str:
    why_not = description["byte_counts"]["why_not"]
    if why_not:
        return f"not used: {why_not}"
    return "comparable: they tell the sharpest plane" if len(description["planes"]) > 1 else "comparable"


def _scenes(names: list[str]) -> str | None:
    return (
        f"{len(names)}: {_listed([name or str(index) for index, name in enumerate(names)])}" if len(names) > 1 else None
    )


def _listed(parts: list[str]) -> str:
    return ", ".join(parts[:_MANY]) + (f" and {len(parts) - _MANY} more" if len(parts) > _MANY else "")


def _copying(description: Mapping[str, Any]) -> str:
    copied, count = description["copied_levels"], len(description["levels"])
    if not copied:
        return "no stored tiles; pixels are encoded anew"
    levels = "all levels" if len(copied) == count else f"level {_listed([str(level) for level in copied])}"
    return f"JPEG tiles of {levels}, byte for byte"


def _encoding(encoding: Mapping[str, Any] | None) -> str | None:
    if encoding is None:
        return None
    across, down = encoding["subsampling"]
    chroma = f"chroma ÷{across} × ÷{down}" if (across, down) != (1, 1) else None
    codec = "uncompressed" if encoding["codec"] == "none" else encoding["codec"]
    return _joined(codec, encoding["color"], chroma, sep=", ")


def _levels(levels: list[Mapping[str, Any]]) -> list[str]:
    head = f"{'level':>5}  {'downsample':>10}  {'size':>17}  {'tiles':>11}"
    return [head] + [
        f"{index:>5}  {level['downsample_x']:>10.6g}  {level['width']:>7,} × {level['height']:>7,}"
        f"  {level['tile_width']:>4} × {level['tile_height']:>4}"
        for index, level in enumerate(levels)
    ]
