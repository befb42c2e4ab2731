"""Routes that tell what there is: the list of slides, one slide, and pictures of it that are no tiles."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from starlette.requests import Request

from planish.serve.cache import Headers
from planish.serve.facts import HIDDEN, SlideFacts, plane_number
from planish.serve.overlay import LAYERS
from planish.serve.pictures import Asked, Pictures, terms_of
from planish.serve.regions import region_fields, thumbnail_fields
from planish.serve.registry import Served
from planish.serve.responses import REVALIDATE, Problem, Response, as_json
from planish.serve.service import Service
from planish.serve.wanted import Refused

LIST_WAIT_S = 2.0
"""After which the list is sent as far as slides could be looked at."""
_AT_ONCE = 4
_XML: Headers = ((b"content-type", b"application/xml"), REVALIDATE)
_DZI = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" Format={} '
    'Overlap="0" TileSize="{}"><Size Width="{}" Height="{}"/></Image>\n'
)


class Slides:
    """Routes below ``/api/slides``."""

    def __init__(self, service: Service, pictures: Pictures) -> None:
        self._service, self._pictures = service, pictures
        self._looks = asyncio.Semaphore(_AT_ONCE)
        self._looking: dict[str, asyncio.Task[SlideFacts]] = {}

    async def index(self, request: Request) -> Response:
        """List the slides."""
        slides = await self._service.registry.slides()
        looks = [self._begin(slide) for slide in slides]
        if looks:
            await asyncio.wait(looks, timeout=LIST_WAIT_S)
        told = [
            {"id": slide.id, "name": slide.name, "version": slide.version, "bytes": slide.size} | _seen(look)
            for slide, look in zip(slides, looks, strict=True)
        ]
        return as_json({"slides": told, "jobs": self._service.jobs is not None})

    async def one(self, request: Request) -> Response:
        """Tell all about a slide."""

        async def work(slide: Served) -> Response:
            facts = await self._service.facts(slide)
            named = {
                "id": slide.id,
                "name": slide.name,
                "version": slide.version,
                "jobs": self._service.jobs is not None,
            }
            shown = self._shown(facts)
            withheld = [name for name in facts.associated if name not in shown]
            return as_json({**facts.told, **named, "associated": shown, "withheld": withheld})

        return await self._service.answered(request.path_params["id"], work)

    async def descriptor(self, request: Request) -> Response:
        """Describe a plane to Deep Zoom."""
        plane = request.path_params["plane"]
        facts = await self._facts(request, plane)
        return Response(_described("jpeg", facts), _XML)

    async def cells_descriptor(self, request: Request) -> Response:
        """Describe the focus map to Deep Zoom."""
        if request.path_params["what"] not in LAYERS:
            raise Problem(404, f"a focus map shows {', '.join(LAYERS)}")
        return Response(_described("png", await self._facts(request, "best")), _XML)

    async def region(self, request: Request) -> Response:
        """Send a box of a plane."""
        given = _given(request)
        plane = given.get("plane", "")
        facts = await self._facts(request, plane)
        return await self._picture(request, plane or str(facts.middle), region_fields(given, facts))

    async def thumbnail(self, request: Request) -> Response:
        """Send a small picture of all of a plane."""
        given = _given(request)
        plane = given.get("plane", "")
        facts = await self._facts(request, plane)
        return await self._picture(request, plane or str(facts.middle), thumbnail_fields(given, facts))

    async def associated(self, request: Request) -> Response:
        """Send an image that is none of the specimen's planes."""
        name = request.path_params["name"]
        if name in HIDDEN and not self._service.options.show_label:
            raise Problem(404, "label and macro images can show names; they are served with --show-label only")
        address = f"/api/slides/{request.path_params['id']}/associated/{name}"
        asked = Asked(request.path_params["id"], "", address, {"kind": "associated", "name": name})
        return await self._pictures.picture(asked, terms_of(request))

    async def focus(self, request: Request) -> Response:
        """Send the focus map as JSON."""
        name = request.path_params["id"]
        return await self._pictures.picture(
            Asked(name, "best", f"/api/slides/{name}/focus", {"kind": "cells"}), terms_of(request)
        )

    def _begin(self, slide: Served) -> asyncio.Task[SlideFacts]:
        """Look at a slide, which goes on after the list was sent."""
        look = self._looking.get(slide.id)
        if look is None:
            look = self._looking[slide.id] = asyncio.ensure_future(self._look(slide))
            look.add_done_callback(lambda done: self._looked(slide.id, done))
        return look

    def _looked(self, name: str, done: asyncio.Task[SlideFacts]) -> None:
        self._looking.pop(name, None)
        if not done.cancelled() and isinstance(done.exception(), Refused):
            return  # looked at, so that asyncio does not complain where the list was sent already

    async def _look(self, slide: Served) -> SlideFacts:
        async with self._looks:
            return await self._service.facts(slide)

    async def _facts(self, request: Request, plane: str) -> SlideFacts:
        """Return the facts of a slide; raise Problem where it has no such plane."""

        async def work(slide: Served) -> SlideFacts:
            facts = await self._service.facts(slide)
            if plane:
                facts.plane(plane)
            return facts

        if plane:
            plane_number(plane)
        return await self._service.answered(request.path_params["id"], work)

    async def _picture(self, request: Request, plane: str, fields: dict[str, Any]) -> Response:
        name = request.path_params["id"]
        address = f"{name}@{plane} {sorted(fields.items())}"
        return await self._pictures.picture(Asked(name, plane, address, fields, region=True), terms_of(request))

    def _shown(self, facts: SlideFacts) -> list[str]:
        return [name for name in facts.associated if name not in HIDDEN or self._service.options.show_label]


def _given(request: Request) -> Mapping[str, str]:
    """Return the values of a query, which must be clear."""
    given: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name in given or (name == "plane" and not value):
            raise Problem(400, f"{name[:40]}: give it once, with a value")
        given[name] = value
    return given


def _seen(look: asyncio.Task[SlideFacts]) -> dict[str, Any]:
    """Return what is known of a slide; null where it could not be looked at, with the reason, or not yet."""
    if not look.done():
        return {"width": None, "height": None, "planes": None, "problem": None}
    error = look.exception()
    if error is None:
        facts = look.result()
        return {"width": facts.width, "height": facts.height, "planes": len(facts.z_um), "problem": None}
    if not isinstance(error, Refused):
        raise error
    return {"width": None, "height": None, "planes": None, "problem": error.detail}


def _described(kind: str, facts: SlideFacts) -> bytes:
    return _DZI.format(quoteattr(kind), facts.tile, facts.width, facts.height).encode()
