"""How much memory there is to take."""

from __future__ import annotations

import os
from pathlib import Path

_MEMINFO = Path("/proc/meminfo")
_GROUP_LIMIT, _GROUP_USE = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


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
    try:
        limit, used = (path.read_text(encoding="ascii").strip() for path in (_GROUP_LIMIT, _GROUP_USE))
        return max(0, int(limit) - int(used)) if limit != "max" else None
    except (OSError, ValueError):
        return None
