"""A night on the terminal: a bar with an estimate; plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any

from tqdm import tqdm

from planish.batch.estimate import Estimate, spelt
from planish.batch.events import Event
from planish.cli.saying import mute


class NightProgress:
    """A listener that prints to stderr, as long as that takes it: whoever stops looking stops no night."""

    def __init__(self) -> None:
        self._silent = False
        self._terminal = sys.stderr.isatty()
        self._bar: tqdm[Any] | None = None
        self._slides, self._bytes = 0, 0
        self._ended = 0
        self._estimate = Estimate()

    def __call__(self, event: Event) -> None:
        """Show what happened."""
        if event.kind == "started":
            self._estimate.begin(event.slide)
        elif event.kind in ("done", "failed", "retry"):
            self._estimate.end(event.slide)
        if self._silent:
            return
        try:
            self._show(event)
        except OSError:
            self._silent = True
            mute(sys.stderr)

    def _show(self, event: Event) -> None:
        facts, name = event.facts, event.name
        match event.kind:
            case "began":
                self._begin(facts["waiting"], facts["waiting_bytes"])
                at_once = f"{facts['at_once']} at once" if facts["at_once"] > 1 else "one at a time"
                self._print(f"{self._slides} slides to do, {at_once}; {facts['counts'].get('done', 0)} done before")
            case "found":
                self._more(facts["slides"], facts["bytes"])
                self._print(f"{facts['slides']} new")
            case "passed over":
                self._print(f"passed over: {facts['what']}")
            case "again":
                self._print(f"again    {name}: {facts['why']}")
            case "checked" if "unverified" in facts:
                self._print(f"kept     {name}: could not be verified: {facts['unverified']}")
            case "done":
                self._count(facts["size"])
                warned = "".join(f"\n         warning: {warning}" for warning in facts["warnings"])
                self._print(f"done     {name}, {spelt(facts['seconds'])}{self._left()}{warned}")
            case "failed":
                self._count(facts["size"])
                self._print(f"FAILED   {name}: {facts['reason']}: {facts['message']}{self._left()}")
            case "retry":
                self._print(f"later    {name}: {facts['reason']}, again in {spelt(facts['wait'])}: {facts['message']}")
            case "paused" if "gone" in facts:
                self._print(f"paused: {facts['gone']} is gone; mount it, or bring it back")
            case "paused":
                free, reserve, needed = (facts[key] >> 20 for key in ("free", "reserve", "needed"))
                self._print(f"paused: {free:,} MiB are free, the next slide may need {needed:,} beside the {reserve:,} "
                            "that stay free; make room")  # fmt: skip
            case "blocked":
                self._print(f"waiting: {facts['message']}")
            case "resumed":
                self._print(f"going on after {spelt(facts['seconds'])}")
            case "stopping":
                self._print("stopping: ending what runs; the same command goes on from here")
            case "ended":
                self._close()
            case _:
                pass

    def _begin(self, slides: int, size: int) -> None:
        self._slides, self._bytes = slides, size
        if self._terminal:
            self._bar = tqdm(total=slides, unit="slide", file=sys.stderr, leave=False, bar_format=_FORMAT)

    def _more(self, slides: int, size: int) -> None:
        self._slides += slides
        self._bytes += size
        if self._bar is not None:
            self._bar.total = self._slides
            self._bar.refresh()

    def _count(self, size: int) -> None:
        self._ended += 1
        self._bytes -= size
        self._estimate.count(size)
        if self._bar is not None:
            self._bar.set_postfix_str(self._left().removeprefix(", "), refresh=False)
            self._bar.update()

    def _left(self) -> str:
        left = max(0, self._slides - self._ended)
        seconds = self._estimate.left(left, max(0, self._bytes))
        if not left:
            return ""
        return f", {left} to go" + (f", about {spelt(seconds)}" if seconds is not None else "")

    def _print(self, text: str) -> None:
        if self._terminal:
            tqdm.write(text, file=sys.stderr)
        else:
            print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)

    def _close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


_FORMAT = "{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} slides [{elapsed}{postfix}]"
