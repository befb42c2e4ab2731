"""What a slide is, for people and programs.

File names can hold a patient's name, so a description has them only where the caller asks for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from planish.report.plain import plain
from planish.slide.base import Slide


def describe(slide: Slide, *, source_name: bool = False) -> dict[str, Any]:
    """Return what a slide is, as plain values for JSON.

    Parameters
    ----------
    slide : Slide
        Nothing is decoded.
    source_name : bool, optional
        Whether to tell the name of the file.
    """
    metadata, full = slide.metadata, slide.levels[0]
    names = {"name": plain(_path(slide).name)} if source_name else {}
    encoding = slide.encoding(0, 0)
    return names | {
        **_file_facts(slide),
        "format": metadata.format,
        "vendor": metadata.vendor,
        "width": full.width,
        "height": full.height,
        "planes": [plain(plane) for plane in slide.planes],
        "levels": [plain(level) for level in slide.levels],
        "dtype": str(slide.dtype),
        "channels": list(slide.channels),
        "mpp_x": plain(metadata.mpp_x),
        "mpp_y": plain(metadata.mpp_y),
        "objective_power": plain(metadata.objective_power),
        "icc_profile": len(metadata.icc_profile) if metadata.icc_profile else None,
        "associated": sorted(slide.associated),
        "encoding": encoding
        and {"codec": encoding.codec, "color": encoding.color, "subsampling": list(encoding.subsampling)},
        "notes": list(metadata.notes),
    }


def _path(slide: Slide) -> Path:
    return slide.source if isinstance(slide.source, Path) else slide.source[0].parent


def _file_facts(slide: Slide) -> dict[str, Any]:
    """Return the bytes of all source files and when the newest changed; null for a slide that is no file."""
    paths = [slide.source] if isinstance(slide.source, Path) else slide.source
    files = [file for path in paths for file in (path.iterdir() if path.is_dir() else [path]) if file.is_file()]
    facts = [file.stat() for file in files]
    newest = max((fact.st_mtime for fact in facts), default=None)
    return {
        "bytes": sum(fact.st_size for fact in facts) if facts else None,
        "modified": None if newest is None else datetime.fromtimestamp(newest, UTC).isoformat(timespec="seconds"),
    }


def format_table(description: Mapping[str, Any]) -> str:
    """Return what `describe` found as aligned lines for people, without what is unknown."""
    rows = {
        "name": description.get("name"),
        "format": _joined(description["format"], description["vendor"], sep=", "),
        "file": _joined(_bytes(description["bytes"]), description["modified"], sep=", "),
        "size": _size(description),
        "pixels": f"{description['dtype']}, {' '.join(description['channels'])}",
        "pixel size": _pixel_size(description),
        "planes": _planes([plane["z_um"] for plane in description["planes"]]),
        "encoding": _encoding(description["encoding"]),
        "ICC profile": _bytes(description["icc_profile"]),
        "associated": ", ".join(description["associated"]),
    }
    lines = [f"{name:<12}{value}" for name, value in rows.items() if value]
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
    steps = [high - low for low, high in pairwise(known)]
    least, most = f"{min(steps):.3g}", f"{max(steps):.3g}"
    step = least if least == most else f"{least} to {most}"
    return f"{len(z_um)}, z {known[0]:g} to {known[-1]:g} µm in steps of {step}"


def _encoding(encoding: Mapping[str, Any] | None) -> str:
    if encoding is None:
        return "stored tiles cannot be copied"
    across, down = encoding["subsampling"]
    chroma = f"chroma ÷{across} × ÷{down}" if (across, down) != (1, 1) else None
    return _joined(encoding["codec"], encoding["color"], chroma, sep=", ")


def _levels(levels: list[Mapping[str, Any]]) -> list[str]:
    head = f"{'level':>5}  {'downsample':>10}  {'size':>17}  {'tiles':>11}"
    return [head] + [
        f"{index:>5}  {level['downsample_x']:>10.6g}  {level['width']:>7,} × {level['height']:>7,}"
        f"  {level['tile_width']:>4} × {level['tile_height']:>4}"
        for index, level in enumerate(levels)
    ]
