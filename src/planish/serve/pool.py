"""`Pool`: decoders that answer side by side; one that dies or takes too long is replaced, its slide shut out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable

from planish.serve.limits import Limits
from planish.serve.process import Answer, DecoderProcess
from planish.serve.quarantine import WORDS, Quarantine
from planish.serve.waiting import Job, Jobs
from planish.serve.wanted import Refusal, Refused, Reply, Want

_TICK_S = 0.1
_START_S, _REST_S = 60.0, 1.0
_REAP_S = 10.0
"""A process that waits for a dead disk cannot even be killed."""
_STOPPING = "the service is stopping"


class Pool:
    """A number of decoders, each with one want at a time. For one event loop, in whose thread it lives.

    Parameters
    ----------
    size : int
        Decoders; they start with the first want, or by `start`.
    limits : Limits
        Of each, and of all.

    A slide has at most size − 1 decoders, so that a slow one leaves room for others, and a single one until that has
    answered.
    """

    def __init__(self, size: int, limits: Limits | None = None) -> None:
        self._size, self._limits = size, limits or Limits()
        self._share = max(1, size - 1)
        self._decoders: list[DecoderProcess] = []
        self._idle: list[DecoderProcess] = []
        self._gone: list[DecoderProcess] = []
        self._leaving: DecoderProcess | None = None
        self._busy: dict[DecoderProcess, Job] = {}
        self._working: Counter[str] = Counter()
        self._proven: set[str] = set()
        self._jobs = Jobs(self._limits.waiting)
        self._quarantine = Quarantine(self._limits.quarantine)
        self._ticking: asyncio.TimerHandle | None = None
        self._closed = False
        self._rest_until = 0.0
        self.counts: Counter[str] = Counter()

    @property
    def pids(self) -> list[int]:
        """Of the decoders."""
        return [decoder.pid for decoder in self._decoders]

    @property
    def busy(self) -> int:
        """How many decoders are at work."""
        return len(self._busy)

    @property
    def ready(self) -> bool:
        """Whether any decoder can be asked."""
        return any(decoder.ready for decoder in self._decoders)

    @property
    def all_ready(self) -> bool:
        """Whether all decoders can be asked."""
        return sum(decoder.ready for decoder in self._decoders) >= self._size

    @property
    def waiting(self) -> int:
        """How many wants wait for a decoder."""
        return len(self._jobs)

    def start(self) -> None:
        """Start the decoders, where that was not done."""
        if not self._ticking and not self._closed:
            self._fill()
            self._ticking = asyncio.get_running_loop().call_later(_TICK_S, self._tick)

    async def ask(self, want: Want) -> Reply:
        """Return the answer to a want.

        Raises
        ------
        Refused
            As the decoder says, or where it dies, takes too long, or too much is asked for.
        """
        self.start()
        if self._closed:
            raise Refused("busy", _STOPPING)
        self._quarantine.check(want.subject)
        job = Job(want, asyncio.get_running_loop().create_future())
        self._put(job)
        try:
            return await job.reply
        except asyncio.CancelledError:
            self._jobs.drop(job)
            raise

    async def close(self) -> None:
        """End all decoders, and wait until nothing is left of them; whoever waits is refused."""
        self._closed = True
        if self._ticking:
            self._ticking.cancel()
        for decoder in list(self._decoders):
            self._end(decoder, "busy", _STOPPING)
        self._refuse(lambda job: True, "busy", _STOPPING)
        patience = time.monotonic() + _REAP_S
        while self._gone and time.monotonic() < patience:
            self._gone = [decoder for decoder in self._gone if not decoder.reaped()]
            await asyncio.sleep(0.01)

    def _choose(self, path: str) -> DecoderProcess | None:
        """Return the idle decoder that suits a slide best: one that has it open, else the one idle for longest."""
        if not self._idle or not self._may(path):
            return None
        chosen = next((decoder for decoder in self._idle if decoder.has_open(path)), self._idle[0])
        self._idle.remove(chosen)
        return chosen

    def _may(self, path: str) -> bool:
        """Whether a slide may have another decoder."""
        return self._working[path] < (self._share if path in self._proven else 1)

    def _put(self, job: Job) -> None:
        """Give a job to a decoder, or let it wait."""
        decoder = self._choose(job.path)
        if decoder:
            self._give(decoder, job)
        else:
            self._jobs.add(job)

    def _give(self, decoder: DecoderProcess, job: Job) -> None:
        if not decoder.ask(job.want):
            # It died before, for no fault of this job's.
            self._end(decoder)
            self._put(job)
            return
        self._busy[decoder] = job
        self._working[job.path] += 1

    def _heard(self, decoder: DecoderProcess, answer: Answer | None) -> None:
        """Take an answer, or that a decoder is ready, or that it died."""
        if not decoder.alive:
            self._end(decoder, "crashed", WORDS["crashed"])
            return
        job = self._finished(decoder)
        if bool(job) != bool(answer):  # it answers what nobody asked
            self._end(decoder, "crashed", WORDS["crashed"])
            return
        if job and answer:
            _tell(job, answer)
            if job.path not in self._proven:
                self._proven.add(job.path)
                self._drain()
        if not job:
            self._make_way()
        if decoder.spent or (decoder is self._leaving and self._leaving_may()):
            self._end(decoder)
        else:
            self._next(decoder)

    def _next(self, decoder: DecoderProcess) -> None:
        """Give a decoder something to do, or let it be idle."""
        if not decoder.alive:
            return
        job = self._jobs.pop(self._may, decoder.has_open)
        if job:
            self._give(decoder, job)
        else:
            self._idle.append(decoder)

    def _drain(self) -> None:
        """Give idle decoders what waits and was not allowed before."""
        idle, self._idle = self._idle, []
        for decoder in idle:
            self._next(decoder)

    def _finished(self, decoder: DecoderProcess) -> Job | None:
        job = self._busy.pop(decoder, None)
        if job:
            self._working[job.path] -= 1
            if not self._working[job.path]:
                del self._working[job.path]
        return job

    def _end(self, decoder: DecoderProcess, kind: Refusal | None = None, detail: str = "") -> None:
        """End a decoder, refuse what it was at, and start another one in its place."""
        decoder.kill()
        if decoder not in self._decoders:
            return
        self._decoders.remove(decoder)
        self._gone.append(decoder)
        if decoder in self._idle:
            self._idle.remove(decoder)
        if decoder is self._leaving:
            self._leaving = None
        job = self._finished(decoder)
        if job and kind:
            self._blame(job, kind, detail)
        if not decoder.ready:
            self._rest_until = time.monotonic() + _REST_S
        self._fill()
        if len(self._jobs):
            self._drain()

    def _blame(self, job: Job, kind: Refusal, detail: str) -> None:
        """Refuse a job whose decoder ended, and those for the same slide for a while."""
        _tell(job, Refused(kind, detail))
        if kind not in WORDS:
            return
        self.counts[kind] += 1
        subject = job.want.subject
        self._proven.discard(subject.path)
        self._quarantine.shut(subject, kind)
        self._refuse(lambda other: other.want.subject.path == subject.path, kind, detail)

    def _refuse(self, meant: Callable[[Job], bool], kind: Refusal, detail: str) -> None:
        for job in self._jobs.take(meant):
            _tell(job, Refused(kind, detail))

    def _fill(self) -> None:
        """Start the decoders that are missing, unless they do not start at all."""
        if self._closed or time.monotonic() < self._rest_until:
            return
        while len(self._decoders) - bool(self._leaving) < self._size:
            try:
                self._decoders.append(DecoderProcess(self._limits.memory, self._heard))
            except OSError:  # too many processes or files; there may be room again
                self._rest_until = time.monotonic() + _REST_S
                return

    def _tick(self) -> None:
        """End what takes too long, replace what grew, and start what is missing."""
        self._ticking = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        now, limits = time.monotonic(), self._limits
        for decoder in list(self._decoders):
            if decoder in self._busy and now - decoder.since > limits.seconds:
                self._end(decoder, "too long", WORDS["too long"])
            elif not decoder.ready and now - decoder.since > _START_S:
                self._end(decoder)
        self._refuse(lambda job: now - job.since > limits.seconds, "busy", "too much is asked for; ask again later")
        self._quarantine.tidy()
        self._gone = [decoder for decoder in self._gone if not decoder.reaped()]
        self._fill()
        self._replace_grown()

    def _replace_grown(self) -> None:
        """Start another decoder for one that has grown; it goes when that one is ready."""
        if self._leaving or not all(decoder.ready for decoder in self._decoders):
            return
        for decoder in self._decoders:
            if decoder.asked >= self._limits.wants or decoder.resident() > self._limits.resident:
                self._leaving = decoder
                self.counts["replaced"] += 1
                self._fill()
                return

    def _make_way(self) -> None:
        """End the decoder that is to be replaced, where it is idle."""
        if self._leaving and self._leaving in self._idle and self._leaving_may():
            self._end(self._leaving)

    def _leaving_may(self) -> bool:
        """Whether the decoder in the place of the one that leaves is ready."""
        return sum(decoder.ready for decoder in self._decoders) > self._size


def _tell(job: Job, answer: Answer) -> None:
    """Answer a job, unless nobody waits for it any more."""
    if job.reply.done():
        return
    if isinstance(answer, Reply):
        job.reply.set_result(answer)
    else:
        job.reply.set_exception(answer)
