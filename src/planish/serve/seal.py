"""The seal of a plane map in the cache: a small file beside it, which tells that it is whole and in its own place."""

from __future__ import annotations

import hashlib
from pathlib import Path

from planish.serve.smallfile import get, put


def seal(target: Path, written: Path) -> None:
    """Seal a map that was written elsewhere and is about to be put in its place.

    Raises
    ------
    OSError
        Where the disk refuses.
    """
    put(_place(target), _about(target, written))


def sealed(path: Path) -> bool:
    """Whether a map is the one that was sealed for this place.

    Raises
    ------
    OSError
        Where it cannot be read.
    """
    return get(_place(path)) == _about(path, path)


def _about(place: Path, content: Path) -> dict[str, str]:
    return {"map": place.name, "sha256": hashlib.sha256(content.read_bytes()).hexdigest()}


def _place(path: Path) -> Path:
    return path.with_name(f"{path.name.removesuffix('.map.json')}.seal.json")
