"""Messages between web processes and decoders: a header, JSON, and a body of bytes, each with its length before it."""

from __future__ import annotations

import struct

_LENGTHS = struct.Struct("<II")
MOST_HEADER = 64 << 10
MOST_BODY = 256 << 20
"""A picture of 4096 × 4096 px that cannot be compressed is smaller; so is any map."""

Message = tuple[bytes, bytes]


class BrokenMessage(Exception):
    """What came is no message; the sender cannot be trusted any more."""


def packed(header: bytes, body: bytes = b"") -> bytes:
    """Return a message as it is sent."""
    return b"".join((_LENGTHS.pack(len(header), len(body)), header, body))


class Inbox:
    """Puts messages together out of what comes, piece by piece."""

    def __init__(self) -> None:
        self._held = bytearray()

    def feed(self, data: bytes | memoryview) -> list[Message]:
        """Take what came, return the messages that became whole.

        Raises
        ------
        BrokenMessage
            Where lengths are beyond all bounds.
        """
        self._held += data
        messages: list[Message] = []
        start = 0
        while len(self._held) - start >= _LENGTHS.size:
            header, body = _LENGTHS.unpack_from(self._held, start)
            if header > MOST_HEADER or body > MOST_BODY:
                raise BrokenMessage(f"a message of {header} and {body} bytes")
            middle = start + _LENGTHS.size + header
            if len(self._held) < middle + body:
                break
            view = memoryview(self._held)
            messages.append((bytes(view[start + _LENGTHS.size : middle]), bytes(view[middle : middle + body])))
            view.release()
            start = middle + body
        del self._held[:start]
        return messages
