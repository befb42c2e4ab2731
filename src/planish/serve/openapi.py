"""The OpenAPI description of all routes, as far as this service answers them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planish._version import __version__
from planish.serve.geometry import LARGEST_OUTPUT
from planish.serve.overlay import LAYERS
from planish.serve.regions import MOST_THUMBNAIL, THUMBNAIL
from planish.serve.settings import ServeOptions

Plain = dict[str, Any]
PLANE = r"^(best|0|[1-9][0-9]{0,5}|z=-?[0-9]{1,9}(\.[0-9]{1,9})?)$"
_JPEG, _PNG, _JSON = "image/jpeg", "image/png", "application/json"
_WORDS = {
    "202": "The best of all planes is still being found; ask again after Retry-After, or follow its events",
    "400": "A value is none, or out of its range; the detail tells the range",
    "403": "Not allowed here",
    "404": "There is nothing of the kind",
    "410": "The slide was removed, or replaced by another one than the address names",
    "422": "The slide cannot be shown",
    "503": "Not now; ask again after Retry-After",
}


def description(options: ServeOptions, example: str | None) -> Plain:
    """Return the description.

    Parameters
    ----------
    options : ServeOptions
        Whether a token is needed.
    example : str or None
        Id of a slide that there is.
    """
    told: Plain = {
        "openapi": "3.1.0",
        "info": {
            "title": "planish",
            "version": __version__,
            "description": "Focal planes of z-stacked slides, the best of all, and which plane is sharp where.",
        },
        "paths": _paths(_parameters(example)),
        "components": {"schemas": {"Problem": _PROBLEM}},
    }
    if options.token:
        told["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
        told["security"] = [{"token": []}]
        told["paths"]["/healthz"]["get"]["security"] = []
        _demand(told["paths"])
    return told


def _paths(known: Mapping[str, Plain]) -> Plain:
    slide, at, tile = "/api/slides/{id}", "{column}_{row}", ("level", "column", "row")
    number, plane = known["id"], known["plane"]
    place = [known[name] for name in tile]
    box = [known[name] for name in ("x", "y", "width", "height", "out_width", "out_height", "scale")]
    looks = [known["which"], known["format"], known["v"]]
    iiif = [number, plane]
    image = [known[name] for name in ("region", "picture", "rotation", "last")]
    seen, best = ("404", "410", "422", "503"), ("202", "403", "404", "410", "422", "503")
    return {
        "/healthz": _get("Whether the process lives", _JSON),
        "/readyz": _get("Whether slides can be opened", _JSON, (), ("503",)),
        "/metrics": _get("Counters, for Prometheus", "text/plain"),
        "/api/slides": _get("The slides", _JSON, (), ("503",)),
        slide: _get("One slide", _JSON, [number], seen),
        f"{slide}/thumbnail": _get(
            "A small picture of it", (_JPEG, _PNG), [number, known["size"], *looks], ("400", *best)
        ),
        f"{slide}/associated/{{name}}": _get("Another image of it", _JPEG, [number, known["name"], known["v"]], seen),
        f"{slide}/dzi/{{plane}}.dzi": _get("Deep Zoom's description", "application/xml", [number, plane], seen),
        f"{slide}/dzi/{{plane}}_files/{{level}}/{at}.jpeg": _get(
            "A tile", _JPEG, [number, plane, *place, known["v"]], ("400", *best)
        ),
        f"{slide}/xyz/{{plane}}/{{level}}/{{column}}/{{row}}.jpeg": _get(
            "A tile, zoom 0 being the smallest", _JPEG, [number, plane, *place, known["v"]], ("400", *best)
        ),
        f"{slide}/region": _get("A box of a plane", (_JPEG, _PNG), [number, *box, *looks], ("400", *best)),
        f"{slide}/focus": _get("Plane, margin and sharpness of every cell", _JSON, [number, known["v"]], best),
        f"{slide}/focus/{{what}}.dzi": _get(
            "Deep Zoom's description", "application/xml", [number, known["what"]], seen
        ),
        f"{slide}/focus/{{what}}_files/{{level}}/{at}.png": _get(
            "A tile of it in colours", _PNG, [number, known["what"], *place, known["v"]], best
        ),
        f"{slide}/best": _get("How far the best is", _JSON, [number], seen, kept="202")
        | _post("Have the best found", [number], seen),
        f"{slide}/flatten": _get("How far flattening into a file is", _JSON, [number], ("403", *seen), kept="202")
        | _post("Have it flattened", [number], ("403", *seen)),
        "/iiif/{id}@{plane}/info.json": _get("IIIF's description", _JSON, iiif, seen),
        "/iiif/{id}@{plane}/{region}/{picture}/{rotation}/{last}": _get(
            "A picture by the IIIF Image API 3", (_JPEG, _PNG), [*iiif, *image], ("400", *best)
        ),
    }  # fmt: skip


def _parameters(example: str | None) -> Mapping[str, Plain]:
    found = {"example": example} if example else {}
    whole, side = {"type": "integer", "minimum": 0, "maximum": 9_999_999}, {"type": "integer", "minimum": 1}
    made = {**side, "maximum": LARGEST_OUTPUT}
    scale = {"type": "number", "exclusiveMinimum": 0, "maximum": 1}
    plane = {"type": "string", "pattern": PLANE}
    return {
        "id": _path("id", {"type": "string", "pattern": "^[0-9a-f]{16}$"}) | found,
        "plane": _path("plane", plane) | {"example": "0"},
        "name": _path("name", {"type": "string", "pattern": "^[A-Za-z]{1,40}$"}) | {"example": "thumbnail"},
        "what": _path("what", {"enum": list(LAYERS)}),
        **{name: _path(name, whole) | {"example": 0} for name in ("level", "column", "row")},
        "region": _path("region", {"type": "string", "pattern": r"^(full|square|[0-9]{1,9}(,[0-9]{1,9}){3})$"}),
        "picture": _path("picture", {"type": "string", "pattern": r"^(max|\^?[1-9][0-9]{0,3},)$"}),
        "rotation": _path("rotation", {"enum": ["0", "90", "180", "270", "!0", "!180"]}),
        "last": _path("last", {"enum": ["default.jpg", "color.png", "gray.jpg"]}),
        **{name: _query(name, whole) for name in ("x", "y")},
        **{name: _query(name, side) for name in ("width", "height")},
        **{name: _query(name, made) for name in ("out_width", "out_height")},
        "scale": _query("scale", scale),
        "size": _query("size", {**side, "maximum": MOST_THUMBNAIL, "default": THUMBNAIL}),
        "format": _query("format", {"enum": ["jpg", "png"]}),
        "which": _query("plane", plane),
        "v": _query("v", {"type": "string"}),
    }


def _path(name: str, schema: Plain) -> Plain:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, schema: Plain) -> Plain:
    return {"name": name, "in": "query", "schema": schema}


def _get(
    about: str, kinds: str | tuple[str, ...], parameters: Any = (), problems: Any = (), *, kept: str = ""
) -> Plain:
    named = (kinds,) if isinstance(kinds, str) else kinds
    good: Plain = {"description": about, "content": {kind: {"schema": {}} for kind in named}}
    answers = {"200": good} | ({kept: good} if kept else {}) | _problems(problems)
    return {"get": {"summary": about, "parameters": list(parameters), "responses": answers}}


def _post(about: str, parameters: list[Plain], problems: tuple[str, ...]) -> Plain:
    good = {"description": about, "content": {_JSON: {"schema": {}}}}
    answers = {"200": good, "202": good} | _problems(problems)
    return {"post": {"summary": about, "parameters": parameters, "responses": answers}}


def _problems(statuses: tuple[str, ...]) -> Plain:
    form = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    return {status: {"description": _WORDS[status], "content": form} for status in statuses}


def _demand(paths: Plain) -> None:
    """Add to all operations that they may be refused for want of the token."""
    form = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for path, operations in paths.items():
        for operation in operations.values() if path != "/healthz" else ():
            operation["responses"]["401"] = {"description": "The token is wrong or missing", "content": form}


_PROBLEM: Plain = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
    },
}
