"""How much memory there is to take."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_V2, _V1 = Path("/sys/fs/cgroup"), Path("/sys/fs/cgroup/memory")
_GROUPS = (
    (_V2 / "memory.max", _V2 / "memory.current", "inactive_file"),
    (_V1 / "memory.limit_in_bytes", _V1 / "memory.usage_in_bytes", "total_inactive_file"),
)
"""Of Linux's two kinds of groups: limit, use, and the entry of memory.stat that counts files not in use."""


def available_memory() -> int | None:
    """Return the bytes that can be taken without swapping, of the machine and of the process's group; None if unknown.

    Linux tells what is free or can be freed at once; elsewhere all the memory that the machine has counts.
    """
    found = [size for size in (_of_machine(), _of_group()) if size is not None]
    return min(found, default=None)


def _of_machine() -> int | None:
    try:
        for line in _MEMINFO.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    except (OSError, ValueError):
        pass  # not Linux
    return _physical()


def _physical() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, AttributeError, OSError):
        return None  # Windows has no sysconf


def _of_group() -> int | None:
    found = [_left(*files) for files in _GROUPS]
    return min((size for size in found if size is not None), default=None)


def _left(limit_file: Path, use_file: Path, idle: str) -> int | None:
    """Return what a group may still take; of what it has, file contents that are not in use can be freed at once."""
    try:
        limit, used = (path.read_text(encoding="ascii").strip() for path in (limit_file, use_file))
        if limit == "max":
            return None
        facts = dict(line.split() for line in (limit_file.parent / "memory.stat").read_text("ascii").splitlines())
        return max(0, int(limit) - int(used) + int(facts.get(idle, 0)))
    except (OSError, ValueError):
        return None
