"""The IIIF Image API 3 at ``/iiif/{id}@{plane}``: level 2, with mirroring and enlarging."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import Request

from planish.serve.access import base_of
from planish.serve.facts import SlideFacts, plane_number
from planish.serve.geometry import LARGEST_OUTPUT, Grid
from planish.serve.iiifrequest import ImageRequest
from planish.serve.pictures import Asked, Pictures, terms_of
from planish.serve.registry import Served
from planish.serve.responses import Problem, Response, as_json
from planish.serve.service import Service

CONTEXT = "http://iiif.io/api/image/3/context.json"
_LEVEL = b'<http://iiif.io/api/image/3/level2.json>;rel="profile"'
_LD = f'application/ld+json;profile="{CONTEXT}"'.encode()
_MORE = ("canonicalLinkHeader", "mirroring", "profileLinkHeader", "sizeUpscaling")


class Iiif:
    """Routes of the IIIF Image API."""

    def __init__(self, service: Service, pictures: Pictures) -> None:
        self._service, self._pictures = service, pictures

    async def base(self, request: Request) -> Response:
        """Lead from an image to its description."""
        name, plane = _named(request)
        await self._facts(name, plane)
        place = f"{_image(request, name, plane)}/info.json".encode()
        return Response(b"", ((b"location", place), (b"cache-control", b"no-store")), 303)

    async def info(self, request: Request) -> Response:
        """Describe an image."""
        name, plane = _named(request)
        facts = await self._facts(name, plane)
        kind = _LD if "application/ld+json" in request.headers.get("accept", "") else b"application/json"
        told = information(_image(request, name, plane), facts)
        return as_json(told, ((b"vary", b"Accept"), (b"link", _LEVEL)), kind=kind)

    async def image(self, request: Request) -> Response:
        """Send a picture."""
        name, plane = _named(request)
        facts = await self._facts(name, plane)
        given = request.path_params
        pieces = (given["region"], given["size"], given["rotation"], given["last"])
        meant = ImageRequest.of(*pieces, (facts.width, facts.height))
        asked = Asked(name, plane, f"/iiif/{name}@{plane}/{meant.canonical}", meant.fields(), region=True)
        canonical = f'<{_image(request, name, plane)}/{meant.canonical}>;rel="canonical"'.encode()
        return await self._pictures.picture(asked, terms_of(request), ((b"link", canonical + b"," + _LEVEL),))

    async def _facts(self, name: str, plane: str) -> SlideFacts:
        async def work(slide: Served) -> SlideFacts:
            facts = await self._service.facts(slide)
            facts.plane(plane)
            return facts

        plane_number(plane)
        return await self._service.answered(name, work)


def information(place: str, facts: SlideFacts) -> Mapping[str, Any]:
    """Return the description of an image at an address."""
    grid = Grid(facts.width, facts.height, facts.tile)
    sizes = [grid.size(level) for level in range(grid.lowest_tiled, grid.levels)]
    return {
        "@context": CONTEXT,
        "id": place,
        "type": "ImageService3",
        "protocol": "http://iiif.io/api/image",
        "profile": "level2",
        "width": facts.width,
        "height": facts.height,
        "maxWidth": LARGEST_OUTPUT,
        "maxHeight": LARGEST_OUTPUT,
        "sizes": [
            {"width": width, "height": height} for width, height in sizes if max(width, height) <= LARGEST_OUTPUT
        ],
        "tiles": [
            {"width": facts.tile, "height": facts.tile, "scaleFactors": [1 << step for step in range(len(sizes))]}
        ],
        "preferredFormats": ["jpg"],
        "extraFeatures": list(_MORE),
    }


def _named(request: Request) -> tuple[str, str]:
    name, at, plane = request.path_params["image"].partition("@")
    if not at:
        raise Problem(404, "no such image; images are called by slide and plane: ID@0, ID@best")
    return name, plane


def _image(request: Request, name: str, plane: str) -> str:
    return f"{base_of(request.scope)}/iiif/{name}@{plane}"
