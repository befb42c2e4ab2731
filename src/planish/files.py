"""Outputs appear whole or not at all: a temporary name beside the target, then fsync and rename."""

from __future__ import annotations

import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from planish.errors import OutputExists, WriteError

PREFIX = ".planish-"
"""Of temporary files and folders."""
TAG_VARIABLE = "PLANISH_TAG"
"""Whoever may have to kill a process sets it, to know which temporary files to remove then."""


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise the error that writing `path` would end in, before any work is done for it."""
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: already exists; choose another name or allow overwriting (--overwrite)")
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    if not path.parent.is_dir():
        raise WriteError(f"{path.parent}: no such folder; make it first")
    try:
        # The test that cannot be fooled by ACLs, read-only mounts or running as root.
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise WriteError(f"{path.parent}: cannot write there ({error.strerror}); choose another folder") from error


@contextmanager
def replacing(path: Path, *, overwrite: bool) -> Iterator[Path]:
    """Yield a temporary path that becomes `path` when the block ends well, and vanishes when it does not.

    Raises
    ------
    OutputExists
        Where `path` is there and `overwrite` is False.
    WriteError
        Where the folder is missing or read-only, or the disk is full.
    """
    check_output(path, overwrite=overwrite)
    # A token beside the process number: in a container, a killed run had the same number.
    # Without the name, which may be as long as names can be.
    tag = os.environ.get(TAG_VARIABLE) or os.getpid()
    temporary = path.with_name(f"{PREFIX}{tag}-{secrets.token_hex(4)}{path.suffix[:8]}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        if error.errno is None:
            raise
        raise WriteError(f"{path}: writing failed ({os.strerror(error.errno)}); nothing was left there") from error
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    """Make a renaming last through a power cut; not every file system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
