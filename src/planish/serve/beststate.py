"""`BestState`: how far the best of a slide is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class BestState:
    """How far the plane map is by which the best of a slide is put together.

    Attributes
    ----------
    state : str
        ``"none"``: nobody has asked, or whoever worked on it was killed. ``"working"``, also while it waits for its
        turn. ``"ready"``. ``"failed"``: it is not tried again at once.
    map : str
        Path of the map where it is ready; not for people.
    stage : str
        What is being done, ``"waiting"`` before anything is.
    done, total : int
        Of the stage; total is 0 where it is not known.
    reason, message : str
        Why it failed: a word or two, and what was seen, without any path.
    """

    state: Literal["none", "working", "ready", "failed"]
    map: str = ""
    stage: str = ""
    done: int = 0
    total: int = 0
    reason: str = ""
    message: str = ""

    @property
    def under_way(self) -> bool:
        """Whether it will still change by itself."""
        return self.state == "working"

    def facts(self) -> dict[str, Any]:
        """Return what may be told, for JSON."""
        told = {"stage": self.stage, "done": self.done, "total": self.total} if self.under_way else {}
        why = {"reason": self.reason, "message": self.message} if self.state == "failed" else {}
        return {"state": self.state, **told, **why}
