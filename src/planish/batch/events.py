"""What happens in a night, told to whoever listens: the log, the progress on the terminal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal[
    "began", "adopted", "passed over", "found", "again", "started", "done", "failed", "retry", "paused", "resumed",
    "blocked", "checked", "stopping", "ended",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Event:
    """Something happened: to a slide, by number and name, or to the night as a whole."""

    kind: Kind
    slide: int | None = None
    name: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]
