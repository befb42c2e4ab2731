"""`Service`: what all routes share: registry, decoders, the best of slides, jobs, cache and counters."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

from planish.serve.best import Best
from planish.serve.beststate import BestState
from planish.serve.cache import TileCache
from planish.serve.facts import BEST, SlideFacts, plane_number
from planish.serve.jobs import Jobs
from planish.serve.metrics import Metrics, Samples
from planish.serve.registry import Registry, Served
from planish.serve.responses import Problem, refused
from planish.serve.settings import ServeOptions
from planish.serve.wanted import Refused, Reply, Subject, Want

Result = TypeVar("Result")
BEST_WAIT_S = 2
_LASTING = ("unreadable", "unsupported", "too large")


class Decoders(Protocol):
    """What answers wants: `planish.serve.pool.Pool`."""

    @property
    def ready(self) -> bool:
        """Whether any can be asked."""

    async def ask(self, want: Want) -> Reply:
        """Return the answer, or raise Refused."""


@dataclass(slots=True)
class Service:
    """See the module.

    Attributes
    ----------
    options : ServeOptions
        As it was told.
    registry : Registry
        The slides.
    decoders : Decoders
        Who opens them.
    best : Best
        Plane maps.
    jobs : Jobs or None
        Who flattens, where that is allowed.
    cache : TileCache
        Pictures in memory.
    metrics : Metrics
        Counters.
    """

    options: ServeOptions
    registry: Registry
    decoders: Decoders
    best: Best
    jobs: Jobs | None
    cache: TileCache
    metrics: Metrics
    _facts: dict[str, tuple[str, SlideFacts | Refused]] = field(default_factory=dict)

    async def slide(self, name: str) -> Served:
        """Return a slide by its id, or raise Refused."""
        return self.registry.fresh(name) or await self.registry.slide(name)

    async def facts(self, slide: Served) -> SlideFacts:
        """Return what is known of a slide, asked once for each version; raise Refused."""
        version, known = self._facts.get(slide.id, ("", None))
        if known is None or version != slide.version:
            known = await self._look(slide)
            self._facts[slide.id] = slide.version, known
        if isinstance(known, Refused):
            raise Refused(known.kind, known.detail)
        return known

    async def _look(self, slide: Served) -> SlideFacts | Refused:
        """Return the facts, or a refusal that stays true as long as the slide is the same."""
        try:
            return SlideFacts.from_json((await self.decoders.ask(Want("facts", slide.subject))).body)
        except Refused as error:
            if error.kind in _LASTING:
                return error
            raise

    async def subject(self, slide: Served, plane: str, *, mapped: bool = False, begins: bool = True) -> Subject:
        """Return what is meant by a plane in an address.

        Parameters
        ----------
        slide : Served
            Whose.
        plane : str
            An index, ``z=`` in µm, or ``best``.
        mapped : bool, optional
            Whether the plane map itself is asked for; else the best of a single plane is that plane.
        begins : bool, optional
            Whether the best is made where it is not.

        Raises
        ------
        Problem
            Where there is none such, or the best is not made yet.
        Refused
            Where the slide cannot be looked at.
        """
        number = plane_number(plane)
        if number == BEST:
            if not mapped and await self.is_flat(slide):
                return slide.subject
            return replace(slide.subject, plane=BEST, map=await self.best_map(slide, begins=begins))
        if number is None:
            number = (await self.facts(slide)).plane(plane)
        return replace(slide.subject, plane=number)

    async def is_flat(self, slide: Served) -> bool:
        """Whether the slide has a single plane, which then is the best of all; raise Refused."""
        return len((await self.facts(slide)).z_um) == 1

    async def best_map(self, slide: Served, *, begins: bool = True) -> str:
        """Return the path of the plane map; raise Problem 202 while it is made, 422 where it cannot be."""
        look = self.begin_best if begins else self.best_state
        state = self.best.known(slide.path, slide.signature) or await look(slide)
        if state.state == "ready":
            return state.map
        if state.state == "none" and not begins:
            raise Problem(
                403, "the best of all planes is not there yet, and pages of other origins may not have it found; open "
                "the slide in the viewer, or allow their origin with --cors",
            )  # fmt: skip
        if state.state == "failed":
            raise Problem(422, f"the best of all planes could not be found: {state.message}", state.facts())
        more = {**state.facts(), "events": f"/api/slides/{slide.id}/best/events"}
        wait = (b"retry-after", b"%d" % BEST_WAIT_S)
        raise Problem(202, "the best of all planes is being found; ask again, or follow its events", more, (wait,))

    async def begin_best(self, slide: Served) -> BestState:
        """Have the best made unless it is there or under way."""
        return await asyncio.to_thread(self.best.begin, slide.path, slide.signature, slide.size)

    async def best_state(self, slide: Served) -> BestState:
        """Return how far the best is."""
        return await asyncio.to_thread(self.best.state, slide.path, slide.signature)

    def gauges(self) -> Samples:
        """Return what is counted elsewhere, for the metrics."""
        decoders: Any = self.decoders
        counts = getattr(decoders, "counts", {})
        return {
            "planish_tile_cache_hits_total": self.cache.hits,
            "planish_tile_cache_misses_total": self.cache.misses,
            "planish_tile_cache_bytes": self.cache.bytes,
            "planish_slides": self.registry.count,
            "planish_decoders": len(getattr(decoders, "pids", ())),
            "planish_decoders_busy": getattr(decoders, "busy", 0),
            "planish_decoder_crashes_total": counts.get("crashed", 0) + counts.get("too long", 0),
        }

    async def answered(self, name: str, work: Callable[[Served], Awaitable[Result]], *, region: bool = False) -> Result:
        """Return what is made of a slide; once more where the slide was replaced meanwhile.

        Parameters
        ----------
        name : str
            Id of the slide.
        work : callable
            Slide -> what is wanted.
        region : bool, optional
            Whether that has a box, see `refused`.

        Raises
        ------
        Problem
            Where it cannot be made.
        """
        try:
            try:
                return await work(await self.slide(name))
            except Refused as error:
                if error.kind not in ("changed", "gone"):
                    raise
            return await work(await self.registry.slide(name, look=True))
        except Refused as error:
            raise refused(error, region=region) from error
