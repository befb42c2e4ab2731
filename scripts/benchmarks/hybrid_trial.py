"""One phantom looked into once, then composed with any limits: what `bench_hybrid` varies."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from hybrid_case import JOBS, Case, Flat, cuts, ghosts, seam

from planish.focus.options import SurveyOptions
from planish.focus.survey import survey
from planish.fuse.assess import Assessment, assess
from planish.fuse.cells import soft_at
from planish.fuse.cover import hybrid_recipe
from planish.fuse.flat import flatten
from planish.fuse.host import HostBackend
from planish.fuse.hybrid import Hybrid
from planish.fuse.options import FuseOptions
from planish.fuse.planes import SlidePlanes
from planish.phantom.specimen import Kind
from planish.planemap import PlaneMap
from planish.recipe import Action, Recipe
from planish.slide.base import Slide
from planish.slide.open import open_slide


@dataclass(frozen=True)
class Result:
    """What one way of composing came to.

    Attributes
    ----------
    copied, copied_specimen : float
        Share of the cells that are copied, of all and of those that hold specimen in the phantom.
    error, error_written : float
        Mean squared error on the specimen, of the pixels composed and of those in the file.
    seam : float
        99th percentile of the seam excess in the file, in grey levels.
    cuts : int
        Short stretches of borders where an object is cut: see `hybrid_case.cuts`.
    ghosts : float
        Difference from the truth of glass beside the specimen, in grey levels: see `hybrid_case.ghosts`.
    """

    copied: float
    copied_specimen: float
    error: float
    error_written: float
    seam: float
    cuts: int
    ghosts: float


@dataclass(frozen=True, eq=False)
class Trial:
    """A phantom, what was found out about its cells, and what other methods make of it.

    Attributes
    ----------
    case : Case
        The phantom.
    slide : Slide
        The SVS, open.
    proposed : PlaneMap
        By byte counts alone, as `convert` surveys for hybrid.
    found : Assessment
        Of its cells, planes corrected, as `convert` asks for.
    select, soft : Result
        As `planish flatten --fuse select` and `--fuse soft` make them: select has its near ties decoded.
    """

    case: Case
    slide: Slide
    proposed: PlaneMap
    found: Assessment
    select: Result
    soft: Result

    @classmethod
    def of(cls, case: Case) -> Self:
        """Survey and assess it, compose it by select and by soft."""
        slide = open_slide(case.path)
        proposed = survey(slide, SurveyOptions(ties="bytes"))
        found = assess(slide, proposed, JOBS, correct=True)
        select = judged(case, Flat.of(flatten(slide, survey(slide), FuseOptions("select"))), 1.0, 1.0)
        soft = judged(case, Flat.of(flatten(slide, proposed, FuseOptions("soft"))), 0.0, 0.0)
        return cls(case, slide, proposed, found, select, soft)

    def recipe(self, options: Hybrid, found: Assessment | None = None) -> Recipe:
        """Decide with other limits."""
        noise = soft_at(options, 1.0, None).noise(SlidePlanes(self.slide), HostBackend())
        return hybrid_recipe(len(self.slide.planes), found or self.found, options, (noise,))

    def compose(self, recipe: Recipe, found: Assessment | None = None) -> Flat:
        """Return level 0 as hybrid makes it."""
        focus = replace(self.proposed, plane=(found or self.found).plane, recipe=recipe)
        return Flat.of(flatten(self.slide, focus, FuseOptions("hybrid", recipe.parameters)))

    def measure(self, options: Hybrid) -> Result:
        """Compose with other limits, and measure."""
        recipe = self.recipe(options)
        copied = recipe.action == Action.COPY
        shares = float(copied.mean()), float(copied[self.case.cells].mean())
        return judged(self.case, self.compose(recipe), *shares)

    def gain(self, error: float) -> float:
        """Return the share of soft's gain over select that composed pixels of such an error have."""
        return gain(self.select, error, self.soft)


def judged(case: Case, flat: Flat, copied: float, copied_specimen: float) -> Result:
    """Return the figures of a flat slide."""
    pixels, written = flat.pixels, flat.written
    errors = case.error(pixels), case.error(written)
    return Result(copied, copied_specimen, *errors, seam(written), cuts(case, written), ghosts(case, written))


@dataclass(frozen=True)
class Series:
    """One phantom composed with several limits.

    Attributes
    ----------
    kind, seed : str, int
        Which phantom.
    select, soft : Result
        What they come to.
    truth : float
        99th percentile of the seam excess of the truth, compressed as the source is.
    results : list of Result
        With each of the limits.
    """

    kind: Kind
    seed: int
    select: Result
    soft: Result
    truth: float
    results: list[Result]

    def gain(self, index: int) -> float:
        """Return the share of soft's gain over select, pixels composed."""
        return gain(self.select, self.results[index].error, self.soft)

    def less_written(self, index: int) -> float:
        """Return by how much the mean squared error of the file is less than select's, in (grey levels)²."""
        return self.select.error_written - self.results[index].error_written

    def beyond(self, index: int) -> float:
        """Return the seam excess beyond the truth's, in grey levels."""
        return self.results[index].seam - self.truth


def gain(select: Result, error: float, soft: Result) -> float:
    """Return the share of soft's gain over select, pixels composed."""
    return (select.error - error) / (select.error - soft.error)
