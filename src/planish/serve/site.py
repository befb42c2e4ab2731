"""The viewer's files, out of the package."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request

from planish.serve.responses import REVALIDATE, Problem, Response, has

FOLDER = Path(__file__).with_name("viewer")
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".png": "image/png",
    ".ico": "image/x-icon",
    ".txt": "text/plain; charset=utf-8",
    ".json": "application/json",
}


async def page(request: Request) -> Response:
    """Send the viewer itself."""
    return _answer("index.html", request)


async def favicon(request: Request) -> Response:
    """Send the sign that browsers show."""
    return _answer("favicon.ico" if "favicon.ico" in _files() else "favicon.svg", request)


async def file(request: Request) -> Response:
    """Send a file of the viewer."""
    return _answer(request.path_params["path"], request)


def _answer(name: str, request: Request) -> Response:
    path = _files().get(name)
    if path is None:
        raise Problem(404, "the viewer has no such file")
    body = path.read_bytes()
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'.encode()
    headers = ((b"content-type", _kind(path).encode()), (b"etag", tag), REVALIDATE)
    if has(request.headers.get("if-none-match", ""), tag.decode()):
        return Response(b"", headers, 304)
    return Response(body, headers)


@lru_cache(1)
def _files() -> dict[str, Path]:
    """Return the files there are, so that no name from outside ever becomes a path."""
    return {path.relative_to(FOLDER).as_posix(): path for path in FOLDER.rglob("*") if path.is_file()}


def _kind(path: Path) -> str:
    return _TYPES.get(path.suffix, "application/octet-stream" if path.suffix else "text/plain; charset=utf-8")
