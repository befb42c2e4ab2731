"""Small JSON files that several processes read while one writes them: whole, or not there."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planish.files import PREFIX


def put(path: Path, value: dict[str, Any]) -> None:
    """Write a file anew; what it held may be lost in a power cut.

    Raises
    ------
    OSError
        Where the disk refuses.
    """
    temporary = path.with_name(f"{PREFIX}{os.getpid()}-{threading.get_ident()}-{path.name}")
    try:
        temporary.write_text(json.dumps(value), encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def get(path: Path) -> dict[str, Any] | None:
    """Return what was put, None where there is nothing, or nothing of the kind."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


def number(told: Mapping[str, Any], name: str) -> float:
    """Return a number out of a file; 0 where there is none, or no sensible one."""
    try:
        value = float(told.get(name, 0))
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return value if math.isfinite(value) else 0.0
