"""What `/metrics` tells: counters of this process and, through small files, of its siblings."""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

from planish.serve.smallfile import get, put

BUCKETS_S = (0.001, 0.005, 0.02, 0.1, 0.5, 2.0, 10.0)
TYPE = b"text/plain; version=0.0.4; charset=utf-8"
_HELP: Mapping[str, tuple[str, str]] = {
    "planish_requests_total": ("counter", "Requests by route and status."),
    "planish_request_seconds": ("histogram", "Time until the answer was sent, by route."),
    "planish_tile_cache_hits_total": ("counter", "Pictures out of memory."),
    "planish_tile_cache_misses_total": ("counter", "Pictures that were not in memory."),
    "planish_tile_cache_bytes": ("gauge", "Memory that pictures take."),
    "planish_slides": ("gauge", "Slides that are served, by each worker."),
    "planish_decoders": ("gauge", "Processes that open slides."),
    "planish_decoders_busy": ("gauge", "Of them, those at work."),
    "planish_decoder_crashes_total": ("counter", "Decoders that died or were killed at work."),
}
Samples = dict[str, float]


class Metrics:
    """Counters of one process.

    Parameters
    ----------
    shared : Path, optional
        Folder in which the processes of one service leave theirs for each other.
    """

    def __init__(self, shared: Path | None = None) -> None:
        self._shared = shared
        self._requests: Counter[tuple[str, int]] = Counter()
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._buckets: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(BUCKETS_S) + 1))

    def count(self, route: str, status: int, seconds: float) -> None:
        """Note an answer."""
        self._requests[route, status] += 1
        self._seconds[route] += seconds
        self._buckets[route][bisect_left(BUCKETS_S, seconds)] += 1

    def leave(self, gauges: Samples) -> None:
        """Leave this process's counters to its siblings."""
        if self._shared:
            put(self._shared / f"{os.getpid()}.json", self._samples() | gauges)

    def text(self, gauges: Samples) -> bytes:
        """Return the sum over all processes in Prometheus' text format.

        Parameters
        ----------
        gauges : mapping
            More samples of this process, by name.
        """
        total: Counter[str] = Counter(self._samples() | gauges)
        for told in self._siblings():
            total.update(told)
        lines: list[str] = []
        for name, (kind, about) in _HELP.items():
            # Stable: the buckets of a route stay in their order.
            samples = sorted((key for key in total if _of(key, name)), key=lambda key: key.partition(",le=")[0])
            if samples:
                lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
                lines += [f"{sample} {total[sample]:.15g}" for sample in samples]
        return "\n".join([*lines, ""]).encode()

    def _siblings(self) -> Iterable[Samples]:
        if not self._shared:
            return
        for path in self._shared.glob("*.json"):
            told = get(path) if path.stem != str(os.getpid()) else None
            if told:
                alive = Path(f"/proc/{path.stem}").exists()
                # What a dead worker counted stays counted; it holds nothing any more.
                yield {key: float(value) for key, value in told.items() if alive or not _is_gauge(key)}

    def _samples(self) -> Samples:
        samples: Samples = {}
        for (route, status), count in self._requests.items():
            samples[f'planish_requests_total{{route="{route}",status="{status}"}}'] = count
        for route, buckets in self._buckets.items():
            count = 0
            for limit, inside in zip((*map(str, BUCKETS_S), "+Inf"), buckets, strict=True):
                count += inside
                samples[f'planish_request_seconds_bucket{{route="{route}",le="{limit}"}}'] = count
            samples[f'planish_request_seconds_count{{route="{route}"}}'] = count
            samples[f'planish_request_seconds_sum{{route="{route}"}}'] = self._seconds[route]
        return samples


def _of(sample: str, name: str) -> bool:
    return sample.partition("{")[0].removeprefix(name) in ("", "_bucket", "_count", "_sum")


def _is_gauge(sample: str) -> bool:
    return _HELP.get(sample.partition("{")[0], ("counter", ""))[0] == "gauge"
