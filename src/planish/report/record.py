"""Records: what a run did, as strict JSON beside its output."""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from planish.files import replacing
from planish.planemap import SurveyRecord
from planish.report.plain import plain

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
        Of planish, Python and the libraries that pixels passed through; see `versions`.
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


def versions() -> dict[str, str]:
    """Return the versions of planish, Python and those libraries for pixels that the process has loaded.

    ``"cpu"`` is what OpenCV uses of the processor: where that is the same, too, so are pixels to the last bit.
    """
    loaded = {name: sys.modules[name].__version__ for name in LIBRARIES if name in sys.modules}
    if opencv := sys.modules.get("cv2"):
        loaded["cpu"] = opencv.getCPUFeaturesLine()
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
