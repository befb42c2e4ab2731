"""What goes out: bodies with headers, and problems in the one form that all errors have (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send

from planish.serve.cache import Headers
from planish.serve.wanted import Refusal, Refused

STATUSES: Mapping[Refusal, int] = {
    "gone": 410, "range": 404, "changed": 503, "unreadable": 422, "unsupported": 422, "too large": 400, "crashed": 503,
    "too long": 503, "busy": 503,
}  # fmt: skip
RETRY_S: Mapping[Refusal, int] = {"changed": 1, "busy": 1, "crashed": 30, "too long": 30}
REVALIDATE = (b"cache-control", b"private, no-cache")
"""The slide may be replaced at any time: what a client keeps it asks after, which costs no decoding."""
FOREVER = (b"cache-control", b"private, max-age=31536000, immutable")
"""Only where the address names the version of the slide."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; it sends itself, as Starlette's responses do.

    Attributes
    ----------
    body : bytes
        Not sent to HEAD.
    headers : tuple of (bytes, bytes)
        Names in lower case; the length is added.
    status : int
        Of HTTP.
    """

    body: bytes = b""
    headers: Headers = ()
    status: int = 200

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        length = () if self.status in (204, 304) else ((b"content-length", b"%d" % len(self.body)),)
        await send({"type": "http.response.start", "status": self.status, "headers": [*self.headers, *length]})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else self.body})


@dataclass
class Problem(Exception):
    """What is wrong, and what to do; raised wherever it is found, answered by whoever is outermost.

    Attributes
    ----------
    status : int
        Of HTTP.
    detail : str
        For people, without any path of this machine.
    more : mapping
        Members beside those that all problems have.
    headers : tuple of (bytes, bytes)
        E.g. Retry-After.
    """

    status: int
    detail: str
    more: Mapping[str, Any] = field(default_factory=dict)
    headers: Headers = ()

    @property
    def response(self) -> Response:
        """The answer."""
        about = {"type": "about:blank", "title": HTTPStatus(self.status).phrase, "status": self.status}
        body = json.dumps({**about, "detail": self.detail, **self.more}).encode()
        kind = ((b"content-type", b"application/problem+json"), (b"cache-control", b"no-store"))
        return Response(body, (*kind, *self.headers), self.status)


def refused(error: Refused, *, region: bool = False) -> Problem:
    """Return what a refusal is to the client.

    Parameters
    ----------
    error : Refused
        By the decoders, the pool or the registry.
    region : bool, optional
        Whether a box was asked for: one outside of the slide is a wrong request, while a tile there does not exist.
    """
    status = 400 if region and error.kind == "range" else STATUSES[error.kind]
    seconds = RETRY_S.get(error.kind)
    wait = () if seconds is None else ((b"retry-after", b"%d" % seconds),)
    return Problem(status, error.detail, {"kind": error.kind}, wait)


def as_json(value: Any, headers: Headers = (), *, status: int = 200, kind: bytes = b"application/json") -> Response:
    """Return a value as JSON, which whoever keeps it asks after."""
    body = json.dumps(value, allow_nan=False).encode()
    return Response(body, ((b"content-type", kind), REVALIDATE, *headers), status)


def has(none_match: str, tag: str) -> bool:
    """Whether a client that says ``If-None-Match`` has what has a tag, which holds no comma."""
    return none_match.strip() == "*" or tag in (each.strip().removeprefix("W/") for each in none_match.split(","))
