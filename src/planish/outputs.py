"""Where an output may not go (onto its source, or among the source's files), and what is called like it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from planish.errors import WriteError


def check_not_source(source: Path, *outputs: Path) -> None:
    """Raise WriteError where an output is the source or a file of it, or one of them lies in the other."""
    # All other files of a folder lie where it lies.
    links = [file for file in source.iterdir() if file.is_symlink()] if source.is_dir() else []
    for output in outputs:
        if output.exists() and source.exists() and output.samefile(source):
            raise WriteError(f"{output}: is the source itself; choose another name")
        if source.is_dir() and source.resolve() in output.resolve().parents:
            raise WriteError(f"{output}: lies among the planes of the source; choose another folder")
    check_not_above([source, *links], *outputs)


def check_not_above(files: Iterable[Path], *outputs: Path) -> None:
    """Raise WriteError where a file that is needed is an output or lies in it, which is replaced as a whole."""
    needed = {file: file.resolve() for file in files}
    for output in outputs:
        replaced = output.resolve()
        for file, place in needed.items():
            if replaced in (place, *place.parents):
                raise WriteError(f"{output}: would be written over {file}, which is needed; choose another name")


def beside(output: Path, ending: str) -> Path:
    """Return what is called like an output but for its suffix: ``flat.tif`` has ``flat.map.json``."""
    return output.with_name(f"{output.stem}.{ending}")
