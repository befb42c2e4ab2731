"""`Quarantine`: slides that a decoder died of are not opened for a while."""

from __future__ import annotations

import time

from planish.serve.wanted import Refusal, Refused, Subject

WORDS: dict[Refusal, str] = {
    "crashed": "the slide made a decoder die, so it is not opened for a while; it may be damaged",
    "too long": "the slide took too long to read, so it is not opened for a while; it may be damaged, or its disk slow",
}
"""What a slide can be shut out for."""


class Quarantine:
    """Slides that are shut out, as they were; one that is replaced is another slide.

    Parameters
    ----------
    seconds : float
        For how long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._shut: dict[tuple[str, str], tuple[float, Refusal]] = {}

    def shut(self, subject: Subject, kind: Refusal) -> None:
        """Shut a slide out."""
        self._shut[subject.path, subject.signature] = time.monotonic() + self._seconds, kind

    def check(self, subject: Subject) -> None:
        """Raise Refused where a slide is shut out."""
        until, kind = self._shut.get((subject.path, subject.signature), (0.0, None))
        if kind and time.monotonic() < until:
            raise Refused(kind, WORDS[kind])

    def tidy(self) -> None:
        """Forget those whose time is over."""
        now = time.monotonic()
        self._shut = {subject: shut for subject, shut in self._shut.items() if now < shut[0]}
