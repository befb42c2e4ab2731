"""`survey`: a z-stacked slide in, a `PlaneMap` out. Drives the samplers, and is the only one here that reads tiles."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.focus.audit import Auditor
from planish.focus.background import fill_glass, like_glass
from planish.focus.grid import Blocks, CellGrid
from planish.focus.mask import mask_level, row_extremes, specimen_mask
from planish.focus.options import SurveyOptions
from planish.focus.probe import Choice, Probe, choose_sampler, make_sampler
from planish.focus.sampler import DenseSampler, Sampler
from planish.focus.scoring import make_scoring
from planish.focus.sizes import NAME as ENCODED_SIZE
from planish.focus.sizes import SMALL_TIE, SMALL_TILE, TIE, SizeSampler, cell_sizes, level_floors
from planish.planemap import Audit, How, PlaneMap, SurveyRecord
from planish.slide.base import Slide
from planish.threads import Progress, in_threads

GLASS_CELLS = 16
"""Cells outside the specimen that are scored to know glass."""

_Found = tuple[Sampler, NDArray[np.bool_], SurveyRecord]
"""A finished sampler, the specimen cells, and the record as far as it is known."""


def survey(slide: Slide, options: SurveyOptions | None = None, progress: Progress | None = None) -> PlaneMap:
    """Find the sharpest plane of every cell.

    Parameters
    ----------
    slide : Slide
        A z-stack of integer pixels; with one plane there is nothing to choose, and nothing is decoded.
    options : SurveyOptions
        Scorer, level, sampler.
    progress : callable
        Called with (stage, done, total).

    Memory: the scores (4 bytes per cell and plane), and per thread one storage tile of the scored level.

    Raises
    ------
    OptionError
        Where the slide has no such level or channel.
    TileError
        Where a tile cannot be decoded.
    """
    options, begin = options or SurveyOptions(), time.perf_counter()
    if options.channel is not None:
        slide = slide.one_channel(options.channel)  # which need not be one of those kept
    surveyor = _Surveyor(slide, options, progress or _silent)
    return surveyor.trivial() if len(slide.planes) == 1 else surveyor.run(begin)


def _silent(stage: str, done: int, total: int) -> None:
    pass


class _Surveyor:
    """One survey under way."""

    def __init__(self, slide: Slide, options: SurveyOptions, progress: Progress) -> None:
        self.slide, self.options, self.progress = slide, options, progress
        self.grid = CellGrid.of(slide)
        self.planes = len(slide.planes)
        self.scoring = make_scoring(slide, self.grid, options)

    def trivial(self) -> PlaneMap:
        """Return the map of a slide with one plane."""
        nothing = DenseSampler(np.ones((self.grid.rows, self.grid.columns), bool), 1)
        choice = Choice("none", "one plane only: there was nothing to choose")
        return self._map(nothing, nothing.mask, self._record(choice, nothing.mask, "none", choice.why))

    def run(self, begin: float) -> PlaneMap:
        """Mask, then choose by byte counts where they compare, else by decoded scores."""
        start = self._decoded()
        mask = self._mask()
        masked = self._decoded() - start
        sizes = self._sizes()
        found = self._by_scores(mask, sizes) if isinstance(sizes, str) else self._by_sizes(mask, sizes)
        sampler, specimen, record = found
        record = replace(
            record,
            inferred=int((specimen & (sampler.how == How.INFERRED)).sum()),
            specimen_tile_planes=self.scoring.tiles_of(mask) * self.planes,
            mask_decoded=record.mask_decoded + masked,
            seconds=round(time.perf_counter() - begin, 3),
        )
        return self._map(sampler, specimen, record)

    def _sizes(self) -> NDArray[np.float32] | str:
        """Return the byte counts of all cells, or why they are not used."""
        scorer = self.options.scorer
        if scorer not in ("auto", ENCODED_SIZE):
            return "as asked"
        sizes = cell_sizes(self.slide, self.grid)
        if isinstance(sizes, str) and scorer == ENCODED_SIZE:
            raise OptionError(f"{self.slide.name}: byte counts cannot choose planes: {sizes}; use --scorer auto")
        return f"byte counts not used: {sizes}" if isinstance(sizes, str) else sizes

    def _by_sizes(self, mask: NDArray[np.bool_], sizes: NDArray[np.float32]) -> _Found:
        full = self.slide.levels[0]
        tie = SMALL_TIE if min(full.tile_width, full.tile_height) < SMALL_TILE else TIE
        if self.options.score_downsample is None and self.options.score_level is None:
            # Bytes tell of detail at full size; so do ties that are to agree with them.
            self.scoring = make_scoring(self.slide, self.grid, replace(self.options, score_downsample=1))
        sampler = SizeSampler(mask, level_floors(sizes, ~mask), 0 if self.options.ties == "bytes" else tie)
        before = self._decoded()
        self._feed(sampler, "deciding near ties")
        why = "planes compressed alike, so bytes tell"
        record = self._record(Choice("sizes", f"{sampler.tied} near ties"), mask, ENCODED_SIZE, why)
        decoded, measured = self._decoded() - before, int(np.isfinite(sampler.scores).sum())
        return sampler, mask, replace(record, decoded=decoded, measured=measured, tied=sampler.tied)

    def _by_scores(self, mask: NDArray[np.bool_], why: str) -> _Found:
        start = self._decoded()
        glass_profiles = self._glass_profiles(mask)
        before = self._decoded()
        sampler, choice = self._sampler(mask)
        self._feed(sampler, "choosing planes")
        decoded, measured = self._decoded() - before, int(np.isfinite(sampler.scores).sum())
        sampler, audit = self._audited(sampler)
        specimen = mask & ~like_glass(sampler.scores, mask, glass_profiles)
        record = self._record(choice, specimen, self.scoring.scorer, why)
        return (
            sampler,
            specimen,
            replace(record, decoded=decoded, measured=measured, mask_decoded=before - start, audit=audit),
        )

    def _glass_profiles(self, mask: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return all scores of some cells of glass, (n, planes): what contrast noise alone makes."""
        glass = np.argwhere(~mask)
        some = np.random.default_rng(self.options.seed).permutation(glass)[:GLASS_CELLS]
        chosen = np.zeros_like(mask)
        chosen[tuple(some.T)] = True
        sampler = DenseSampler(chosen, self.planes)
        self._feed(sampler, "looking at glass")
        return sampler.scores[chosen]

    def _mask(self) -> NDArray[np.bool_]:
        level, plane = mask_level(self.slide, self.grid), self.planes // 2
        rows = Blocks.of(self.grid, self.slide.levels[level]).rows
        tasks = ((self.slide, level, plane, row) for row in range(rows))
        with in_threads(row_extremes, tasks, self.options.jobs, ordered=True) as results:
            extremes = list(results)
        return specimen_mask(np.concatenate(extremes, axis=1), self.slide.dtype)

    def _sampler(self, mask: NDArray[np.bool_]) -> tuple[Sampler, Choice]:
        name, seed = self.options.sampler, self.options.seed
        if name != "auto":
            return make_sampler(name, mask, self.planes, seed), Choice(name, "as asked")
        probe = Probe(mask, self.planes, seed)
        self._feed(probe, "probing")
        return choose_sampler(probe, seed)

    def _feed(self, asker: Sampler, stage: str) -> None:
        """Score whatever is asked for until nothing is."""
        while not asker.done:
            report = partial(self.progress, stage)
            cells, scores = zip(*self.scoring.run(asker.pending(), asker.mask, report), strict=True)
            asker.feed(np.concatenate(cells), np.concatenate(scores))

    def _audited(self, sampler: Sampler) -> tuple[Sampler, Audit | None]:
        """Return the sampler with audited cells scored in full, and what the audit found where there was any."""
        if not self.options.audit or not (sampler.mask & (sampler.how != How.DENSE)).any():
            return sampler, None
        before = self._decoded()
        auditor = Auditor(sampler, self.options.seed)
        self._feed(auditor, "auditing")
        return auditor, replace(auditor.audit, decoded=self._decoded() - before)

    def _decoded(self) -> int:
        return self.slide.decoded.total()

    def _record(self, choice: Choice, specimen: NDArray[np.bool_], scorer: str, scorer_why: str) -> SurveyRecord:
        """Return a record of what was asked for and found; what it took is yet to be filled in."""
        scoring = self.scoring
        return SurveyRecord(
            scorer=scorer,
            scorer_why=scorer_why,
            score_downsample=round(scoring.blocks.level.downsample_x * scoring.shrink, 4),
            step=scoring.step,
            subtiles=scoring.subtiles,
            sampler=choice.name,
            why=choice.why,
            specimen_cells=int(specimen.sum()),
            glass_cells=int((~specimen).sum()),
        )

    def _map(self, sampler: Sampler, specimen: NDArray[np.bool_], record: SurveyRecord) -> PlaneMap:
        full, grid = self.slide.levels[0], self.grid
        return PlaneMap(
            plane=fill_glass(sampler.plane, specimen, self.planes),
            margin=sampler.margin,
            how=np.where(specimen, sampler.how, np.uint8(How.GLASS)),
            sharpness=sampler.sharpness,
            cell_width=grid.width,
            cell_height=grid.height,
            width=full.width,
            height=full.height,
            z_um=tuple(plane.z_um for plane in self.slide.planes),
            record=record,
        )
