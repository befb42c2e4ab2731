"""`BestOptions`: how the best of a slide is made."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from planish.batch.options import BatchOptions
from planish.batch.process import Limits
from planish.convert import ConvertOptions
from planish.focus.options import SurveyOptions
from planish.fuse.options import FuseOptions
from planish.threads import cores
from planish.write.options import WriteOptions


@dataclass(frozen=True, slots=True)
class BestOptions:
    """How the best of a slide is made.

    Attributes
    ----------
    survey, fuse : SurveyOptions, FuseOptions
        As `planish flatten` has them.
    at_once : int
        Slides at the same time, by all processes that share the cache; 0 for half as many as there are cores.
    most_bytes : int
        That the cache may take on the disk.
    seconds, memory : float, int or None
        Limits of one slide; None for those that `planish batch` sets by its size.
    wait, short_wait : float
        Seconds until what failed may be tried again; the shorter where it may pass by itself.
    """

    survey: SurveyOptions = field(default_factory=SurveyOptions)
    fuse: FuseOptions = field(default_factory=FuseOptions)
    at_once: int = 0
    most_bytes: int = 2 << 30
    seconds: float | None = None
    memory: int | None = None
    wait: float = 900.0
    short_wait: float = 30.0

    def turns(self) -> int:
        """Return how many slides are worked on at the same time."""
        return self.at_once or max(1, cores() // 2)

    def limits(self, size: int) -> Limits:
        """Return the limits of a slide of so many bytes."""
        return BatchOptions(seconds=self.seconds, memory=self.memory).limits(size)

    def convert_options(self) -> ConvertOptions:
        """Return with what `planish.convert` makes the same."""
        return ConvertOptions(survey=self.survey, fuse=self.fuse, write=WriteOptions(jobs=self.survey.jobs))

    def to_json(self) -> str:
        """Return what a program is told of it."""
        return json.dumps({"survey": asdict(self.survey), "fuse": asdict(self.fuse)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return what `to_json` told."""
        told = json.loads(text)
        return cls(SurveyOptions(**told["survey"]), FuseOptions(**told["fuse"]))

    def meaning(self) -> str:
        """Return all on which a map depends; the number of threads is nothing of that."""
        return replace(self, survey=replace(self.survey, jobs=1)).to_json()
