"""`Crew`: decoders that answer side by side; one that dies or takes too long is replaced."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from planish.serve.limits import Limits
from planish.serve.process import Answer, DecoderProcess
from planish.serve.quarantine import WORDS
from planish.serve.waiting import Job, Jobs
from planish.serve.wanted import Refusal, Refused

_START_S, _REST_S = 60.0, 1.0
_REAP_S = 10.0
"""A process that waits for a dead disk cannot even be killed."""
_BUSY = "too much is asked for; ask again later"


@dataclass(frozen=True, slots=True)
class Staff:
    """How many decoders there are.

    Attributes
    ----------
    size : int
        As a rule.
    spare : int
        So many more in place of those that take longer than `Limits.patience`.
    niceness : int
        By which all others go first.
    """

    size: int
    spare: int = 0
    niceness: int = 0


class Crew:
    """A number of decoders, each with one want at a time. A slide has at most size − 1 of them, but one.

    Parameters
    ----------
    staff : Staff
        How many.
    limits : Limits
        Of each.
    heard : callable
        Called with (job, answer, harmed) for whoever is to be told; the last says whether its decoder ended by it.
    """

    def __init__(self, staff: Staff, limits: Limits, heard: Callable[[Job, Answer, bool], None]) -> None:
        self._staff, self._limits, self._tell = staff, limits, heard
        self._share = max(1, staff.size - 1)
        self._decoders: list[DecoderProcess] = []
        self._idle: list[DecoderProcess] = []
        self._gone: list[DecoderProcess] = []
        self._leaving: DecoderProcess | None = None
        self._busy: dict[DecoderProcess, Job] = {}
        self._working: Counter[str] = Counter()
        self.jobs = Jobs(limits.waiting)
        self._closed = False
        self._rest_until = 0.0
        self.replaced = 0

    @property
    def pids(self) -> list[int]:
        """Of the decoders."""
        return [decoder.pid for decoder in self._decoders]

    @property
    def busy(self) -> int:
        """How many decoders are at work."""
        return len(self._busy)

    @property
    def ready(self) -> int:
        """How many decoders can be asked."""
        return sum(decoder.ready for decoder in self._decoders)

    @property
    def all_ready(self) -> bool:
        """Whether all can."""
        return self.ready >= self._staff.size

    def put(self, job: Job) -> None:
        """Give a job to a decoder, or let it wait; raise Refused where too many do."""
        decoder = self._choose(job.path)
        if decoder:
            self._give(decoder, job)
        else:
            self.jobs.add(job)

    def tick(self) -> None:
        """End what takes too long, replace what grew, and start what is missing; to be called often."""
        now, limits = time.monotonic(), self._limits
        for decoder in list(self._decoders):
            if decoder in self._busy and now - decoder.since > limits.seconds:
                self._end(decoder, "too long")
            elif not decoder.ready and now - decoder.since > _START_S:
                self._end(decoder)
        for job in self.jobs.take(lambda job: now - job.since > limits.seconds):
            self._tell(job, Refused("busy", _BUSY), False)
        self._gone = [decoder for decoder in self._gone if not decoder.reaped()]
        self.fill()
        self._replace_grown()

    async def close(self, why: Refused) -> None:
        """End all decoders, and wait until nothing is left of them; whoever waits is refused."""
        self._closed = True
        jobs = list(self._busy.values())
        for decoder in list(self._decoders):
            self._end(decoder)
        for job in (*jobs, *self.jobs.take(lambda job: True)):
            self._tell(job, why, False)
        patience = time.monotonic() + _REAP_S
        while self._gone and time.monotonic() < patience:
            self._gone = [decoder for decoder in self._gone if not decoder.reaped()]
            await asyncio.sleep(0.01)

    def fill(self) -> None:
        """Start the decoders that are missing, unless they do not start at all; end one that is too many."""
        if self._closed or time.monotonic() < self._rest_until:
            return
        missing = self._meant() - len(self._decoders) + bool(self._leaving)
        try:
            for _ in range(missing):
                self._decoders.append(DecoderProcess(self._limits.memory, self._heard, self._staff.niceness))
        except OSError:  # too many processes or files; there may be room again
            self._rest_until = time.monotonic() + _REST_S
        if missing < 0 and self._idle:
            self._end(self._idle[0])

    def _meant(self) -> int:
        """Return how many decoders there should be."""
        now = time.monotonic()
        held = sum(now - decoder.since > self._limits.patience for decoder in self._busy)
        return self._staff.size + min(held, self._staff.spare)

    def _choose(self, path: str) -> DecoderProcess | None:
        """Return the idle decoder that suits a slide best: one that has it open, else the one idle for longest."""
        if not self._idle or not self._may(path):
            return None
        chosen = next((decoder for decoder in self._idle if decoder.has_open(path)), self._idle[0])
        self._idle.remove(chosen)
        return chosen

    def _may(self, path: str) -> bool:
        """Whether a slide may have another decoder."""
        return self._working[path] < self._share

    def _give(self, decoder: DecoderProcess, job: Job) -> None:
        if not decoder.ask(job.want):
            # It died before, for no fault of this job's.
            self._end(decoder)
            self.put(job)
            return
        self._busy[decoder] = job
        self._working[job.path] += 1

    def _heard(self, decoder: DecoderProcess, answer: Answer | None) -> None:
        """Take an answer, or that a decoder is ready, or that it died."""
        if not decoder.alive:
            self._end(decoder, "crashed")
            return
        if (decoder in self._busy) != bool(answer):  # it answers what nobody asked
            self._end(decoder, "crashed")
            return
        job = self._finished(decoder)
        if job and answer:
            self._tell(job, answer, decoder.spent)
        else:
            self._make_way()
        if decoder.spent or (decoder is self._leaving and self._leaving_may()):
            self._end(decoder)
        else:
            self._next(decoder)

    def _next(self, decoder: DecoderProcess) -> None:
        """Give a decoder something to do, or let it be idle."""
        if not decoder.alive:
            return
        job = self.jobs.pop(self._may, decoder.has_open)
        if job:
            self._give(decoder, job)
        else:
            self._idle.append(decoder)

    def _finished(self, decoder: DecoderProcess) -> Job | None:
        job = self._busy.pop(decoder, None)
        if job:
            self._working[job.path] -= 1
            if not self._working[job.path]:
                del self._working[job.path]
        return job

    def _end(self, decoder: DecoderProcess, kind: Refusal | None = None) -> None:
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
            self._tell(job, Refused(kind, WORDS[kind]), True)
        if not decoder.ready:
            self._rest_until = time.monotonic() + _REST_S
        self.fill()
        self._drain()

    def _drain(self) -> None:
        """Give idle decoders what waits and was not allowed before."""
        if len(self.jobs):
            idle, self._idle = self._idle, []
            for decoder in idle:
                self._next(decoder)

    def _replace_grown(self) -> None:
        """Start another decoder for one that has grown; it goes when that one is ready."""
        if self._leaving or not all(decoder.ready for decoder in self._decoders):
            return
        for decoder in self._decoders:
            if decoder.asked >= self._limits.wants or decoder.resident() > self._limits.resident:
                self._leaving = decoder
                self.replaced += 1
                self.fill()
                return

    def _make_way(self) -> None:
        """End the decoder that is to be replaced, where it is idle."""
        if self._leaving and self._leaving in self._idle and self._leaving_may():
            self._end(self._leaving)

    def _leaving_may(self) -> bool:
        """Whether the decoder in the place of the one that leaves is ready."""
        return self.ready > self._meant()
