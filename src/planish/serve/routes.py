"""Which address is answered by what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.requests import Request
from starlette.routing import Route

from planish.serve import site
from planish.serve.iiif import Iiif
from planish.serve.leaving import watched
from planish.serve.operations import Operations
from planish.serve.pictures import Pictures
from planish.serve.service import Service
from planish.serve.slides import Slides
from planish.serve.works import Works

Answering = Callable[[Request], Awaitable[Any]]
SLIDE = "/api/slides/{id}"
POSTED = ("best", "flatten")


def routes(service: Service, pictures: Pictures) -> list[Route]:
    """Return all routes but those of tiles, which `planish.serve.tiles` reads by hand."""
    slides, works, told = Slides(service, pictures), Works(service), Operations(service)
    iiif = Iiif(service, pictures)
    table: Mapping[str, tuple[str, Answering]] = {
        "/": ("viewer", site.page),
        "/favicon.ico": ("viewer", site.favicon),
        "/viewer/{path:path}": ("viewer", site.file),
        "/healthz": ("healthz", told.healthz),
        "/readyz": ("readyz", told.readyz),
        "/metrics": ("metrics", told.metrics),
        "/openapi.json": ("openapi", told.openapi),
        "/api/slides": ("slides", slides.index),
        SLIDE: ("slide", slides.one),
        f"{SLIDE}/thumbnail": ("thumbnail", watched(slides.thumbnail)),
        f"{SLIDE}/associated/{{name}}": ("associated", watched(slides.associated)),
        f"{SLIDE}/dzi/{{plane}}.dzi": ("dzi", slides.descriptor),
        f"{SLIDE}/region": ("region", watched(slides.region)),
        f"{SLIDE}/focus": ("focus", watched(slides.focus)),
        f"{SLIDE}/focus/{{what}}.dzi": ("dzi", slides.cells_descriptor),
        f"{SLIDE}/best": ("best", works.best),
        f"{SLIDE}/best/events": ("events", works.best_events),
        f"{SLIDE}/flatten": ("flatten", works.flatten),
        f"{SLIDE}/flatten/events": ("events", works.flatten_events),
        "/iiif/{image}": ("iiif_base", iiif.base),
        "/iiif/{image}/info.json": ("iiif_info", iiif.info),
        "/iiif/{image}/{region}/{size}/{rotation}/{last}": ("iiif", watched(iiif.image)),
    }
    return [
        Route(path, end, methods=["GET", "POST"] if name in POSTED else ["GET"], name=name)
        for path, (name, end) in table.items()
    ]
