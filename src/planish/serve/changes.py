"""What becomes of work that another process does, looked at again and again, without holding up the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Protocol, TypeVar

WAIT_S = 0.3


class Condition(Protocol):
    """How far some work is; equal where nothing has changed."""

    @property
    def under_way(self) -> bool:
        """Whether it will still change by itself."""


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
