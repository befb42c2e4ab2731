"""The OpenAPI description and the routes are the same; each example in it is answered."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from planish.serve import tiles
from planish.serve.openapi import PLANE, description
from planish.serve.pictures import Pictures
from planish.serve.routes import routes
from planish.serve.settings import ServeOptions
from served import Served, slides

SITE = {"/", "/favicon.ico", "/viewer/{path:path}", "/openapi.json"}
"""Of the viewer, and the description itself."""
UNSAID = {"/iiif/{image}", "/api/slides/{id}/best/events", "/api/slides/{id}/flatten/events"}
"""A redirect, and streams, which OpenAPI has no words for."""


@pytest.fixture
def service(tmp_path: Path) -> Served:
    slides(tmp_path / "in", "a.svs")
    served = Served(tmp_path / "in", allow_jobs=tmp_path / "out")
    served.ready()
    return served


def shape(path: str) -> str:
    """Return a path with all its names alike."""
    return re.sub(r"\{[^}]+\}(@\{[^}]+\})?", "{}", path)


def test_all_routes_are_described(service: Served) -> None:
    told = description(service.service.options, None)["paths"]
    known = {shape(route.path) for route in routes(service.service, Pictures(service.service))}
    tiled = {path for path in told if re.search(r"_files|/xyz/", path)}
    assert len(tiled) == 3
    assert {shape(path) for path in told if path not in tiled} == known - {shape(path) for path in SITE | UNSAID}


def test_every_operation_answers_what_it_says(service: Served) -> None:
    told = service.ask("/openapi.json").json
    for path, operations in told["paths"].items():
        for method, operation in operations.items():
            filled = path
            for each in operation["parameters"]:
                filled = filled.replace("{" + each["name"] + "}", str(example(each)))
            answer = service.ask(filled, method=method.upper())
            assert str(answer.status) in operation["responses"], (filled, answer)
            assert answer.status in (200, 202) or "associated" in path, (filled, answer)
            kinds = operation["responses"][str(answer.status)]["content"]
            assert answer.headers["content-type"].split(";")[0] in kinds


def example(parameter: dict[str, Any]) -> Any:
    given = {"region": "full", "picture": "max"}
    schema = parameter["schema"]
    return parameter.get("example", given.get(parameter["name"]) or schema.get("enum", [""])[0])


def test_the_token_is_described_where_one_is_needed() -> None:
    told = description(ServeOptions(Path(), token="t"), None)
    assert told["components"]["securitySchemes"]
    assert "401" in told["paths"]["/api/slides"]["get"]["responses"]
    assert "401" not in told["paths"]["/healthz"]["get"]["responses"]


def test_planes_are_described_as_they_are_read() -> None:
    for plane in ("0", "12", "best", "z=1.5", "z=-3"):
        assert re.fullmatch(PLANE, plane)
    for plane in ("01", "-1", "z=", "z=nan", "Best", "z=1."):
        assert not re.fullmatch(PLANE, plane)
    assert tiles.PREFIX == "/api/slides/"
