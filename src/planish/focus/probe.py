"""Which sampler suits a slide: a few specimen cells and their neighbours tell."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from planish.errors import OptionError
from planish.focus import profile
from planish.focus.bracket import NEAR, BracketSampler, coarse_planes
from planish.focus.recursive import LATTICE, RecursiveSampler, lattice
from planish.focus.sampler import DenseSampler, Sampler

PROBES = 64

MOSTLY = 2 / 3
"""Above this share of neighbours with one plane tissue is smooth: a change per 6 cells gives 0.8, clusters to 0.6."""

SMALL = 4096
"""So many cell-planes are scored in seconds, and skipping some saves nothing worth a doubt."""

FEW_PLANES = 4
"""Every third plane and its neighbours are all the planes there are."""

SAMPLERS = ("dense", "recursive", "bracket")


class Choice(NamedTuple):
    """The name of a sampler, and a sentence that says why."""

    name: str
    why: str


class Probe(Sampler):
    """Brackets the best plane of 64 random specimen cells, and scores their right and lower neighbours beside it.

    Cells of the recursive sampler's lattice come first, for it would score them anyway. Nothing is asked where the
    choice is clear without.

    Parameters
    ----------
    mask, planes
        As for `Sampler`.
    seed : int
        Of the random choice; also of the lattice, where the recursive sampler gets the same.
    """

    def __init__(self, mask: NDArray[np.bool_], planes: int, seed: int | None = None) -> None:
        super().__init__(mask, planes)
        cells = np.random.default_rng(seed).permutation(np.argwhere(self.mask))
        on_lattice = lattice(self.mask.shape, LATTICE, seed)[tuple(cells.T)]
        self._probes = cells[np.argsort(~on_lattice, kind="stable")][:PROBES]
        if not self._clear():
            self._wanted[self._probes[:, :1], self._probes[:, 1:], coarse_planes(planes)] = True

    def choice(self) -> Choice:
        """Return the sampler to take, once done."""
        clear = self._clear()
        if clear:
            return clear
        cells, neighbours = self._pairs()
        best = profile.best_plane(self.scores)
        agree = int((best[tuple(cells.T)] == best[tuple(neighbours.T)]).sum())
        found = f"{agree} of {len(cells)} neighbours of {len(self._probes)} probed cells have the same plane"
        if agree > MOSTLY * len(cells):
            return Choice("recursive", f"{found}: smooth, so cells between agreeing ones are inferred")
        return Choice("bracket", f"{found}: cells have planes of their own, so each is scored")

    def _clear(self) -> Choice | None:
        cell_planes = int(self.mask.sum()) * self.planes
        if self.planes <= FEW_PLANES:
            return Choice("dense", f"{self.planes} planes: there is nothing to skip")
        if cell_planes <= SMALL:
            return Choice("dense", f"only {cell_planes} cell-planes of specimen, at most {SMALL} are all scored")
        return None

    def _extend(self) -> bool:
        if self._clear():
            return False
        probed = tuple(self._probes.T)
        beside = profile.flanks(self.scores[probed], NEAR)
        if (beside & np.isnan(self.scores[probed])).any():
            self._wanted[probed] |= beside
            return True
        cells, neighbours = self._pairs()
        best = profile.best_plane(self.scores[tuple(cells.T)])
        near = np.clip(best[:, None] + (-1, 0, 1), 0, self.planes - 1)
        self._wanted[neighbours[:, :1], neighbours[:, 1:], near] = True
        return bool((self._wanted & np.isnan(self.scores)).any())

    def _pairs(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return the probed cells and their right and lower specimen neighbours, (n, 2) each."""
        cells = np.repeat(self._probes, 2, axis=0)
        neighbours = cells + np.tile([[0, 1], [1, 0]], (len(self._probes), 1))
        padded = np.pad(self.mask, ((0, 1), (0, 1)))
        inside = padded[tuple(neighbours.T)]
        return cells[inside], neighbours[inside]


def make_sampler(name: str, mask: NDArray[np.bool_], planes: int, seed: int | None = None) -> Sampler:
    """Return a sampler by its name in `SAMPLERS`; only the recursive one uses the seed.

    Raises
    ------
    OptionError
        Where there is no sampler of that name.
    """
    if name == "recursive":
        return RecursiveSampler(mask, planes, seed)
    if name == "bracket":
        return BracketSampler(mask, planes)
    if name == "dense":
        return DenseSampler(mask, planes)
    raise OptionError(f"no sampler {name!r}; use one of auto, {', '.join(SAMPLERS)}")


def choose_sampler(probe: Probe, seed: int | None = None) -> tuple[Sampler, Choice]:
    """Return the sampler that a finished probe chooses, with the probe's scores fed, and why."""
    choice = probe.choice()
    sampler = make_sampler(choice.name, probe.mask, probe.planes, seed)
    sampler.adopt(probe)
    return sampler, choice
