"""The record of a step in its output folder, by which the next run knows whether it may go on with what is there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planish.errors import OptionError
from planish.lightsheet.layout import make_folder
from planish.report.plain import plain
from planish.report.record import Run, RunRecord

TABLE = "table"
"""The argument that is a table: rows by name."""
SOURCE = "source_key"
_OF_THE_RUN = ("part", "jobs", "overwrite", "diagnostics")
"""Arguments that change no pixel."""


def source_key(source: Path) -> str:
    """Return what tells a source folder from others without naming it."""
    return hashlib.sha256(os.fsencode(source.resolve())).hexdigest()[:16]


def settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return those arguments that change what is written, as strict JSON has them."""
    return {
        name: settings(value) if isinstance(value, dict) else value
        for name, value in plain(arguments).items()
        if name not in _OF_THE_RUN
    }


def check_settings(path: Path, arguments: Mapping[str, Any], *, overwrite: bool) -> None:
    """Raise OptionError where the outputs beside a record were made with other settings, and are not made anew.

    Parameters
    ----------
    path : Path
        The record; all is well where it is not there, or not to be read.
    arguments : Mapping
        Of this run.
    overwrite : bool
        Whether all is made anew.
    """
    try:
        before = json.loads(path.read_text(encoding="utf-8"))["arguments"]
    except (OSError, ValueError, KeyError, TypeError):
        return
    now, then = settings(arguments), settings(before) if isinstance(before, dict) else {}
    if isinstance(now.get(TABLE), dict) and isinstance(then.get(TABLE), dict):
        # A table may grow; what it said before it must say still.
        both = now[TABLE].keys() & then[TABLE].keys()
        now[TABLE], then[TABLE] = ({key: each[TABLE][key] for key in both} for each in (now, then))
    if now == then or overwrite:
        return
    names = ", ".join(sorted(name for name in {*now, *then} if now.get(name) != then.get(name)))
    raise OptionError(
        f"{path.parent}: what is there was made with other settings ({names}); use these again, name another folder, "
        "or make all anew (--overwrite)"
    )


def save_record(path: Path, run: Run, arguments: Mapping[str, Any], facts: Mapping[str, Any]) -> RunRecord:
    """Write the record of a step and return it."""
    source = facts.get("source", {})
    record = run.record(
        arguments=arguments, source=source, output={name: value for name, value in facts.items() if name != "source"}
    )
    make_folder(path.parent)
    record.save(path, overwrite=True)
    return record
