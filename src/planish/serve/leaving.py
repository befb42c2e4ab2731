"""Work that is dropped when whoever asked for it leaves."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from starlette.requests import Request
from starlette.types import Receive

from planish.serve.responses import Response

LEFT = Response(status=499)
"""For the counters; nobody reads it."""


async def while_there(receive: Receive, work: Coroutine[Any, Any, Response | None]) -> Response | None:
    """Return what the work does, or `LEFT` as soon as nobody is there any more; the work is then cancelled."""
    working, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        return working.result() if working.done() else LEFT
    finally:
        working.cancel()
        leaving.cancel()


def watched(end: Callable[[Request], Coroutine[Any, Any, Response]]) -> Callable[[Request], Awaitable[Any]]:
    """Return an end of a route that works no longer than the client is there."""

    async def answer(request: Request) -> Response | None:
        return await while_there(request.receive, end(request))

    return answer


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
