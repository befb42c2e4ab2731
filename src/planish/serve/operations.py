"""Routes for those who run the service: is it alive, is it ready, what did it do, what can be asked of it."""

from __future__ import annotations

import json

from starlette.requests import Request

from planish.serve.metrics import TYPE
from planish.serve.openapi import description
from planish.serve.responses import REVALIDATE, Problem, Response, as_json
from planish.serve.service import Service


class Operations:
    """See the module."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def healthz(self, request: Request) -> Response:
        """Say that the process answers."""
        return as_json({"status": "alive"})

    async def readyz(self, request: Request) -> Response:
        """Say whether slides can be opened."""
        if not self._service.decoders.ready:
            raise Problem(503, "the decoders are still starting", headers=((b"retry-after", b"1"),))
        return as_json({"status": "ready"})

    async def metrics(self, request: Request) -> Response:
        """Send the counters."""
        body = self._service.metrics.text(self._service.gauges())
        return Response(body, ((b"content-type", TYPE), (b"cache-control", b"no-store")))

    async def openapi(self, request: Request) -> Response:
        """Describe the routes."""
        first = next(iter(await self._service.registry.slides()), None)
        body = json.dumps(description(self._service.options, first.id if first else None)).encode()
        return Response(body, ((b"content-type", b"application/json"), REVALIDATE))
