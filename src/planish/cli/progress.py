"""Progress on stderr: a bar on a terminal, a line per stage elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm


class Bars:
    """Shows (stage, done, total) as they come in; a context manager."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._stage = ""
        self._bar: tqdm[Any] | None = None

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Show that `done` of `total` units of a stage are done."""
        if self._quiet:
            return
        if stage != self._stage:
            self._begin(stage, total)
        if self._bar is not None:
            if total != self._bar.total:
                self._bar.reset(total)
            self._bar.update(done - self._bar.n)

    def _begin(self, stage: str, total: int) -> None:
        self._end()
        self._stage = stage
        if self._terminal:
            self._bar = tqdm(total=total, desc=stage, file=sys.stderr, leave=False)
        else:
            print(f"planish: {stage}", file=sys.stderr)

    def _end(self) -> None:
        if self._bar is not None:
            self._bar.close()
        self._bar = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()
