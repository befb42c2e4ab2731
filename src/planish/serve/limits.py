"""`Limits`: what decoders may take, and how much may wait for them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """What decoders may take, and what may wait for them.

    Attributes
    ----------
    seconds : float
        For one want, and for one to wait.
    patience : float
        For one want, until another decoder is started beside the one for slides that have never answered.
    memory : int
        Bytes of a decoder; what goes beyond is refused.
    resident : int
        Bytes from which on a decoder is replaced when it is idle.
    wants : int
        After which it is replaced, too.
    waiting : int
        Wants that wait for a decoder; more are refused.
    quarantine : float
        Seconds for which a slide is refused that killed a decoder.
    """

    seconds: float = 20.0
    patience: float = 1.0
    memory: int = 2 << 30
    resident: int = 1 << 30
    wants: int = 200_000
    waiting: int = 1024
    quarantine: float = 60.0
