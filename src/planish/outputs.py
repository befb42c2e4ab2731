"""Where an output may not go (onto its source, or among the source's files), and what is called like it."""

from __future__ import annotations

from pathlib import Path

from planish.errors import WriteError


def check_not_source(source: Path, output: Path) -> None:
    """Raise WriteError where `output` is the source itself, or lies in the folder that is the source."""
    if output.exists() and source.exists() and output.samefile(source):
        raise WriteError(f"{output}: is the source itself; choose another name")
    if source.is_dir() and source.resolve() in output.resolve().parents:
        raise WriteError(f"{output}: lies among the planes of the source; choose another folder")


def beside(output: Path, ending: str) -> Path:
    """Return what is called like an output but for its suffix: ``flat.tif`` has ``flat.map.json``."""
    return output.with_name(f"{output.stem}.{ending}")
