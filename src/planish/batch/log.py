"""The log: one JSON object a line, appended from night to night."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

from planish.batch.events import Event
from planish.report.plain import plain

NAME = "planish-batch.log"


class Log:
    """Writes what happens, line by line; a full disk costs lines, not the night."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / NAME
        self._lost = 0

    def __call__(self, event: Event) -> None:
        """Write an event."""
        lost = {"lines_lost": self._lost} if self._lost else {}
        line = {
            "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "event": event.kind,
            **({} if event.slide is None else {"slide": event.slide, "name": event.name}),
            **plain(event.facts),
            **lost,
        }
        try:
            # Opened for each line: whoever rotates logs may take the file away.
            with self._path.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            self._lost = 0
        except OSError:
            self._lost += 1
