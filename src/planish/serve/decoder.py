"""``python -m planish.serve.decoder``: a process that opens slides, so that they cannot harm those who talk to the web.

It reads wants from standard input, one after the other, and writes replies to standard output (see
`planish.serve.wire`); it ends with its input.
"""

from __future__ import annotations

import os

# Loaders of libvips that were not made for files of strangers; it looks when it is loaded.
os.environ["VIPS_BLOCK_UNTRUSTED"] = "1"

import contextlib
import json
import resource
import sys

import cv2

from planish.serve.answers import Answers
from planish.serve.wanted import Refused, Want
from planish.serve.wire import Inbox, packed

HELLO = b'{"hello": 1}'
"""Header of the first message: everything is loaded."""
NO_MEMORY = "the slide needs more memory than it may take; ask for less, or allow more"
_PIECE = 1 << 16


def serve(source: int, target: int) -> None:
    """Answer what comes from one file descriptor on another, to its end."""
    answers, inbox = Answers(), Inbox()
    _send(target, packed(HELLO))
    while data := os.read(source, _PIECE):
        for header, _ in inbox.feed(data):
            _send(target, answered(answers, header))
    answers.close()


def answered(answers: Answers, asked: bytes) -> bytes:
    """Return the message that answers a want."""
    try:
        reply = answers.answer(Want.from_json(asked))
    except Refused as refused:
        return packed(json.dumps({"refused": refused.kind, "detail": refused.detail}).encode())
    except MemoryError:
        # What libraries hold after it is not known: a fresh process is asked next.
        return packed(json.dumps({"refused": "too large", "detail": NO_MEMORY, "spent": True}).encode())
    facts = {"type": reply.type, "how": reply.how, "milliseconds": round(reply.milliseconds, 3)}
    return packed(json.dumps(facts).encode(), reply.body)


def main() -> None:
    """Serve on standard input and output, which are hidden from the libraries: some print."""
    source, target = os.dup(0), os.dup(1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.dup2(2, 1)
    os.close(nothing)
    sys.stdout = sys.stderr
    cv2.setNumThreads(1)
    # A folder of images is a file for each plane, and several slides are open.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # nobody waits for it any more
        serve(source, target)


def _send(target: int, message: bytes) -> None:
    left = memoryview(message)
    while left:
        left = left[os.write(target, left) :]


if __name__ == "__main__":
    main()
