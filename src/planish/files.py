"""Outputs appear whole or not at all: a temporary name beside the target, then fsync and rename."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from planish.errors import OutputExists, WriteError

PREFIX = ".planish-"
"""Of temporary files and folders."""
TAG_VARIABLE = "PLANISH_TAG"
"""Whoever may have to kill a process sets it, to know which temporary files to remove then."""
_ASIDE = f"{PREFIX}old-"
"""Of a folder in which an old output waits under its own name while the new one takes its place. No sweep may take it:
for that moment, it holds the only whole one."""
_FEW_FILES = 1000
"""Up to so many files of a folder are synced one by one; for more, the whole disk at once is faster."""


def check_output(path: Path, *, overwrite: bool) -> None:
    """Raise the error that writing the file `path` would end in, before any work is done for it."""
    _check_free(path, overwrite)
    if path.is_dir():
        raise WriteError(f"{path}: is a folder; name a file in it")
    _check_parent(path)


def check_folder_output(path: Path, *, overwrite: bool, ours: Callable[[Path], bool]) -> None:
    """Raise the error that writing the folder `path` would end in; see `replacing_folder`."""
    _put_back(path)
    _check_free(path, overwrite)
    if path.exists() and not (path.is_dir() and not path.is_symlink() and (ours(path) or not any(path.iterdir()))):
        raise WriteError(f"{path}: is there, and not of the kind to be written; choose another name, or remove it")
    _check_parent(path)


def _check_free(path: Path, overwrite: bool) -> None:
    if path.is_symlink() and not path.exists():
        raise WriteError(f"{path}: is a link that leads nowhere; remove it, or choose another name")
    if path.exists() and not overwrite:
        raise OutputExists(f"{path}: already exists; choose another name or allow overwriting (--overwrite)")


def _check_parent(path: Path) -> None:
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
    temporary = _temporary(path)
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


@contextmanager
def replacing_folder(path: Path, *, overwrite: bool, ours: Callable[[Path], bool]) -> Iterator[Path]:
    """Yield a temporary, empty folder that becomes `path` when the block ends well, and vanishes when it does not.

    A folder that is replaced steps aside for the moment between two renamings. Killed just then, it is put back by the
    next call or check for the same path, so that nothing is ever lost. What was being written by a killed process stays
    beside, as ``.planish-…``: whether its writer lives cannot be told on a disk that several computers share.

    Parameters
    ----------
    path : Path
        The folder to be.
    overwrite : bool
        Replace one that is there.
    ours : callable
        (folder) -> whether it is of the kind to be written; no other folder is removed, unless it is empty.

    Raises
    ------
    OutputExists
        Where `path` is there and `overwrite` is False.
    WriteError
        Where it is there and not `ours`, the folder around it is missing or read-only, or the disk is full.
    """
    check_folder_output(path, overwrite=overwrite, ours=ours)
    temporary = _temporary(path)
    try:
        temporary.mkdir()
        yield temporary
        _sync_files(temporary)
        _exchange(temporary, path)
    except OSError as error:
        if error.errno is None:
            raise
        raise WriteError(f"{path}: writing failed ({os.strerror(error.errno)}); nothing was left there") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _temporary(path: Path) -> Path:
    # A token beside the process number: in a container, a killed run had the same number.
    # Without the name, which may be as long as names can be.
    tag = os.environ.get(TAG_VARIABLE) or os.getpid()
    return path.with_name(f"{PREFIX}{tag}-{secrets.token_hex(4)}{path.suffix[:8]}")


def _exchange(temporary: Path, path: Path) -> None:
    """Rename a new folder into place; an old one is left in the temporary's place, to be removed like it."""
    if not path.exists():
        temporary.replace(path)
        _sync_folder(path.parent)
        return
    aside = path.with_name(f"{_ASIDE}{secrets.token_hex(4)}")
    aside.mkdir()
    path.replace(aside / path.name)
    try:
        temporary.replace(path)
    except OSError:
        _put_back(path)
        raise
    _sync_folder(path.parent)
    with suppress(OSError):  # another process may have cleared it away
        aside.replace(temporary)


def find_aside(path: Path) -> list[Path]:
    """Return the old folders of a path that stand aside, where one was being replaced and its writer was killed."""
    return [old for aside in path.parent.glob(f"{_ASIDE}*") if (old := aside / path.name).is_dir()]


def _put_back(path: Path) -> None:
    """Give an old folder that stands aside its name again, where no new one has taken it."""
    for old in find_aside(path):
        if path.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.replace(path)
        with suppress(OSError):
            old.parent.rmdir()


def _sync_files(folder: Path) -> None:
    files = [Path(root, name) for root, _, names in os.walk(folder) for name in names]
    if len(files) > _FEW_FILES and hasattr(os, "sync"):
        os.sync()
        return
    for path in files:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    for root, _, _ in os.walk(folder):
        _sync_folder(Path(root))


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
