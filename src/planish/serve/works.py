"""Routes for what takes its time: the best of a slide, and flattening it into a file; how far they are, and events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from functools import partial

from starlette.requests import Request
from starlette.responses import StreamingResponse

from planish.serve.beststate import BestState
from planish.serve.changes import Condition, Followed, changes
from planish.serve.jobs import Jobs
from planish.serve.jobstate import JobState
from planish.serve.registry import Served
from planish.serve.responses import Problem, Response, as_json
from planish.serve.service import Service

QUIET_S = 15.0
"""After which a comment is sent, so that no proxy takes the line for dead."""


class Works:
    """Routes below ``/api/slides/{id}``."""

    def __init__(self, service: Service) -> None:
        self._service, self._followed = service, Followed()

    async def best(self, request: Request) -> Response:
        """Tell how far the best is; POST has it made."""

        async def work(slide: Served) -> Response:
            if await self._service.is_flat(slide):
                return _best(slide, BestState("ready"))
            if request.method == "POST":
                return _best(slide, await self._service.begin_best(slide))
            return _best(slide, await self._service.best_state(slide))

        return await self._service.answered(request.path_params["id"], work)

    async def best_events(self, request: Request) -> StreamingResponse:
        """Follow the best as it is made, as server-sent events."""

        async def work(slide: Served) -> StreamingResponse:
            if await self._service.is_flat(slide):
                return _stream(changes(lambda: BestState("ready")))
            begin = partial(self._service.best.changes, slide.path, slide.signature)
            return _stream(self._followed.follow(("best", slide.id, slide.version), begin))

        return await self._service.answered(request.path_params["id"], work)

    async def flatten(self, request: Request) -> Response:
        """Tell how far it is to flatten a slide into a file; POST has it done."""
        jobs = self._jobs()

        async def work(slide: Served) -> Response:
            posted = request.method == "POST"
            if posted and slide.flat:
                raise Problem(422, "the slide is flat already: planish wrote it")
            act = jobs.request if posted else jobs.state
            return _job(slide, await asyncio.to_thread(act, slide.relative, slide.found))

        return await self._service.answered(request.path_params["id"], work)

    async def flatten_events(self, request: Request) -> StreamingResponse:
        """Follow that, as server-sent events."""
        jobs = self._jobs()

        async def work(slide: Served) -> StreamingResponse:
            return _stream(
                self._followed.follow(("flatten", slide.id), partial(jobs.changes, slide.relative, slide.found))
            )

        return await self._service.answered(request.path_params["id"], work)

    def _jobs(self) -> Jobs:
        if self._service.jobs is None:
            raise Problem(403, "slides are not flattened into files here; planish serve --allow-jobs OUT allows it")
        return self._service.jobs


def _best(slide: Served, state: BestState) -> Response:
    events = f"/api/slides/{slide.id}/best/events"
    return as_json({**state.facts(), "events": events}, status=202 if state.under_way else 200)


def _job(slide: Served, state: JobState) -> Response:
    events = f"/api/slides/{slide.id}/flatten/events"
    return as_json({**state.facts(), "events": events}, status=202 if state.under_way else 200)


def _stream(states: AsyncIterator[Condition]) -> StreamingResponse:
    # nginx holds events back unless it is told not to.
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(_events(states), headers=headers, media_type="text/event-stream")


async def _events(states: AsyncIterator[Condition]) -> AsyncIterator[str]:
    """Yield events as text; the last is called ``end``."""
    coming = asyncio.ensure_future(anext(states, None))
    last = "{}"
    try:
        while True:
            done, _ = await asyncio.wait([coming], timeout=QUIET_S)
            if not done:
                yield ": still there\n\n"
                continue
            state = coming.result()
            if state is None:
                yield f"event: end\ndata: {last}\n\n"
                return
            last = json.dumps(state.facts(), allow_nan=False)
            yield f"event: progress\ndata: {last}\n\n"
            coming = asyncio.ensure_future(anext(states, None))
    finally:
        coming.cancel()
