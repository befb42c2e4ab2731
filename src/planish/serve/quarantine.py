"""`Quarantine`: slides that a decoder died of are not opened for a while."""

from __future__ import annotations

import time

from planish.serve.wanted import Refusal, Refused, Want

WORDS: dict[Refusal, str] = {
    "crashed": "the slide made a decoder die, so it is not opened for a while; it may be damaged",
    "too large": "the slide needs more memory than it may take, so it is not opened for a while; it may be damaged",
    "too long": "the slide took too long to read, so it is not opened for a while; it may be damaged, or its disk slow",
}
"""What a slide can be shut out for."""
_WIDE = "a picture of so much of the slide takes too long, so none is made for a while; ask for tiles, or for less"

_Slide = tuple[str, str]


class Quarantine:
    """Slides that are shut out, as they were; one that is replaced is another slide.

    Of a slide of which a wide picture took too long, only such pictures are.

    Parameters
    ----------
    seconds : float
        For how long.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._shut: dict[tuple[_Slide, bool], tuple[float, Refusal]] = {}
        self._suspects: dict[tuple[str, bool], str] = {}

    def shut(self, want: Want, kind: Refusal) -> None:
        """Shut a slide out, or wide pictures of it, for what became of a want."""
        narrow = _narrow(want, kind)
        self._shut[_slide(want), narrow] = time.monotonic() + self._seconds, kind
        self._suspects[want.subject.path, narrow] = want.subject.signature

    def suspects(self, want: Want) -> bool:
        """Whether what is wanted ever was shut out."""
        meant = (False, True) if want.wide else (False,)
        return any(self._suspects.get((want.subject.path, narrow)) == want.subject.signature for narrow in meant)

    def refusal(self, want: Want) -> Refused | None:
        """Return why what is wanted is shut out, None where it is not."""
        for narrow in (False, True) if want.wide else (False,):
            until, kind = self._shut.get((_slide(want), narrow), (0.0, None))
            if kind and time.monotonic() < until:
                return Refused(kind, _WIDE if narrow else WORDS[kind])
        return None

    def tidy(self) -> None:
        """Forget those whose time is over."""
        now = time.monotonic()
        self._shut = {meant: shut for meant, shut in self._shut.items() if now < shut[0]}


def _slide(want: Want) -> _Slide:
    return want.subject.path, want.subject.signature


def _narrow(want: Want, kind: Refusal) -> bool:
    return want.wide and kind == "too long"
