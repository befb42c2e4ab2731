"""`Pool`: who answers a want: decoders for slides that are known to be harmless, and one that tries those that are not.

A slide that holds up or kills who opens it for the first time takes nothing from those that are looked at.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from planish.serve.crew import Crew, Staff
from planish.serve.limits import Limits
from planish.serve.process import Answer
from planish.serve.quarantine import Quarantine
from planish.serve.waiting import Job
from planish.serve.wanted import Refused, Reply, Subject, Want

STOPPING = "the service is stopping; ask again when it runs"
_TICK_S, _AGAIN_S = 0.1, 0.1
_FIRST = Staff(1, spare=3, niceness=10)
"""For slides that have never answered, or did harm before."""


class Pool:
    """Decoders. For one event loop, in whose thread it lives.

    Parameters
    ----------
    size : int
        Decoders for slides that have answered before; there is one more for all others, of low priority, beside which
        others start where it is held up. They start with the first want, or by `start`.
    limits : Limits
        Of each, and of all.

    A slide has at most size − 1 decoders, so that a slow one leaves room for others.
    """

    def __init__(self, size: int, limits: Limits | None = None) -> None:
        limits = limits or Limits()
        self._first, self._known = Crew(_FIRST, limits, self._heard), Crew(Staff(size), limits, self._heard)
        self._crews = (self._first, self._known)
        self._trusted: dict[str, str] = {}
        self._quarantine = Quarantine(limits.quarantine)
        self._ticking: asyncio.TimerHandle | None = None
        self._closed = False
        self._counts: Counter[str] = Counter()

    @property
    def counts(self) -> Counter[str]:
        """Decoders that ended, by why."""
        replaced = sum(crew.replaced for crew in self._crews)
        return self._counts + Counter(replaced=replaced)

    @property
    def pids(self) -> list[int]:
        """Of the decoders."""
        return [pid for crew in self._crews for pid in crew.pids]

    @property
    def busy(self) -> int:
        """How many decoders are at work."""
        return sum(crew.busy for crew in self._crews)

    @property
    def ready(self) -> bool:
        """Whether any slide can be asked for."""
        return all(crew.ready for crew in self._crews)

    @property
    def all_ready(self) -> bool:
        """Whether all decoders can be asked."""
        return all(crew.all_ready for crew in self._crews)

    @property
    def waiting(self) -> int:
        """How many wants wait for a decoder."""
        return sum(len(crew.jobs) for crew in self._crews)

    def start(self) -> None:
        """Start the decoders, where that was not done."""
        if not self._ticking and not self._closed:
            for crew in self._crews:
                crew.fill()
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
            raise _stopping()
        if refused := self._quarantine.refusal(want):
            raise refused
        job = Job(want, asyncio.get_running_loop().create_future())
        crew = self._known if self._trusts(want) else self._first
        crew.put(job)
        try:
            return await job.reply
        except asyncio.CancelledError:
            for each in self._crews:  # it may have gone over
                each.jobs.drop(job)
            raise

    async def close(self) -> None:
        """End all decoders, and wait until nothing is left of them; whoever waits is refused."""
        self._closed = True
        if self._ticking:
            self._ticking.cancel()
        await asyncio.gather(*(crew.close(_stopping()) for crew in self._crews))

    def _trusts(self, want: Want) -> bool:
        known = self._trusted.get(want.subject.path) == want.subject.signature
        return known and not self._quarantine.suspects(want)

    def _heard(self, job: Job, answer: Answer, harmed: bool) -> None:
        """Pass on what a decoder answered, and judge the slide by it."""
        if harmed and isinstance(answer, Refused):
            self._counts[answer.kind] += 1
            if answer.kind == "crashed" and not job.again:
                self._try_again(job)
                return
            self._blame(job.want, answer)
        elif isinstance(answer, Reply) and not self._trusts(job.want) and not self._quarantine.suspects(job.want):
            self._trust(job.want.subject)
        _tell(job, answer)

    def _try_again(self, job: Job) -> None:
        """Ask once more what a decoder died of; until that is answered, nobody but who tries slides sees this one."""
        job.again = True
        self._trusted.pop(job.path, None)
        for each in self._known.jobs.take(lambda other: other.path == job.path):
            self._put(self._first, each)
        # Where somebody kills decoders, others may be dying that are not known to be.
        asyncio.get_running_loop().call_later(_AGAIN_S, self._put, self._first, job)

    def _trust(self, subject: Subject) -> None:
        """Let a slide be answered by all; what waits for the one that tries it goes over to them."""
        self._trusted[subject.path] = subject.signature
        for job in self._first.jobs.take(lambda job: self._trusts(job.want)):
            self._put(self._known, job)

    def _put(self, crew: Crew, job: Job) -> None:
        """Give a job that somebody waits for to other decoders."""
        try:
            if refused := _stopping() if self._closed else self._quarantine.refusal(job.want):
                raise refused
            if not job.reply.done():
                crew.put(job)
        except Refused as error:
            _tell(job, error)

    def _blame(self, want: Want, answer: Refused) -> None:
        """Shut a slide out for a while that did harm; it is not trusted again until it is replaced."""
        path = want.subject.path
        if answer.kind == "too large" and self._trusted.pop(path, ""):
            return  # perhaps only what was asked for was; then its next answer shows that
        self._quarantine.shut(want, answer.kind)
        for crew in self._crews:
            for job in crew.jobs.take(lambda job: job.path == path and bool(self._quarantine.refusal(job.want))):
                _tell(job, answer)

    def _tick(self) -> None:
        self._ticking = asyncio.get_running_loop().call_later(_TICK_S, self._tick)
        for crew in self._crews:
            crew.tick()
        self._quarantine.tidy()


def _stopping() -> Refused:
    return Refused("busy", STOPPING)


def _tell(job: Job, answer: Answer) -> None:
    """Answer a job, unless nobody waits for it any more."""
    if job.reply.done():
        return
    if isinstance(answer, Reply):
        job.reply.set_result(answer)
    else:
        job.reply.set_exception(answer)
