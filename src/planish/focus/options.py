"""`SurveyOptions`: how planes are chosen."""

from __future__ import annotations

import math
from dataclasses import dataclass

from planish.errors import OptionError
from planish.focus.probe import SAMPLERS
from planish.focus.scorers import STEPS, find_scorer
from planish.focus.sizes import NAME as ENCODED_SIZE


@dataclass(frozen=True, slots=True)
class SurveyOptions:
    """How planes are chosen.

    Attributes
    ----------
    scorer : str
        A name of `planish.focus.scorers.SCORERS`, ``"encoded-size"``, or ``"auto"``: byte counts where they compare,
        else blur-difference.
    ties : str
        What encoded-size does with planes of nearly equal size: ``"decode"`` and score them, or go by ``"bytes"``
        alone; ``"auto"`` decodes, unless the cells are looked into anyway when they are composed.
    score_level : int or None
        The pyramid level to score.
    score_downsample : float or None
        The same as level-0 pixels per scored pixel, whatever levels the file has; None for both means 4, but 1 for the
        ties of byte counts.
    step : int
        Look at every step-th pixel: 1, 2, 4 or 8.
    subtiles : int
        Score a cell by its sharpest of subtiles × subtiles parts.
    sampler : str
        ``"auto"`` (by probing), ``"dense"``, ``"recursive"`` or ``"bracket"``.
    channel : int, str or None
        Number or name of the channel that is looked at; None for all: the luma of RGB, else their mean.
    seed : int
        Of probe and audit.
    audit : bool
        Whether to check a sample of the inferred cells.
    jobs : int
        Threads.
    """

    scorer: str = "auto"
    ties: str = "auto"
    score_level: int | None = None
    score_downsample: float | None = None
    step: int = 1
    subtiles: int = 1
    sampler: str = "auto"
    channel: int | str | None = None
    seed: int = 0
    audit: bool = True
    jobs: int = 2

    def __post_init__(self) -> None:
        if self.scorer not in ("auto", ENCODED_SIZE):
            find_scorer(self.scorer)
        if self.ties not in ("auto", "decode", "bytes"):
            raise OptionError(f"ties are settled by decode or by bytes, not by {self.ties!r}")
        if self.sampler not in ("auto", *SAMPLERS):
            raise OptionError(f"no sampler {self.sampler!r}; use auto, {', '.join(SAMPLERS)}")
        if self.step not in STEPS or self.subtiles < 1 or self.jobs < 1 or self.seed < 0:
            raise OptionError(
                f"survey: step must be one of {STEPS}, subtiles and jobs at least 1, seed not negative; got "
                f"step {self.step}, subtiles {self.subtiles}, jobs {self.jobs}, seed {self.seed}"
            )
        if self.score_level is not None and self.score_level < 0:
            raise OptionError(f"score level {self.score_level}: levels count from 0, full size")
        wanted = self.score_downsample
        if wanted is not None and not (1 <= wanted < math.inf and self.score_level is None):
            raise OptionError(f"score_downsample must be at least 1 and goes without score_level, got {wanted}")
