"""The service as an ASGI application: `create_app`, for ``uvicorn --factory planish.serve.app:create_app``.

What comes in meets `Front` first: it lets in, answers tiles, counts, and hands the rest to Starlette's router. Nothing
here opens a slide; decoders do, see `planish.serve.pool`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from planish.batch.entry import shown
from planish.errors import SlideNotFound
from planish.serve.access import POLICY, Access, Caller
from planish.serve.best import Best
from planish.serve.bestoptions import BestOptions
from planish.serve.cache import TileCache
from planish.serve.jobs import Jobs
from planish.serve.leaving import while_there
from planish.serve.metrics import Metrics
from planish.serve.pictures import PASSIVE, Pictures, Terms
from planish.serve.pool import STOPPING, Pool
from planish.serve.registry import Registry
from planish.serve.responses import Problem, Response, refused
from planish.serve.routes import routes
from planish.serve.service import Decoders, Service
from planish.serve.settings import ServeOptions
from planish.serve.tiles import PREFIX, Tiles
from planish.serve.wanted import Refused
from planish.threads import cores

LEAVE_S = 1.0
"""Between two times that a process leaves its counters to its siblings."""
_TILES = (".jpeg", ".png")
_READS = ("GET", "HEAD")
_FAULT = Problem(500, "a fault of planish; its log says more, please report it")
_STOPPING = refused(Refused("busy", STOPPING))
"""For whoever still waits when a server that ends has no more patience."""
_READ_ONLY = Problem(405, "this address takes GET, HEAD only", headers=((b"allow", b"GET, HEAD"),))
_LOG = logging.getLogger(__name__)


def create_app(options: ServeOptions | None = None, decoders: Decoders | None = None) -> ASGIApp:
    """Return the application.

    Parameters
    ----------
    options : ServeOptions, optional
        By default out of the environment, see `planish.serve.settings`.
    decoders : Decoders, optional
        Who opens slides, in place of processes of its own.

    Raises
    ------
    OptionError
        Where the environment says nothing sensible.
    PlanishError
        Where folders cannot be used.
    """
    options = options or ServeOptions.from_environment()
    if not options.folder.is_dir():
        raise SlideNotFound(f"{shown(options.folder)}: no such folder to serve; check the path")
    best = Best(options.cache, BestOptions())
    service = Service(
        options,
        Registry(options.folder, best.options.meaning()),
        decoders or Pool(options.decoders or 1 + cores()),
        best,
        Jobs(options.folder, options.allow_jobs) if options.allow_jobs else None,
        TileCache(options.tile_cache),
        Metrics(options.shared),
    )
    return Front(service)


class Front:
    """What every request meets first.

    Parameters
    ----------
    service : Service
        Which is started and stopped with the application.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        pictures = Pictures(service)
        self._access, self._metrics = Access(service.options), service.metrics
        self._tiles = Tiles(service, pictures)
        handlers: dict[Any, Any] = {HTTPException: _wrong_route, Problem: _problem, Exception: _fault}
        self._rest = Starlette(
            routes=routes(service, pictures), lifespan=_lifespan(service), exception_handlers=handlers
        )
        self._rest.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] != "http":
            await self._rest(scope, receive, send)
            return
        begun = time.perf_counter()
        caller = Caller.of(scope["headers"])
        shared = (*self._access.everywhere, *self._access.shared(caller))
        route = "refused"
        answer = self._access.check(scope, caller)
        if answer is None:
            if not self._access.may_begin(scope, caller):
                scope[PASSIVE] = True
            route, answer = "tile", await self._tile(scope, receive, caller)
        if answer is None:
            await self._others(scope, receive, send, shared, begun)
            return
        await Response(answer.body, (*answer.headers, *shared), answer.status)(scope, receive, send)
        self._metrics.count(route, answer.status, time.perf_counter() - begun)

    async def _tile(self, scope: Scope, receive: Receive, caller: Caller) -> Response | None:
        """Return the answer to whoever asks for a tile, None to others."""
        path = _inner(scope)
        if not path.startswith(PREFIX) or not path.endswith(_TILES):
            return None
        if scope["method"] not in _READS:
            return _READ_ONLY.response
        terms = Terms.of(scope, caller.none_match)
        answer = self._tiles.at_once(path, terms)
        if answer is not None:
            return answer
        try:
            return await while_there(receive, self._tiles.tile(path, terms))
        except Problem as problem:
            return problem.response
        except asyncio.CancelledError:
            return _STOPPING.response
        except Exception:
            _LOG.exception("a tile was answered with 500")
            return _FAULT.response

    async def _others(
        self, scope: Scope, receive: Receive, send: Send, shared: tuple[tuple[bytes, bytes], ...], begun: float
    ) -> None:
        status, started = 500, False

        async def watched(message: Message) -> None:
            nonlocal status, started
            started = True
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], *shared, (b"content-security-policy", POLICY)]
            await send(message)

        try:
            await self._rest(scope, receive, watched)
        except asyncio.CancelledError:
            if not started:
                await _STOPPING.response(scope, receive, watched)
                return
            with contextlib.suppress(RuntimeError):  # all was sent already
                await send({"type": "http.response.body", "body": b""})
        finally:
            self._metrics.count(_name(scope), status, time.perf_counter() - begun)


def _inner(scope: Scope) -> str:
    """Return the path below the place that a proxy gave the service."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    return path.removeprefix(root) if root else path


def _name(scope: Scope) -> str:
    route = scope.get("route")
    return str(getattr(route, "name", "none"))


def _lifespan(service: Service) -> Callable[[Starlette], AbstractAsyncContextManager[None]]:
    @contextlib.asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(service.registry.search)
        if isinstance(service.decoders, Pool):
            service.decoders.start()
        if service.jobs:
            service.jobs.start()
        leaving = asyncio.ensure_future(_leave(service))
        try:
            yield
        finally:
            leaving.cancel()
            if isinstance(service.decoders, Pool):
                await service.decoders.close()
            await asyncio.to_thread(service.best.close)
            if service.jobs:
                await asyncio.to_thread(service.jobs.close)

    return run


async def _leave(service: Service) -> None:
    """Leave the counters to the other workers, again and again; end with the process that started all of them."""
    parent = os.getppid()
    while service.options.shared:
        if os.getppid() != parent:
            # It was killed; nobody else would end this one, which holds the port.
            signal.raise_signal(signal.SIGTERM)
        with contextlib.suppress(OSError):  # the disk may be full; counters are not worth an end
            await asyncio.to_thread(service.metrics.leave, service.gauges())
        await asyncio.sleep(LEAVE_S)


async def _problem(request: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)
    return error.response


async def _wrong_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    headers = tuple((name.lower().encode(), value.encode()) for name, value in (error.headers or {}).items())
    status, detail = error.status_code, HTTPStatus(error.status_code).description
    if status == 405:
        allowed = sorted((error.headers or {}).get("Allow", "").split(", "))
        detail = f"this address takes {', '.join(allowed)} only"
    if status == 404:
        detail = "nothing is served at this address; /openapi.json lists what is"
    return Problem(status, detail, headers=headers).response


async def _fault(request: Request, error: Exception) -> Response:
    return _FAULT.response
