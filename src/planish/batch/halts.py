"""Why nothing new begins, said once when it starts and once when it is over."""

from __future__ import annotations

import time
from typing import Any

from planish.batch.events import Event, Kind, Listener


class Halts:
    """Keeps what stands in the way, and for how long it did.

    Attributes
    ----------
    seconds : float
        For which something stood in the way, all halts that are over added up.
    """

    def __init__(self, tell: Listener) -> None:
        self._tell = tell
        self._since: dict[Kind, float] = {}
        self.seconds = 0.0

    def begin(self, kind: Kind, **facts: Any) -> None:
        """Say what stands in the way: ``"paused"`` for want of room, ``"blocked"`` where the ledger takes nothing."""
        if kind not in self._since:
            self._since[kind] = time.monotonic()
            self._tell(Event(kind, facts=facts))

    def end(self, kind: Kind) -> None:
        """Say that it is over, if it was there."""
        if kind in self._since:
            lasted = time.monotonic() - self._since.pop(kind)
            self.seconds += lasted
            self._tell(Event("resumed", facts={"after": kind, "seconds": round(lasted, 1)}))
