"""`Patient`: connections that are closed where no whole request comes for a while, or nothing of the answer is read."""

from __future__ import annotations

import asyncio

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

REQUEST_S = 10.0
UNREAD_S = 60.0


class Patient(HttpToolsProtocol):
    """uvicorn's protocol, which by itself looks only at the time between two requests."""

    _due: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request."""
        super().connection_made(transport)
        self._expect()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._expect(again=False)
        self._let_unread()
        super().connection_lost(exc)

    def on_message_complete(self) -> None:
        """Let the answer take its time."""
        if not self.cycle.response_complete:
            self._expect(again=False)
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Wait for the next request, unless it is here already."""
        super().on_response_complete()
        self._expect(again=self.timeout_keep_alive_task is not None)

    def pause_writing(self) -> None:
        """Wait until the client reads what it asked for."""
        super().pause_writing()
        self._look(-1)

    def resume_writing(self) -> None:
        """Let it read the rest in its own time."""
        self._let_unread()
        super().resume_writing()

    def _expect(self, *, again: bool = True) -> None:
        if self._due:
            self._due.cancel()
        self._due = self.loop.call_later(REQUEST_S, self.transport.close) if again else None

    def _look(self, before: int) -> None:
        left = self.transport.get_write_buffer_size()
        if left == before:
            self.transport.abort()
        else:
            self._unread = self.loop.call_later(UNREAD_S, self._look, left)

    def _let_unread(self) -> None:
        if self._unread:
            self._unread.cancel()
