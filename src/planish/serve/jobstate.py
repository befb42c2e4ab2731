"""`JobState`: how far it is to flatten a slide into a file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class JobState:
    """How far a slide is.

    Attributes
    ----------
    state : str
        ``"none"``: nobody has asked, or not since the slide was replaced. ``"waiting"``, ``"running"``, ``"done"``,
        ``"failed"``.
    reason, message : str
        Why it failed, or why it waits; without any path.
    seconds : int
        For which it has been running, or ran.
    output : str
        The flat slide below the output folder, where it is done.
    warnings : tuple of str
        What a person should look at in it; without any path.
    """

    state: Literal["none", "waiting", "running", "done", "failed"]
    reason: str = ""
    message: str = ""
    seconds: int = 0
    output: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether it will still change by itself."""
        return self.state in ("waiting", "running")

    def facts(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)
