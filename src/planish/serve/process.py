"""`DecoderProcess`: a decoder as the web process sees it, one question at a time; nothing that it says is trusted."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from planish.batch import guard
from planish.serve.settings import VARIABLE
from planish.serve.wanted import MOST_OPEN, Refusal, Refused, Reply, Want
from planish.serve.wire import BrokenMessage, Inbox, packed

COMMAND = (sys.executable, "-P", "-m", "planish.serve.decoder")
_BUFFER = 256 << 10
_ONE = "1"
_NICEST = 19
_ENVIRONMENT = {
    **dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY"), _ONE),
    "VIPS_BLOCK_UNTRUSTED": _ONE,
    "MALLOC_ARENA_MAX": "2",
}
_TYPES = ("image/jpeg", "image/png", "application/json")
_WAYS = ("copied", "decoded", "composed")
_REFUSALS = get_args(Refusal)

Answer = Reply | Refused


class DecoderProcess:
    """One decoder.

    Parameters
    ----------
    memory : int
        Bytes that it may take.
    heard : callable
        Called with (this, answer): an answer to `ask`; None where it is ready for the first one, or is no more.
    niceness : int, optional
        By which others go first once it is ready.

    Attributes
    ----------
    ready : bool
        Whether it has said that it is there.
    alive : bool
        Whether it can still answer.
    spent : bool
        Whether it asked to be replaced.
    since : float
        When it began with what it does now, by `time.monotonic`.
    asked : int
        How much it was asked so far.
    """

    def __init__(self, memory: int, heard: Callable[[DecoderProcess, Answer | None], None], niceness: int = 0) -> None:
        self._heard, self._inbox = heard, Inbox()
        self._buffer = bytearray(_BUFFER)
        self._loop = asyncio.get_running_loop()
        self._socket, theirs = socket.socketpair()
        guarded = [sys.executable, "-IS", str(guard.__file__), str(os.getpid()), str(memory), *COMMAND]
        with theirs:
            # Begun in the thread of the loop, and ends with it.
            self._process = _begun(guarded, theirs, self._socket)
        if niceness:  # it takes most of a second of a core to begin, maybe after every crash
            _yield(self._process.pid, niceness)
        self._socket.setblocking(False)
        self._loop.add_reader(self._socket, self._read)
        self.ready, self.alive, self.spent = False, True, False
        self.since, self.asked = time.monotonic(), 0
        self._open: OrderedDict[str, None] = OrderedDict()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def has_open(self, path: str) -> bool:
        """Whether it was asked for a slide lately."""
        return path in self._open

    def ask(self, want: Want) -> bool:
        """Send a want; False where it cannot be sent."""
        self.since = time.monotonic()
        self.asked += 1
        path = want.subject.path
        self._open[path] = None
        self._open.move_to_end(path)
        if len(self._open) > MOST_OPEN:
            self._open.popitem(last=False)
        message = packed(want.to_json())
        if self.reaped():  # its end of the socket may not have told so yet
            return False
        try:
            # Far less than a socket holds, and it holds nothing else: less sent is as good as none.
            return self._socket.send(message) == len(message)
        except OSError:
            return False

    def kill(self) -> None:
        """End it at once; it is not heard of any more."""
        if not self.alive:
            return
        self.alive = False
        self._loop.remove_reader(self._socket)
        self._socket.close()
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def reaped(self) -> bool:
        """Whether nothing is left of it; to be asked until it is so."""
        return self._process.poll() is not None

    def resident(self) -> int:
        """Return the memory it holds, bytes; 0 where that is not known."""
        try:
            fields = Path(f"/proc/{self._process.pid}/statm").read_text(encoding="ascii").split()
            return int(fields[1]) * resource.getpagesize()
        except (OSError, ValueError, IndexError):
            return 0

    def _read(self) -> None:
        try:
            count = self._socket.recv_into(self._buffer)
            messages = self._inbox.feed(memoryview(self._buffer)[:count])
            if len(messages) > 1:
                raise BrokenMessage("more answers than questions")  # the second would be taken for the next one's
            for header, body in messages:
                self._take(header, body)
        except BlockingIOError:
            return
        except (OSError, BrokenMessage, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            count = 0  # nonsense, of which more may follow
        if not count and self.alive:
            self.kill()
            self._heard(self, None)

    def _take(self, header: bytes, body: bytes) -> None:
        facts = json.loads(header)
        if not self.ready:
            self.ready = facts["hello"] == 1
            self._heard(self, None)
            return
        self.spent = self.spent or facts.get("spent") is True
        self._heard(self, _answer(facts, body))


def secrets() -> list[str]:
    """Return the variables of this process that are nothing to those that open slides: the token is in one."""
    return [name for name in os.environ if name.startswith(VARIABLE)]


def _begun(command: list[str], theirs: socket.socket, ours: socket.socket) -> subprocess.Popen[bytes]:
    """Start a process at one end of a pair of sockets; the other is closed where that fails."""
    hidden = secrets()
    variables = {name: value for name, value in os.environ.items() if name not in hidden} | _ENVIRONMENT
    ends = theirs.fileno()
    try:
        return subprocess.Popen(command, stdin=ends, stdout=ends, start_new_session=True, env=variables)
    except OSError:
        ours.close()
        raise


def _yield(pid: int, niceness: int) -> None:
    """Let others go before a process; it may have ended already."""
    with contextlib.suppress(OSError):
        niceness = min(os.getpriority(os.PRIO_PROCESS, pid) + niceness, _NICEST)
        os.setpriority(os.PRIO_PROCESS, pid, niceness)
        # Where Linux shares cores out by sessions first, the process is one by itself.
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness), encoding="ascii")


def _answer(facts: dict[str, Any], body: bytes) -> Answer:
    """Return what a header and a body say; raises ValueError, TypeError or KeyError where that is nothing sensible."""
    if "refused" in facts:
        if facts["refused"] not in _REFUSALS:
            raise ValueError("refused for no known reason")
        return Refused(facts["refused"], str(facts["detail"]))
    if facts["type"] not in _TYPES or facts["how"] not in _WAYS:
        raise ValueError("a picture of no known type")
    return Reply(body, facts["type"], facts["how"], float(facts["milliseconds"]))
