"""What becomes of work that another process does, looked at again and again, without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any, Protocol, TypeVar

from planish.serve.wanted import Refused

WAIT_S = 0.3
MOST_FOLLOWERS = 256
"""Of a web process; each holds a connection."""


class Condition(Protocol):
    """How far some work is; equal where nothing has changed."""

    @property
    def under_way(self) -> bool:
        """Whether it will still change by itself."""

    def facts(self) -> dict[str, Any]:
        """Return it for JSON."""


State = TypeVar("State", bound=Condition)


async def changes(look: Callable[[], State]) -> AsyncIterator[State]:
    """Yield how far it is: now, after each change, and at its end."""
    last: State | None = None
    while True:
        state = await asyncio.to_thread(look)
        if state != last:
            yield state
        if not state.under_way:
            return
        last = state
        await asyncio.sleep(WAIT_S)


class Followed:
    """Lets many follow the same work, which is looked at for all of them together."""

    def __init__(self) -> None:
        self._sources: dict[Hashable, _Source] = {}

    def follow(self, key: Hashable, begin: Callable[[], AsyncIterator[Condition]]) -> AsyncIterator[Condition]:
        """Return how far it is, as `changes` does; of changes that follow quickly the last.

        Parameters
        ----------
        key : hashable
            What tells the work from other work.
        begin : callable
            Its changes; called where nobody follows it yet.

        Raises
        ------
        Refused
            Where too many follow.
        """
        if sum(source.followers for source in self._sources.values()) >= MOST_FOLLOWERS:
            raise Refused("busy", f"{MOST_FOLLOWERS} follow the events of slides already; ask how far it is instead")
        return self._followed(key, begin)

    async def _followed(self, key: Hashable, begin: Callable[[], AsyncIterator[Condition]]) -> AsyncIterator[Condition]:
        source = self._sources.get(key)
        if source is None or source.task.done():
            source = self._sources[key] = _Source(begin())
        source.followers += 1
        try:
            last: Condition | None = None
            while True:
                news = source.news
                if source.state is not None and source.state is not last:
                    last = source.state
                    yield last
                elif source.task.done():
                    source.task.result()
                    return
                else:
                    await asyncio.wait((news, source.task), return_when=asyncio.FIRST_COMPLETED)
        finally:
            source.followers -= 1
            if not source.followers:
                source.task.cancel()
                if self._sources.get(key) is source:
                    del self._sources[key]


class _Source:
    """Work that is looked at, its last state, and a future that is done when there is another one."""

    def __init__(self, states: AsyncIterator[Condition]) -> None:
        self.state: Condition | None = None
        self.followers = 0
        self.news: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.ensure_future(self._look(states))

    async def _look(self, states: AsyncIterator[Condition]) -> None:
        async for state in states:
            self.state, news = state, self.news
            self.news = asyncio.get_running_loop().create_future()
            news.set_result(None)
