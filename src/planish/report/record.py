"""Records: what a run did, as strict JSON beside its output, and what a slide is, for people and programs.

File names can hold a patient's name, so a record has them only where the caller asks for them.
"""

from __future__ import annotations

import json
import math
import platform
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from planish.files import replacing
from planish.planemap import SurveyRecord
from planish.slide.base import Slide

LIBRARIES = ("planish", "numpy", "cv2", "tifffile", "imagecodecs")
"""Modules that pixels pass through; libvips is asked for its version in its own way."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What one run did.

    Attributes
    ----------
    command : str
        E.g. ``"flatten"``.
    started : str
        When, ISO 8601 in UTC.
    versions : mapping
        Of planish, Python and the libraries that pixels passed through.
    arguments : mapping
        Options by name; dataclasses are written as objects.
    source : mapping
        The slide as `describe` has it.
    survey : SurveyRecord or None
        Cells, and tile-planes decoded, measured, inferred and audited.
    output : mapping
        What was written: size, levels, encoding.
    seconds : mapping of str to float
        Wall time of every stage, and ``"total"``.
    peak_memory_mib : float or None
        The most memory the process ever held, MiB; None where the system does not tell.
    """

    command: str
    started: str
    versions: Mapping[str, str]
    arguments: Mapping[str, Any]
    source: Mapping[str, Any]
    survey: SurveyRecord | None
    output: Mapping[str, Any]
    seconds: Mapping[str, float]
    peak_memory_mib: float | None

    def to_json(self) -> str:
        """Return strict JSON: NaN and infinities become null, bytes their number, paths only their suffix."""
        return json.dumps(plain(self), indent=2, ensure_ascii=False, allow_nan=False) + "\n"

    def save(self, path: Path, *, overwrite: bool = False) -> None:
        """Write the record, whole or not at all."""
        with replacing(path, overwrite=overwrite) as temporary:
            temporary.write_text(self.to_json(), encoding="utf-8")


class Run:
    """Times a run's stages and makes its record.

    >>> run = Run("flatten")
    >>> with run.stage("survey"):
    ...     pass
    >>> sorted(run.record().seconds)
    ['survey', 'total']
    """

    def __init__(self, command: str) -> None:
        self.command = command
        self.seconds: dict[str, float] = {}
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the wall time of the block to the stage of that name, also where the block fails."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begin

    def record(
        self,
        *,
        arguments: Mapping[str, Any] | None = None,
        source: Mapping[str, Any] | None = None,
        survey: SurveyRecord | None = None,
        output: Mapping[str, Any] | None = None,
    ) -> RunRecord:
        """Return the record of the run up to now; the fields are those of `RunRecord`."""
        seconds = {**self.seconds, "total": time.perf_counter() - self._clock}
        return RunRecord(
            command=self.command,
            started=self._started.isoformat(timespec="seconds"),
            versions=versions(),
            arguments=arguments or {},
            source=source or {},
            survey=survey,
            output=output or {},
            seconds={name: round(value, 3) for name, value in seconds.items()},
            peak_memory_mib=peak_memory_mib(),
        )


def plain(value: Any) -> Any:
    """Return `value` as strict JSON can hold it."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, Enum):
        return value.name.lower()
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": len(value)}
    if isinstance(value, Path):
        return f"*{value.suffix}"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Sequence | set | frozenset):
        return [plain(item) for item in value]
    return str(value)


def versions() -> dict[str, str]:
    """Return the versions of planish, Python and those libraries for pixels that the process has loaded."""
    loaded = {name: sys.modules[name].__version__ for name in LIBRARIES if name in sys.modules}
    if vips := sys.modules.get("pyvips"):
        loaded["libvips"] = ".".join(str(vips.version(part)) for part in range(3))
    return {"python": platform.python_version(), **loaded}


def peak_memory_mib() -> float | None:
    """Return the largest resident memory this process has had, in MiB, None where the system does not tell."""
    if sys.platform == "win32":
        return None
    if sys.platform == "linux":
        # Not getrusage: a process started by a larger one inherits that one's peak there.
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        peak_kib = next((line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")), None)
        return None if peak_kib is None else round(int(peak_kib) / 1024, 1)
    import resource

    # Bytes on macOS, KiB on the other systems.
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


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
    names = {"name": _path(slide).name} if source_name else {}
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
