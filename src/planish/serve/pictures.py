"""`Pictures`: pictures of slides, out of memory, out of a decoder, or not at all where the client has them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.types import Scope

from planish.serve.cache import Headers, Kept
from planish.serve.registry import Served
from planish.serve.responses import FOREVER, REVALIDATE, Problem, Response, has
from planish.serve.service import Service
from planish.serve.wanted import Refused, Reply, Subject, Want

_HIT = (b"server-timing", b'cache;desc="hit"')
PASSIVE = "planish.passive"
"""Set in the scope of who may begin no work."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A picture that is asked for.

    Attributes
    ----------
    slide : str
        Id.
    plane : str
        As it stands in the address.
    address : str
        What tells it from all other pictures of all slides.
    fields : mapping
        Of its `Want`.
    region : bool
        Whether it is a box out of the slide.
    """

    slide: str
    plane: str
    address: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    region: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """On which a client asks.

    Attributes
    ----------
    version : str or None
        Of the slide, where the address names it (``?v=``): no other is then shown.
    none_match : str
        Tags of what the client has.
    begins : bool
        Whether it may begin the survey that the picture needs.
    """

    version: str | None = None
    none_match: str = ""
    begins: bool = True

    @classmethod
    def of(cls, scope: Scope, none_match: str) -> Terms:
        """Return those of a request."""
        query, begins = scope["query_string"], PASSIVE not in scope
        if not query and not none_match and begins:
            return _NO_TERMS
        versions = [part[2:].decode("latin-1") for part in query.split(b"&") if part.startswith(b"v=")]
        return cls(versions[0] if versions else None, none_match, begins)


_NO_TERMS = Terms()


def terms_of(request: Request) -> Terms:
    """Return on which terms a client asks."""
    return Terms.of(request.scope, request.headers.get("if-none-match", ""))


@dataclass(slots=True)
class _Making:
    """A picture that is being made, and how many wait for it."""

    task: asyncio.Task[Reply]
    waiting: int = 0


class Pictures:
    """Makes answers of pictures. Who asks for one that is being made waits for the same; left by all, it is dropped."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._making: dict[tuple[str, str], _Making] = {}

    def at_once(self, slide: Served, address: str, terms: Terms) -> Response | None:
        """Return the answer where nobody has to be asked for it."""
        if terms.version is not None and terms.version != slide.version:
            return None
        if terms.none_match.strip() not in ("", "*"):  # whether there is any picture, is seen when it is made
            tag = _tag(slide, address)
            if has(terms.none_match, tag):
                return Response(b"", ((b"etag", tag.encode()), _keeping(terms)), 304)
        kept = self._service.cache.get((address, slide.version))
        return None if kept is None else _told(kept, terms, _HIT)

    async def picture(self, asked: Asked, terms: Terms, more: Headers = ()) -> Response:
        """Return the answer.

        Parameters
        ----------
        asked : Asked
            What for.
        terms : Terms
            On which.
        more : headers
            That go with the picture.

        Raises
        ------
        Problem
            Where there is no such picture, or not now.
        """

        async def work(slide: Served) -> Response:
            slide = await self._meant(slide, terms)
            answer = self.at_once(slide, asked.address, terms)
            return answer or await self._made(slide, asked, terms)

        answer = await self._service.answered(asked.slide, work, region=asked.region)
        return Response(answer.body, (*answer.headers, *more), answer.status) if more else answer

    async def _meant(self, slide: Served, terms: Terms) -> Served:
        if terms.version is None or terms.version == slide.version:
            return slide
        # Another process may have seen the new one first.
        slide = await self._service.registry.slide(slide.id, look=True)
        if slide.version != terms.version:
            raise Problem(404, "the slide was replaced by another one; load it again", {"version": slide.version})
        return slide

    async def _made(self, slide: Served, asked: Asked, terms: Terms) -> Response:
        begun = time.perf_counter()
        key = (asked.address, slide.version)
        reply = await self._reply(key, slide, asked, terms)
        tag = (b"etag", _tag(slide, asked.address).encode())
        kept = Kept(reply.body, ((b"content-type", reply.type.encode("ascii")), tag))
        self._service.cache.put(key, kept)
        waited = (time.perf_counter() - begun) * 1000 - reply.milliseconds
        spent = f'cache;desc="miss", pool;dur={waited:.1f}, decode;dur={reply.milliseconds:.1f};desc="{reply.how}"'
        return _told(kept, terms, (b"server-timing", spent.encode()))

    async def _reply(self, key: tuple[str, str], slide: Served, asked: Asked, terms: Terms) -> Reply:
        making = self._making.get(key)
        if making is None:
            subject = await self._subject(slide, asked, terms)
            # Somebody may have begun while the subject was found.
            making = self._making.get(key) or self._begin(key, Want(subject=subject, **asked.fields))
        making.waiting += 1
        try:
            # Whoever leaves must not take the picture from the others.
            return await asyncio.shield(making.task)
        finally:
            making.waiting -= 1
            if not making.waiting:
                making.task.cancel()
                self._forget(key, making)

    def _begin(self, key: tuple[str, str], want: Want) -> _Making:
        making = self._making[key] = _Making(asyncio.ensure_future(self._service.decoders.ask(want)))
        making.task.add_done_callback(lambda _: self._forget(key, making))
        return making

    async def _subject(self, slide: Served, asked: Asked, terms: Terms) -> Subject:
        if asked.plane:
            mapped = asked.fields["kind"] in ("cells", "cell_tile")
            return await self._service.subject(slide, asked.plane, mapped=mapped, begins=terms.begins)
        return slide.subject

    def _forget(self, key: tuple[str, str], making: _Making) -> None:
        if self._making.get(key) is making:
            del self._making[key]
        if making.task.done() and not making.task.cancelled() and isinstance(making.task.exception(), Refused):
            return  # looked at, so that asyncio does not complain where everybody has left


def _told(kept: Kept, terms: Terms, timing: tuple[bytes, bytes]) -> Response:
    if terms.none_match.strip() == "*":
        return Response(b"", (kept.headers[1], _keeping(terms)), 304)
    return Response(kept.body, (*kept.headers, _keeping(terms), timing))


def _tag(slide: Served, address: str) -> str:
    digest = hashlib.blake2b(address.encode(), digest_size=12, key=slide.version.encode("ascii"))
    return f'"{digest.hexdigest()}"'


def _keeping(terms: Terms) -> tuple[bytes, bytes]:
    return REVALIDATE if terms.version is None else FOREVER
